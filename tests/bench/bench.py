"""Speed and size of heraldd, as ratios to bare libcurl and bare Redis in the same run.

usage: bench.py --build DIR [--quick | --full] [--only ROW,ROW]

Machines are noisy and shared with the servers that receive, so the absolute figures say little; heraldd and its mark take
turns, and each figure is the median of the turns. Nothing passes or fails here: it prints one table.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("--build", default="build/dev", help="directory of the build to measure")
options.add_argument("--quick", action="store_true", help="a tenth of the load, one turn")
options.add_argument("--full", action="store_true", help="also a backlog of 1,000,000 (several minutes)")
options.add_argument("--only", default="", help="comma-separated: mail push accept latency idle logs backlog")
options = options.parse_args()
build = pathlib.Path(options.build).resolve()
os.environ["HERALDD"] = str(build / "src/app/heraldd")
os.environ["HERALDCTL"] = str(build / "src/ctl/heraldctl")

import herald  # noqa: E402  the environment above is read when it is imported
from load import (CHANNEL, CONFIG, MAIL, NULL, PUSH, USERS, Publisher, Tail, start, store_users)  # noqa: E402
from processes import free_port, is_listening, wait_for  # noqa: E402
from resp import encode  # noqa: E402

rows = []


def say(text):
    print(f"   … {text}", file=sys.stderr, flush=True)


def row(name, measured, mark="", ratio=None, reach=""):
    rows.append((name, measured, mark, "" if ratio is None else f"{ratio:.2f}", reach))


def per_thousand(begin, end, n):
    return (end["cpu_s"] - begin["cpu_s"]) * 1000 / n


def run_json(*argv):
    done = subprocess.run([str(arg) for arg in argv], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise RuntimeError(f"{argv[0]}: {done.stderr}")
    return json.loads(done.stdout)


def send_in_turns(name, reach, redis, daemon, bare, n, turns):
    """Rows of a lane: its speed against bare(n), and what a delivery costs heraldd and Redis."""
    publisher, rates, marks, costs, redis_costs = Publisher(redis), [], [], [], []
    for turn in range(turns + 1):
        count = n if turn else max(n // 10, 200)  # turn 0 warms up connections and caches
        mark = bare(count)
        commands, tail = publisher.prepare(count), Tail(daemon, "delivery.sent")
        before, redis_before, begun = daemon.process.stat(), redis.process.stat(), time.monotonic()
        thread = publisher.publish(commands)
        tail.wait(count, 300)
        took = time.monotonic() - begun
        thread.join()
        tail.close()
        if turn:
            rates.append(count / took)
            marks.append(mark["per_second"])
            costs.append(per_thousand(before, daemon.process.stat(), count))
            redis_costs.append(per_thousand(redis_before, redis.process.stat(), count))
            say(f"{name}: {rates[-1]:,.0f}/s, bare {marks[-1]:,.0f}/s")
    publisher.close()
    rate, mark = statistics.median(rates), statistics.median(marks)
    row(name, f"{rate:,.0f}/s", f"bare libcurl {mark:,.0f}/s",
        statistics.median(a / b for a, b in zip(rates, marks)), reach)
    row(f"  CPU s per 1,000 of {name}", f"{statistics.median(costs):.3f} heraldd",
        f"{statistics.median(redis_costs):.3f} Redis")


def bench_mail(n, turns):
    with herald.World() as world:
        redis, sink = world.redis(), world.smtp_sink(keep=False)
        kept = world.smtp_sink()
        store_users(redis)
        # The bare pool sends what heraldd sends, byte for byte: one mail of its own, taken from a sink.
        daemon = start(world, redis, "email", MAIL.format(url=kept.url), name="model")
        publisher = Publisher(redis)
        publisher.send_all(publisher.prepare(1))
        daemon.log.wait_event("delivery.sent")
        message = world.folder / "message"
        written = next(kept.mail_folder.iterdir()).read_bytes()
        # smtp-sink writes what it knows of the envelope, and one Received header, before the mail itself.
        mail = re.sub(rb"\A(X-[A-Za-z-]+: .*\n)*(Received: .*\n([ \t].*\n)*)?", b"", written)
        message.write_bytes(mail.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
        publisher.close()
        daemon.stop()
        with redis.client() as client:
            client.call("FLUSHALL")
        store_users(redis)

        daemon = start(world, redis, "email", MAIL.format(url=sink.url))
        send_in_turns("mail", "≥ 0.7, then 0.8", redis, daemon,
                      lambda count: run_json(build / "tests/bench/bare_smtp", sink.url, 16, count, message), n, turns)


def bench_push(n, turns):
    with herald.World() as world:
        redis, server = world.redis(), world.nghttpd()
        store_users(redis)
        body = world.folder / "body"
        body.write_text('{"token": "token-%032x", "title": "Order o-123456", "body": "It is confirmed."}\n' % 7)
        daemon = start(world, redis, "push", push=PUSH.format(url=server.url, ca=server.certificate))
        send_in_turns("push", "≥ 0.5, then 0.7", redis, daemon,
                      lambda count: run_json(build / "tests/bench/bare_http", server.url + "/push", server.certificate, 100,
                                             count, body), n, turns)


def monitored(line):
    """The command in a line of MONITOR, or None: `+1700000000.1 [0 127.0.0.1:1] "EVALSHA" "…"`."""
    match = re.match(rb'\+\d+\.\d+ \[\d+ (?!lua)[^\]]*\] (.*)', line)
    if not match:
        return None
    escapes = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}

    def unescape(found):
        what = found.group(1)
        return bytes([int(what[1:], 16)]) if what[:1] == b"x" else escapes.get(what, what)

    return [re.sub(rb"\\(x[0-9a-f]{2}|.)", unescape, arg)
            for arg in re.findall(rb'"((?:[^"\\]|\\.)*)"', match.group(1))]


def accept_command(redis, publish):
    """The accept that heraldd itself sends when a batch arrives, as redis-benchmark's arguments, and its number of events.
    Each event's eid is replaced by one that redis-benchmark makes anew for every call."""
    with redis.client() as monitor, redis.client() as client:
        known = set(herald.State(client).events())
        monitor.call("MONITOR")
        publish()
        eids = [eid.encode() for eid in herald.State(client).events() if eid not in known]
        client.call("ECHO", "end of the benchmark's look")
        best, best_count = None, 0
        while True:
            line = monitor.file.readline()
            if b"end of the benchmark's look" in line:
                break
            command = monitored(line)
            if command and command[0].upper() == b"EVALSHA":
                count = sum(command.count(eid) for eid in eids)
                if count > best_count:
                    best, best_count = command, count
    if best is None:
        raise RuntimeError("heraldd sent no accept that MONITOR saw")
    places = [index for index, arg in enumerate(best) if arg in eids]
    if len({best[index] for index in places}) != len(places):
        raise RuntimeError("an eid stands twice in one accept: redis-benchmark can't make it anew")
    for number, index in enumerate(places):
        # 24 hex digits like a real one: 12 of the place, 12 that redis-benchmark fills in.
        best[index] = b"%012x__rand_int__" % number
    return best, best_count


def bench_accept(n, turns):
    """A flood with the lanes full. heraldd is stopped while the flood is published and then let go, so that the publisher
    costs neither side anything."""
    with herald.World() as world:
        redis = world.redis()
        store_users(redis)
        daemon = start(world, redis, "email", NULL.format(behaviour="hang", connections=1))
        publisher = Publisher(redis)

        def accepted():
            with redis.client() as client:
                counts = [client.call("ZCARD", key) for key in client.keys("herald:{0}:due:*")]
                return sum(counts) + client.call("ZCARD", "herald:{0}:lease")

        def flood(count):
            before = accepted()
            daemon.process.signal(signal.SIGSTOP)
            publisher.send_all(publisher.prepare(count))
            begun = time.monotonic()
            daemon.process.signal(signal.SIGCONT)
            wait_for(lambda: accepted() >= before + count, 300, lambda: f"{before + count} accepted (is {accepted()})")
            return count / (time.monotonic() - begun)

        flood(100)
        command, events = accept_command(redis, lambda: flood(2000))
        rates, marks = [], []
        for _ in range(turns):
            calls = max(n // events, 1)
            # In CSV: "the command","rps", and six latencies; the command may hold anything.
            said = subprocess.run(
                ["redis-benchmark", "-h", "127.0.0.1", "-p", str(redis.port), "-c", "1", "-P", "16", "-n", str(calls),
                 "-r", "2000000000", "--csv", *command], capture_output=True, stdin=subprocess.DEVNULL, check=True)
            last = said.stdout.decode(errors="replace").strip().splitlines()[-1]
            marks.append(float(re.search(r'"([\d.]+)"(,"[\d.]+"){6}$', last).group(1)) * events)
            rates.append(flood(n))
            say(f"accept: {rates[-1]:,.0f}/s, redis-benchmark {marks[-1]:,.0f}/s with {events} events a call")
        publisher.close()
        row("accept, lanes full", f"{statistics.median(rates):,.0f}/s",
            f"redis-benchmark {statistics.median(marks):,.0f}/s ({events} a call)",
            statistics.median(a / b for a, b in zip(rates, marks)), "≥ 0.6")
        daemon.kill()


def bench_latency(seconds):
    """From PUBLISH to the first byte after DATA, at 1,000 a second; the receiver is stamp_sink, which notes the age."""
    with herald.World() as world:
        redis, port, ages = world.redis(), free_port(), world.folder / "ages"
        store_users(redis)
        world.process("stamp_sink", [build / "tests/bench/stamp_sink", port, ages])
        wait_for(lambda: is_listening(port), 10, "stamp_sink")
        daemon = start(world, redis, "email", MAIL.format(url=f"smtp://127.0.0.1:{port}"))
        count = 1000 * seconds
        with redis.client() as client:
            begun = time.monotonic_ns()
            for i in range(count):
                due = begun + i * 1_000_000
                while (wait := due - time.monotonic_ns()) > 0:
                    time.sleep(wait / 1e9)
                body = json.dumps({"orderId": f"t{time.monotonic_ns():019d}", "userId": f"u-{i % USERS}",
                                   "confirmedAt": "2026-01-01T10:00:00Z"})
                client.publish(CHANNEL, body)
        wait_for(lambda: ages.read_bytes().count(b"\n") >= count, 60, lambda: "all mails of the latency run")
        values = sorted(int(age) / 1000 for age in ages.read_text().split()[count // 10:])  # the first tenth warms up
        p50, p99 = values[len(values) // 2], values[len(values) * 99 // 100]
        row("publish to first body byte, 1,000/s", f"p50 {p50:.2f} ms, p99 {p99:.2f} ms", f"max {values[-1]:.1f} ms",
            reach="p50 ≤ 1, p99 ≤ 5")
        daemon.stop()


def bench_idle(seconds):
    with herald.World() as world:
        redis, sink, server = world.redis(), world.smtp_sink(), world.nghttpd()
        store_users(redis)
        readies = []
        for turn in range(3):
            daemon = start(world, redis, "email push", MAIL.format(url=sink.url),
                           PUSH.format(url=server.url, ca=server.certificate), name=f"idle-{turn}")
            readies.append((daemon.notify.ready_at - daemon.started_at) * 1000)
            if turn < 2:
                daemon.stop()
        time.sleep(1)  # what start-up still does is not idling
        switches = daemon.process.context_switches()
        time.sleep(seconds)
        wakes = (daemon.process.context_switches() - switches) / seconds
        size = daemon.process.stat()
        row("idle: memory", f"RssAnon {size['rss_anon'] / 2**20:.1f} MiB, RSS {size['rss'] / 2**20:.1f} MiB", "",
            reach="≤ 6, ≤ 20")
        row("idle: wake-ups", f"{wakes:.1f}/s", f"{size['threads']} threads", reach="< 10/s")
        row("READY after start", f"{statistics.median(readies):.0f} ms", "", reach="< 100 ms")
        daemon.stop()


def bench_logs(n, turns):
    """What it costs to write two lines for each mail, beside none: into a file, and into a pipe that nobody reads. The three
    take turns, each with a new process. stamp_sink counts what arrives, for one of them has no log to count in."""
    with herald.World() as world:
        redis, port, ages = world.redis(client_output_buffer_limit="pubsub 0 0 0"), free_port(), world.folder / "ages"
        store_users(redis)
        world.process("stamp_sink", [build / "tests/bench/stamp_sink", port, ages])
        wait_for(lambda: is_listening(port), 10, "stamp_sink")
        publisher, ways = Publisher(redis), ("none", "written", "unread")
        rates, costs = {way: [] for way in ways}, {way: [] for way in ways}
        for turn in range(turns + 1):
            count = n if turn else n // 10  # turn 0 warms up Redis and the sink
            for way in ways:
                daemon = start(world, redis, "email", MAIL.format(url=f"smtp://127.0.0.1:{port}"), name=f"{way}-{turn}",
                               head=f"log_level = {'error' if way == 'none' else 'info'}", begin=False)
                with daemon.started_unread() if way == "unread" else contextlib.nullcontext(daemon.start()):
                    commands, there, before = publisher.prepare(count), ages.stat().st_size, daemon.process.stat()
                    begun = time.monotonic()
                    thread = publisher.publish(commands)
                    wait_for(lambda: ages.stat().st_size >= there + count * len("-1\n"), 300, "all mails of a turn")
                    took = time.monotonic() - begun
                    if turn:
                        rates[way].append(count / took)
                        costs[way].append(per_thousand(before, daemon.process.stat(), count))
                        say(f"logs: {way}: {rates[way][-1]:,.0f}/s, {costs[way][-1]:.3f} CPU s per 1,000")
                    thread.join()
                    daemon.stop()
        publisher.close()
        for way in ways[1:]:
            row(f"mail, its log {way}", f"{2 * statistics.median(rates[way]):,.0f} lines/s",
                f"without {statistics.median(rates['none']):,.0f} mails/s",
                statistics.median(a / b for a, b in zip(rates[way], rates["none"])), "≥ 0.95")
            row(f"  CPU s per 1,000, its log {way}", f"{statistics.median(costs[way]):.3f} heraldd",
                f"without {statistics.median(costs['none']):.3f}",
                statistics.median(b / a for a, b in zip(costs[way], costs["none"])))


def bench_backlog(n):
    """How fast an empty instance sends, and one with n waiting; through the null lane, so that the queue is what is measured."""
    with herald.World() as world:
        redis = world.redis(client_output_buffer_limit="pubsub 0 0 0")
        store_users(redis)
        publisher, probe, ok = Publisher(redis), 50000, NULL.format(behaviour="ok", connections=16)

        def rate(daemon, count):
            tail, begun = Tail(daemon, "delivery.sent"), time.monotonic()
            tail.wait(count, 600)
            tail.close()
            return count / (time.monotonic() - begun)

        daemon = start(world, redis, "email", ok, name="empty")
        commands = publisher.prepare(probe)
        thread = publisher.publish(commands)
        empty = rate(daemon, probe)
        thread.join()
        daemon.stop()

        say(f"making a backlog of {n:,}")
        daemon = start(world, redis, "email", NULL.format(behaviour="hang", connections=1), name="full")
        for _ in range(0, n, 50000):
            publisher.send_all(publisher.prepare(50000))
        with redis.client() as client:
            def waiting():
                return client.call("ZCARD", "herald:{0}:due:mail")
            # What the lane holds is leased, not due.
            wait_for(lambda: waiting() >= n - 2048, 900, lambda: f"{n} waiting (are {waiting()})")
        peak = daemon.process.stat()["rss_peak"]
        daemon.kill()

        daemon = start(world, redis, "email", ok, name="drains")
        full = rate(daemon, min(n // 2, 4 * probe))
        peak = max(peak, daemon.process.stat()["rss_peak"])
        row(f"backlog of {n:,}", f"{full:,.0f}/s", f"empty {empty:,.0f}/s", full / empty, "≥ 0.9")
        row("  its largest RSS", f"{peak / 2**20:.0f} MiB", "", reach="≤ 64")
        publisher.close()
        daemon.kill()


def print_table():
    table = [("what", "heraldd", "beside it", "ratio", "reach"), *rows]
    widths = [max(len(line[column]) for line in table) for column in range(5)]
    print()
    for index, line in enumerate(table):
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())
        if index == 0:
            print("  ".join("-" * width for width in widths))
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        models = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    print(f"\n{os.cpu_count()} cores ({models[0] if models else 'unknown'}), shared with Redis, the receivers and this script.")


def main():
    scale, turns = (10, 1) if options.quick else (1, 3)
    benches = {
        "mail": lambda: bench_mail(20000 // scale, turns),
        "push": lambda: bench_push(20000 // scale, turns),
        "accept": lambda: bench_accept(100000 // scale, turns),
        "latency": lambda: bench_latency(3 if options.quick else 10),
        "logs": lambda: bench_logs(40000 // scale, turns),
        "idle": lambda: bench_idle(3 if options.quick else 10),
    }
    if options.full:
        benches["backlog"] = lambda: bench_backlog(1000000)
    wanted = [name for name in options.only.split(",") if name] or list(benches)
    status = 0
    for name in wanted:
        if name == "backlog" and name not in benches:
            benches[name] = lambda: bench_backlog(1000000 // scale)
        say(f"measuring {name}")
        try:
            benches[name]()
        except (AssertionError, OSError, RuntimeError, subprocess.SubprocessError) as error:
            row(name, "failed", "", reach="")
            print(f"{name}: {error}", file=sys.stderr)
            status = 1
    print_table()
    return status


if __name__ == "__main__":
    sys.exit(main())
