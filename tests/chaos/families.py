"""The families of faults. Each is one continuous load under which faults of one kind follow one another; what came of it all
is judged once, at the end. A family's docstring says what has to hold."""

import contextlib
import os
import re
import signal
import subprocess
import time

import herald
from rig import CHANNELS, CONNECTIONS, LEASE_S, STREAMS
from processes import wait_for

POINT = re.compile(r'\bFAULT\("([^"]+)"\)')

# What makes a point be reached that ordinary work does not reach.
PROVOKED = {
    "reload-read": "reload", "reloaded": "reload",
    "drain-begun": "term", "drained": "term", "release-not-told": "term",
    "recovery-restated": "forget", "recovery-answers-told": "forget",
    "subscription-stored": "cut", "subscription-withdrawn": "oversize",
    "entries-claimed": "desert", "refusals-not-kept": "refuse", "refusals-kept": "refuse",
}
# Of these the subscription is lost with what is in its socket: nothing must be in there.
ALONE = ("cut", "oversize")
OVERSIZE = "x" * (8 << 20)  # more than any socket holds
# Passed a few times in a process's life: never at a later passage than the first.
SELDOM = re.compile("reload|drain|release|reco|journal|extend|reap|subscription|entries-claimed|refusals")
EVERYWHERE = ("* final slow 4 900", "mail final 451 4", "hook final 500 3", "mail final drop 1")


def points():
    """The names in the source, so that a new one is tested from the day it is there."""
    found = set()
    for path in (herald.ROOT / "src").rglob("*.c"):
        found.update(POINT.findall(path.read_text()))
    return sorted(found)


def points_killed(run):
    """kill -9 at every named point, with the subscription's socket kept in the store: nothing that a subscriber got is lost."""
    names = points()
    rig = run.rig(pace=250, has_store=True, redis={"enable_debug_command": "local"})
    daemon = rig.daemons[0]
    rig.begin().sink.rule(*EVERYWHERE)
    rig.pause(0.5, 0.6)
    rig.kill(daemon)
    hits = {name: 0 for name in names}
    for turn in range(run.count):
        for name in rig.random.sample(names, len(names)):
            passage = 1 if turn == 0 or SELDOM.match(name) else rig.random.choice((1, 2, 5, 20))
            hits[name] += kill_at(rig, daemon, name, passage, 4 if passage > 1 else 12) or kill_at(rig, daemon, name, 1)
    daemon.environment = {}
    missed = [name for name, count in hits.items() if count == 0]
    run.table("hit", hits)
    run.numbers["points"] = f"{len(names) - len(missed)}/{len(names)}"
    run.numbers["kills"] = sum(hits.values())
    if missed:
        run.fail("never hit: " + " ".join(missed))
    run.judge(rig)
    judge_refusals(run, rig)


def judge_refusals(run, rig):
    """Each entry that was no event is kept once, whatever died meanwhile. (A message of a channel has no id to know it by.)"""
    with rig.redis.client() as client:
        kept = [dict(zip(fields[::2], fields[1::2])) for _, fields in client.call("XRANGE", "herald:{0}:rejected", "-", "+")]
    entries = [fields[b"entry"] for fields in kept if b"entry" in fields]
    run.numbers["refused entries"] = len(entries)
    if sorted(entries) != sorted(rig.no_events):
        run.fail(f"{len(rig.no_events)} entries were no events, and {len(entries)} are kept, {len(set(entries))} of them different")


def kill_at(rig, daemon, name, passage, patience=12):
    """Starts it with that fault and waits for its death; was it the fault's?"""
    log = daemon.folder / "faults"
    log.unlink(missing_ok=True)
    daemon.environment = {"HERALD_FAULT": f"kill {name} {passage}", "HERALD_FAULT_LOG": str(log)}
    daemon.start(wait_ready=False, keep_store=True)
    deadline, next_push = time.monotonic() + patience, time.monotonic() + 0.7
    if PROVOKED.get(name) in ALONE:
        rig.publisher.is_paused.set()
    while daemon.process.is_running() and time.monotonic() < deadline:
        if name in PROVOKED and time.monotonic() > next_push:
            provoke(rig, daemon, PROVOKED[name])
            next_push = time.monotonic() + 1
        time.sleep(0.005)
    if not log.exists():
        rig.kill(daemon, f"by hand, {name} was not reached")
        rig.publisher.is_paused.clear()
        return False
    daemon.process.wait()
    rig.publisher.is_paused.clear()
    at = int(log.read_text().split()[1]) / 1000
    with rig.fault("kill", daemon.name, f"at {name}, passage {passage}") as fault:
        fault.start = at
    return True


def provoke(rig, daemon, how):
    if how == "reload":
        daemon.process.signal(signal.SIGHUP)
    elif how == "term":
        daemon.process.signal(signal.SIGTERM)
    else:
        with contextlib.suppress(OSError, ConnectionError), rig.redis.client() as client:
            provoke_by_redis(rig, client, how)


def provoke_by_redis(rig, client, how):
    if how == "forget":
        client.call("DEBUG", "CHANGE-REPL-ID")
        client.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    elif how == "cut":
        client.call("CLIENT", "KILL", "TYPE", "pubsub")
    elif how == "oversize":
        client.call("PUBLISH", CHANNELS["orders"], OVERSIZE)
    elif how == "refuse":
        client.call("PUBLISH", CHANNELS["orders"], "no event")
        rig.no_events.append(client.call("XADD", STREAMS["kept"], "*", "event", "no event"))
    else:  # a consumer reads it and is not seen again
        client.call("MULTI")
        client.call("XADD", STREAMS["kept"], "*", "event", "no event")
        client.call("XREADGROUP", "GROUP", "herald", "gone", "COUNT", "1", "STREAMS", STREAMS["kept"], ">")
        rig.no_events.append(client.call("EXEC")[0])


def random_kills(run):
    """kill -9 at random times, nothing stored: what was accepted is sent, or listed."""
    rig = run.rig(pace=400)
    rig.begin().sink.rule(*EVERYWHERE)
    for _ in range(run.count):
        rig.pause(0.02, 0.6)
        rig.kill(rig.daemons[0])
        rig.daemons[0].start()
    run.numbers["kills"] = run.count
    run.judge(rig, promise="accepted")


def both_killed(run):
    """Both of two instances, a moment apart, and started again in another order."""
    rig = run.rig(pace=300, instances=2)
    rig.begin().sink.rule(*EVERYWHERE)
    for _ in range(run.count):
        rig.pause(0.2, 1.2)
        for daemon in rig.random.sample(rig.daemons, 2):
            rig.kill(daemon)
            rig.pause(0, 0.05)
        for daemon in rig.random.sample(rig.daemons, 2):
            rig.pause(0, 0.3)
            daemon.start()
    run.numbers["kills"] = 2 * run.count
    run.judge(rig, promise="accepted")


def stored_subscription(run):
    """kill -9 under 5,000 events a second, the socket in the store meanwhile: of what Redis gave to a subscriber nothing is
    lost, and there always is one."""
    rig = run.rig(pace=5000, mix=(("quiet", 95), ("orders", 5)), log_level="notice", has_store=True, repeats=0, conflicts=0)
    rig.begin()
    daemon = rig.daemons[0]
    wait_for(daemon.notify.names, 10, "a stored socket")
    for _ in range(run.count):
        rig.pause(0.05, 0.3)
        rig.kill(daemon)
        rig.pause(0, 0.2)
        daemon.start(keep_store=True)
    deaf = sum(1 for one in rig.publisher.log if not one.heard)
    run.numbers["kills"] = run.count
    if deaf:
        run.fail(f"{deaf} events reached no subscriber")
    run.judge(rig)


def no_store(run):
    """Without the store what is published while nobody listens is lost, and for how long that was is said: not too short, and
    at most a tenth and a canary's second too long."""
    rig = run.rig(pace=200)
    rig.begin()
    daemon = rig.daemons[0]
    for _ in range(run.count):
        rig.pause(2, 3)
        mark = daemon.log.mark()
        killed_at = time.time()
        rig.kill(daemon)
        rig.pause(6, 10)
        daemon.start()
        [line] = daemon.log.wait_event("source.gap", after=mark)[:1]
        subscribed = daemon.log.wait_event("redis.subscribed", after=mark)[0]
        true = time.time() - killed_at
        said = line.get("ms", 0) / 1000
        run.numbers.setdefault("gaps", []).append(f"{said:.1f}/{true:.1f}")
        if not 0.9 * true - 1 <= said <= 1.1 * true + 1.2:
            run.fail(f"a gap of {true:.2f} s was said to be {said:.2f} s ({subscribed})")
    run.judge(rig, promise="accepted")


def frozen(run):
    """SIGSTOP for 0.1 to 3 leases, with another instance that takes over: nothing lost; a second send only by `resend`, past
    the commit."""
    rig = run.rig(pace=250, instances=2)
    rig.begin().sink.rule("* final slow 5 700", "mail data slow 12 500")  # some are stopped before the commit, some after
    for _ in range(run.count):
        rig.freeze(rig.random.choice(rig.daemons), rig.random.uniform(0.1, 3) * LEASE_S)
        rig.pause(0.1, 0.5)
    run.numbers["stops"] = run.count
    run.judge(rig)


def rolling(run):
    """SIGTERM under load and a rolling restart of two: nothing lost, nothing repeated."""
    rig = run.rig(pace=400, instances=2)
    rig.begin().sink.rule("* final slow 5 300")
    for turn in range(run.count):
        daemon = rig.daemons[turn % 2]
        rig.pause(0.2, 0.8)
        with rig.fault("term", daemon.name):
            status = daemon.stop()
        if status != 0:
            run.fail(f"SIGTERM: exit status {status}")
        daemon.start()
    run.numbers["restarts"] = run.count
    run.judge(rig)


def redis_killed(run, options, **rules):
    options = {"save": '""', **options}
    rig = run.rig(pace=120 if rules.get("redis_forgets") else 300, redis=options)
    if rules.get("redis_forgets"):
        with rig.redis.client() as client:
            client.call("SAVE")  # what it will begin with again: the users
    rig.begin().sink.rule("* final slow 4 400")
    for turn in range(run.count):
        rig.pause(0.2, 1.0)
        if rules.get("redis_forgets") and turn % 10 == 9:
            catch_up(rig)
        mark = rig.daemons[0].log.mark()
        with rig.fault("redis", what="kill -9"):
            rig.redis.kill()
            rig.pause(0, 0.6)
            rig.redis.start()
        rig.daemons[0].log.wait_event("redis.subscribed", after=mark, timeout=30)
    run.numbers["redis kills"] = run.count
    run.judge(rig, promise="accepted", **rules)


def catch_up(rig):
    """An event is told again for a minute (RECALL_RETOLD_MS): what is accepted must have been sent by then, and between faults
    that follow one another there is little time for it."""
    with rig.redis.client() as client:
        wait_for(lambda: rig.under_way(client) < 60, 40, lambda: f"a backlog that is worked off: {rig.under_way(client)}")


def redis_killed_always(run):
    """redis-server killed, appendfsync always: nothing lost, nothing repeated."""
    redis_killed(run, {"appendonly": "yes", "appendfsync": "always"})


def redis_killed_everysec(run):
    """... everysec: what Redis lost is told to it again."""
    redis_killed(run, {"appendonly": "yes", "appendfsync": "everysec"})


def redis_killed_without_persistence(run):
    """... with nothing but an old snapshot: what is lost is what Redis had and no ring or lane."""
    redis_killed(run, {}, redis_forgets=True)


def redis_held_up(run):
    """Redis stands still, pauses its clients, throws them out, forgets its scripts, and is full: nothing lost or repeated."""
    rig = run.rig(pace=300, redis={"maxmemory_policy": "noeviction"})
    rig.begin().sink.rule("* final slow 3 300")
    faults = [stop_redis, pause_clients, kill_clients, flush_scripts, fill_memory]
    for turn in range(run.count):
        fault = faults[turn % len(faults)]
        rig.pause(0.2, 0.8)
        with rig.fault("cut", what=fault.__name__):
            fault(rig)
    run.numbers["faults"] = run.count
    run.judge(rig, promise="accepted")


def stop_redis(rig):
    rig.redis.process.signal(signal.SIGSTOP)
    rig.pause(0.2, 3.5)
    rig.redis.process.signal(signal.SIGCONT)


def pause_clients(rig):
    with rig.redis.client() as client:
        client.call("CLIENT", "PAUSE", rig.random.randrange(100, 2500), rig.random.choice(("ALL", "WRITE")))


def kill_clients(rig):
    with rig.redis.client() as client:
        client.call("CLIENT", "KILL", "TYPE", rig.random.choice(("normal", "pubsub")), "SKIPME", "yes")


def flush_scripts(rig):
    with rig.redis.client() as client:
        for _ in range(20):
            client.call("SCRIPT", "FLUSH")
            time.sleep(0.05)  # how often is what is tested


def fill_memory(rig):
    with rig.redis.client() as client:
        client.call("CONFIG", "SET", "maxmemory", "1mb")
        rig.pause(0.5, 1.5)
        client.call("CONFIG", "SET", "maxmemory", "0")


def emptied(run):
    """FLUSHALL under load, of two instances: what is held is told again; the rest is gone with Redis, and only that."""
    rig = run.rig(pace=200, instances=2, redis={})
    rig.begin()
    for _ in range(run.count):
        rig.pause(1.0, 2.0)
        with rig.fault("redis", what="FLUSHALL"), rig.redis.client() as client:
            client.call("MULTI")
            client.call("FLUSHALL")
            rig.store_users(client)
            client.call("EXEC")
    run.numbers["flushes"] = run.count
    run.judge(rig, promise="accepted", redis_forgets=True)


def wrong_types(run):
    """Keys of ours that hold something foreign for a while: no crash, nothing lost."""
    rig = run.rig(pace=200)
    rig.begin().sink.rule("mail final 451 5")
    names = ("lanes", "proved", "instances", "status", "dead-bytes", "dead", "again:mail")
    for turn in range(run.count):
        rig.pause(0.3, 0.8)
        key = "herald:{0}:" + names[turn % len(names)]
        with rig.fault("cut", what=f"{key} is of another type"), rig.redis.client() as client:
            kept = client.call("DUMP", key)
            client.call("MULTI")
            client.call("DEL", key)
            client.call("LPUSH", key, "foreign")
            client.call("EXEC")
            rig.pause(0.3, 1.0)
            client.call("DEL", key)
            if kept is not None:
                client.call("RESTORE", key, 0, kept, "REPLACE")
        if not rig.daemons[0].process.is_running():
            run.fail(f"it fell over a foreign {key}")
            rig.daemons[0].start()
    run.numbers["keys"] = run.count
    run.judge(rig, promise="accepted")


def dropped_answers(run):
    """The receiver takes it and closes without a word: `resend` sends at most once more for each, `hold` never, and HTTP never
    twice within one attempt."""
    rig = run.rig(pace=300)
    rig.begin().sink.rule("mail final drop 10", "held final drop 10", "hook final drop 10")
    wait_for(lambda: dropped(rig) >= run.count, 30 + run.count, lambda: f"{run.count} dropped answers: {dropped(rig)}")
    run.numbers["drops"] = dropped(rig)
    run.judge(rig)


def dropped(rig):
    with open(rig.sink.log, "rb") as file:
        return sum(1 for line in file if line.startswith(b"R\t") and line.endswith(b"\t0\n"))


STORMS = (
    ("mail final 451 60", "held final 451 60", "hook final 500 60"),
    ("mail final 550 30", "held rcpt 550 30", "hook final 422 30"),
    ("mail connect 421 50", "held mail 421 30", "mail final 421 30"),
    ("hook final 429 60", "mail rcpt 450 40"),
    ("* connect slow 30 300", "* ehlo slow 20 300"), ("* mail slow 20 300", "* rcpt slow 20 300"),
    ("* data slow 20 300", "* final slow 30 2500"),
    ("mail data drop 20", "mail rcpt drop 20", "held ehlo drop 20"),
)


def storms(run):
    """Refusals for now and for good, storms of 421 and 429, and slow replies at each stage: nothing lost, nothing twice."""
    rig = run.rig(pace=150)
    rig.begin()
    for turn in range(run.count):
        storm = STORMS[turn % len(STORMS)]
        with rig.fault("sink", what=", ".join(storm)):
            rig.sink.rule(*storm)
            rig.pause(1.5, 2.5)
            rig.sink.rule("* clear")
        rig.pause(0.3, 0.6)
    run.numbers["storms"] = run.count
    run.judge(rig, may_die=frozenset(("mail", "held", "hook")))


def race(run):
    """Two instances hear the same 10,000 events: exactly 10,000 are sent, every time."""
    rig = run.rig(pace=100, instances=2, log_level="notice", mix=(("orders", 1),), repeats=0, conflicts=0, mail_more="")
    rig.begin()
    rig.publisher.end()
    for _ in range(run.count):
        before, first = rig.sink.count(), rig.publisher.count
        made = []
        for number in range(first, first + 10000):
            made.append(rig.publisher.make("orders", number))
        rig.publisher.count += 10000
        wanted = len(rig.publisher.log) + 10000
        rig.publisher.publish(made)
        wait_for(lambda: rig.sink.count() >= wanted, 120, lambda: f"{wanted} sent: {rig.sink.count()}")
        run.numbers.setdefault("sent each time", []).append(rig.sink.count() - before)
    run.judge(rig)


def nowhere_to_write(run):
    """The state directory is full, stderr is closed, or its reader has stopped: sends go on, and kills lose nothing."""
    rig = run.rig(pace=200)
    daemon, ways = rig.daemons[0], (full_disk, closed_stderr, stopped_reader)
    rig.begin()
    for turn in range(run.count):
        rig.kill(daemon)
        with ways[turn % len(ways)](rig, daemon):
            sent = rig.sink.count()
            wait_for(lambda: rig.sink.count() > sent + 100, 20, f"sends go on with {ways[turn % len(ways)].__name__}")
            rig.kill(daemon)
        daemon.start()
    run.numbers["turns"] = run.count
    # On a full disk no answer is noted: a kill takes with it all that Redis has not heard, up to what the lanes hold.
    run.judge(rig, promise="accepted", in_flight=3 * 4 * CONNECTIONS)


@contextlib.contextmanager
def full_disk(rig, daemon):
    """Its own small file system, or, for who may not mount, a directory whose files are at their limit already."""
    state = daemon.state_folder()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", state], capture_output=True, check=False).returncode:
        daemon.start()
        yield
        return
    try:
        with contextlib.suppress(OSError), open(state / "ballast", "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        daemon.start()
        yield
    finally:
        daemon.kill()
        subprocess.run(["umount", state], check=False)


@contextlib.contextmanager
def closed_stderr(rig, daemon):
    wrapper = daemon.folder / "without-stderr"
    wrapper.write_text(f'#!/bin/sh\nexec "{herald.HERALDD}" "$@" 2>&-\n')
    wrapper.chmod(0o755)
    program, herald.HERALDD = herald.HERALDD, wrapper
    try:
        daemon.start()
    finally:
        herald.HERALDD = program
    yield


@contextlib.contextmanager
def stopped_reader(rig, daemon):
    """As a journald that is stopped: the pipe is full, and nobody reads."""
    with daemon.started_unread():
        yield
        daemon.kill()


def damaged_journal(run):
    """The journal is cut at every byte and damaged in every byte of every record: it is used up to there, that is said, and
    nothing is called sent for it that was not."""
    rig = run.rig(pace=1)
    daemon, client = rig.daemons[0], rig.redis.client()
    keys, journal = sent_and_not_told(rig, daemon, client)
    records = len(journal) // 32
    cuts = [(journal[:at], at // 32, at % 32 != 0) for at in range(len(journal) + 1)]
    flips = [(journal[:at] + bytes([journal[at] ^ 1 << rig.random.randrange(8)]) + journal[at + 1:], at // 32, True)
             for at in range(len(journal))]
    chosen = rig.random.sample(cuts + flips, min(run.count, len(cuts + flips)))
    for data, usable, is_damaged in chosen:
        client.call("FLUSHDB")
        client.pipeline([("RESTORE", key, 0, value) for key, value in keys.items()])
        for path in daemon.state_folder().glob("outcomes.*"):
            path.write_bytes(data if path.name.endswith(".0") else b"")
        mark = daemon.log.mark()
        daemon.start()
        states = [client.call("HGET", key, "0")[:1] for key in keys if ":e:" in key]
        daemon.kill()
        said = [line for line in daemon.log.read()[mark:] if line.get("event") == "journal.damaged"]
        if states.count(b"S") != usable or bool(said) != is_damaged:
            run.fail(f"{len(data)} of {len(journal)} bytes, {usable} records usable: {states.count(b'S')} called sent, "
                     f"{'' if said else 'not '}said to be damaged")
    run.numbers["records"], run.numbers["damages"] = records, len(chosen)
    # What the last one left is finished as usual.
    client.call("FLUSHALL")
    rig.store_users(client)
    rig.publisher.log.clear()
    rig.sink.forget()
    client.close()
    run.judge(rig)


def sent_and_not_told(rig, daemon, client):
    """Redis' keys and the journal as they are when four mails were taken and Redis has not heard of it."""
    rig.sink.rule("mail final slow 100 700")
    for number in range(4):
        client.publish(CHANNELS["orders"], rig.publisher.make("orders", number)[1])
    wait_for(lambda: rig.sink.count() == 4, 20, "four mails taken")
    rig.redis.process.signal(signal.SIGSTOP)

    def noted():
        data = b"".join(path.read_bytes() for path in sorted(daemon.state_folder().glob("outcomes.*")))
        return data if len(data) == 4 * 32 else None
    journal = wait_for(noted, 20, "four answers noted")
    daemon.kill()
    rig.redis.process.signal(signal.SIGCONT)
    rig.publisher.count = 100
    rig.sink.rule("* clear")
    return {key: client.call("DUMP", key) for key in client.keys("*")}, journal


def limited(run):
    """A provider's limit, two instances and kills: the receiver never sees more than the limit allows, in any window."""
    count, burst = 60, 20
    rig = run.rig(pace=120, instances=2, mix=(("orders", 1),), mail_more=f"rate = {count}/1s burst {burst}")
    rig.begin()
    for _ in range(run.count):
        rig.pause(0.3, 1.2)
        daemon = rig.random.choice(rig.daemons)
        rig.kill(daemon)
        daemon.start()
    run.numbers["kills"] = run.count
    # What is granted may wait for a connection: each of them may come late by that.
    run.judge(rig, promise="accepted", rates={"mail": (count, burst + 2 * CONNECTIONS)})


# name, family, how often: quick, full
FAMILIES = (
    ("points", points_killed, 3, 25),
    ("random-kills", random_kills, 50, 1000),
    ("both-killed", both_killed, 10, 100),
    ("stored-subscription", stored_subscription, 50, 500),
    ("no-store", no_store, 1, 10),
    ("frozen", frozen, 20, 300),
    ("rolling", rolling, 10, 100),
    ("redis-always", redis_killed_always, 10, 100),
    ("redis-everysec", redis_killed_everysec, 10, 100),
    ("redis-no-persistence", redis_killed_without_persistence, 5, 50),
    ("redis-held-up", redis_held_up, 10, 100),
    ("emptied", emptied, 3, 30),
    ("wrong-types", wrong_types, 7, 70),
    ("dropped-answers", dropped_answers, 50, 500),
    ("storms", storms, len(STORMS), 10 * len(STORMS)),
    ("race", race, 3, 20),
    ("limited", limited, 6, 60),
    ("nowhere-to-write", nowhere_to_write, 6, 60),
    ("damaged-journal", damaged_journal, 60, 257),
)
# What `./dev test` runs: the most telling, each shortened.
SHORT = (("points", points_killed, 1), ("random-kills", random_kills, 8), ("redis-always", redis_killed_always, 3),
         ("dropped-answers", dropped_answers, 20))
