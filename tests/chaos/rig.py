"""What a family of faults runs: a Redis, the receivers, one or two heraldd with short leases, a publisher that never stops,
and a log of the faults. At the end it heals, waits until nothing is under way, and collects the evidence."""

import contextlib
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import threading
import time

import herald
import judge
from processes import Process, free_port, wait_for
from watch import Watch

SINK = pathlib.Path(os.environ.get("CHAOS_SINK", herald.ROOT / "build/chaos/tests/chaos/chaos_sink"))

LEASE_S = 2.0
BACKOFF_S = 0.3
CONNECTIONS = 4
USERS = 50
QUIET_S = 1.0      # as long nothing has to be under way
FORGOTTEN_S = 6.5  # ... where Redis may have been emptied, which is found out by the next heartbeat, every 5 s
HEAL_S = 90        # a breaker waits up to a minute, and retries up to two seconds
BACKLOG_PACE = 1000  # events a second that are settled once nothing is in the way, on a slow machine

CONFIG = """
[herald]
templates = $templates
log_format = json
log_level = $log_level
instance = $instance
lease = 2s
lease_margin = 300ms
canary_interval = 1s
drain_timeout = 10s
allow_unfit_redis = yes

[redis]
url = $redis
connect_timeout = 2s
command_timeout = 2s

[source orders]
channel = order:confirmed
id = orderId
notification = orders

[source held]
channel = order:held
id = orderId
notification = held

[source both]
channel = order:both
id = orderId
notification = both

[source quiet]
channel = order:quiet
id = orderId
notification = quiet

[source kept]
type = stream
stream = order:kept
id = orderId
notification = kept

[notification orders]
channels = email:mail

[notification kept]
channels = email:mail

[notification held]
channels = email:held

[notification both]
channels = email:mail webhook

[notification quiet]
channels = email:quiet

[provider mail]
channel = email
type = smtp
url = smtp://127.0.0.1:$mail
from = orders@shop.example
connections = 4
backoff_base = 300ms
backoff_max = 2s
timeout = 20s
$mail_more

[provider held]
channel = email
type = smtp
url = smtp://127.0.0.1:$held
from = orders@shop.example
connections = 4
backoff_base = 300ms
backoff_max = 2s
timeout = 20s
on_unknown = hold

[provider hook]
channel = webhook
type = http
url = http://127.0.0.1:$hook/orders
connections = 4
backoff_base = 300ms
backoff_max = 2s
timeout = 20s

[provider quiet]
channel = email
type = null
from = orders@shop.example
"""

CHANNELS = {"orders": "order:confirmed", "held": "order:held", "both": "order:both", "quiet": "order:quiet"}
STREAMS = {"kept": "order:kept"}
LANES = {"orders": ["mail"], "kept": ["mail"], "held": ["held"], "both": ["mail", "hook"], "quiet": ["quiet"]}
BODY = "mark:{{recipient.name}}/{{orderId}}:\n\nThank you for your order {{orderId}}.\n"
TEMPLATES = {f"{name}/{part}": text for name in LANES
             for part, text in (("subject.txt", "{{orderId}}\n"), ("body.txt", BODY))}


def command(source, body):
    """How an event of this source is sent."""
    return ("XADD", STREAMS[source], "*", "event", body) if source in STREAMS else ("PUBLISH", CHANNELS[source], body)


def heard_by(reply):
    """Subscribers, for a PUBLISH; a stream keeps what it answers with an id."""
    return reply if isinstance(reply, int) else int(isinstance(reply, bytes))


class Publisher(threading.Thread):
    """Publishes evenly until told to end, and writes down what was published when, and who heard it. Some events come twice,
    some a second time with other content."""

    def __init__(self, redis, pace, mix, seed, repeats=0.03, conflicts=0.01):
        super().__init__(daemon=True)
        self.redis, self.pace, self.repeats, self.conflicts = redis, pace, repeats, conflicts
        self.random = random.Random(seed)
        self.sources = [source for source, _ in mix]
        self.weights = [weight for _, weight in mix]
        self.log, self.count, self.client = [], 0, None
        self.is_over, self.is_paused = threading.Event(), threading.Event()

    def make(self, source, number, variant=0):
        one = judge.Published(0, source, f"o-{number}", f"user-{number % USERS}", None, variant)
        body = json.dumps({"orderId": one.order, "userId": one.user, "confirmedAt": "2026-01-01T10:00:00Z", "variant": variant},
                          separators=(",", ":"))
        return one, body

    def batch(self, size):
        made = []
        for _ in range(size):
            source = self.random.choices(self.sources, self.weights)[0]
            made.append(self.make(source, self.count))
            self.count += 1
            dice = self.random.random()
            if self.log and dice < self.repeats + self.conflicts:
                old = self.log[-self.random.randrange(1, min(len(self.log), 300) + 1)]
                variant = old.variant if dice < self.repeats else 1
                made.append(self.make(old.source, int(old.order[2:]), variant))
        return made

    def publish(self, made):
        """One pipelined batch. What has no reply because Redis went away stays with heard = None."""
        now = time.time()
        for one, _ in made:
            one.at = now
        try:
            if self.client is None:
                self.client = self.redis.client(timeout=5)
            replies = iter(self.client.pipeline([command(one.source, body) for one, body in made], 100))
            for one, _ in made:
                one.heard = heard_by(next(replies))
        except (OSError, ConnectionError):
            with contextlib.suppress(OSError):
                self.client and self.client.close()
            self.client = None
            time.sleep(0.02)
        self.log += [one for one, _ in made]

    def run(self):
        began, done = time.monotonic(), 0
        while not self.is_over.wait(0.01):
            due = int((time.monotonic() - began) * self.pace)
            if self.is_paused.is_set() or self.client is None and done:
                done = due - 1  # what was not published in an outage is not made up for
            # After a hold-up at most a second's worth at once.
            size = min(due - done, max(self.pace, 1))
            if size > 0:
                if not self.is_paused.is_set():
                    self.publish(self.batch(size))
                done = due

    def end(self):
        self.is_over.set()
        self.join(60)


class Sink:
    """The receivers, and what they wrote down."""

    def __init__(self, world, seed):
        self.folder = world.folder / "sink"
        self.folder.mkdir()
        self.log = self.folder / "log"
        self.ports = {name: free_port() for name in ("mail", "held", "hook")}
        kinds = {"mail": "smtp", "held": "smtp", "hook": "http"}
        services = [f"{kinds[name]}:{name}:{port}" for name, port in self.ports.items()]
        reading, self.writing = os.pipe()
        self.process = SinkProcess(reading, [SINK, self.log, seed, *services], self.folder / "output")
        os.close(reading)
        wait_for(self.log.exists, 10, self.process.tail)
        world.running.append(self.process)

    def rule(self, *rules):
        os.write(self.writing, "".join(rule + "\n" for rule in rules).encode())

    def sends(self):
        sends = {}
        for line in self.log.read_text().splitlines():
            fields = line.split("\t")
            if fields[0] == "D":
                _, at, lane, serial, key, recipient, digest, order, mark = fields
                sends[serial] = judge.Send(int(at) / 1e6, lane, int(serial), key, recipient, digest, order, mark)
            elif fields[0] == "R":
                sends[fields[2]].replied_at, sends[fields[2]].code = int(fields[1]) / 1e6, int(fields[3])
        return list(sends.values())

    def forget(self):
        """What was taken until now is not judged."""
        os.truncate(self.log, 0)

    def count(self):
        with open(self.log, "rb") as file:
            return sum(1 for line in file if line.startswith(b"D"))


class SinkProcess(Process):
    """A child that reads our rules."""

    def __init__(self, reading, argv, output):
        self.name, self.argv, self.output = "sink", [str(arg) for arg in argv], output
        with open(output, "ab") as file:
            self.child = subprocess.Popen(self.argv, stdin=reading, stdout=file, stderr=file)


class Rig:
    def __init__(self, seed, instances=1, pace=300, mix=(("orders", 4), ("kept", 3), ("held", 2), ("both", 2)), log_level="info",
                 redis=None, mail_more="", has_store=False, **publisher):
        self.world = herald.World()
        self.random = random.Random(seed)
        self.faults, self.kept_lines = [], []
        self.no_events = []  # ids of entries that are none
        self.redis = self.world.redis(**(redis or {}))
        self.sink = Sink(self.world, self.random.randrange(1 << 30))
        self.templates = self.world.write_templates(TEMPLATES, "chaos-templates")
        self.mail_more = mail_more
        self.log_level = log_level
        with self.redis.client() as client:
            self.store_users(client)
        self.daemons = [self.daemon(name) for name in ("one", "two")[:instances]]
        for daemon in self.daemons if not has_store else ():
            daemon.notify.store_max = 0
            daemon.notify.empty()
        self.publisher = Publisher(self.redis, pace, mix, self.random.random(), **publisher)
        self.watch = Watch(self)
        self.watch.start()

    def store_users(self, client):
        for number in range(USERS):
            herald.store_user(client, f"user-{number}", email=f"user-{number}@example.org", name=f"user-{number}")

    def daemon(self, name, start=True, **more):
        return self.world.heraldd(CONFIG, name=name, start=start, instance=name, redis=self.redis.url, templates=self.templates,
                                  log_level=self.log_level, mail_more=self.mail_more, **self.sink.ports, **more)

    def begin(self):
        self.publisher.start()
        wait_for(lambda: self.publisher.count > 20, 10, "a publisher that publishes")
        return self

    # ---- faults

    @contextlib.contextmanager
    def fault(self, kind, who="", what=""):
        """Written down with its beginning and its end."""
        fault = judge.Fault(kind, time.time(), float("inf"), who, what)
        self.faults.append(fault)
        yield fault
        fault.end = time.time()

    def kill(self, daemon, what=""):
        with self.fault("kill", daemon.name, what):
            daemon.kill()

    def freeze(self, daemon, seconds):
        with self.fault("stop", daemon.name, f"{seconds:.1f} s"):
            daemon.process.signal(signal.SIGSTOP)
            time.sleep(seconds)  # its length is what is tested
            daemon.process.signal(signal.SIGCONT)

    def pause(self, low, high):
        time.sleep(self.random.uniform(low, high))  # the load goes on; when the next fault comes is what is random

    # ---- the end

    def lanes(self):
        return sorted({lane for lanes in LANES.values() for lane in lanes})

    def under_way(self, client):
        base = "herald:{0}:"
        keys = [base + "lease"] + [f"{base}{queue}:{lane}" for queue in ("due", "again") for lane in self.lanes()]
        return sum(client.call("ZCARD", key) for key in keys)

    def heal(self, quiet_s=QUIET_S):
        """Everything runs and nothing is refused; then what was published last is accepted, and nothing is under way. How
        long that took."""
        if self.publisher.is_alive():
            self.publisher.end()
        self.sink.rule("* clear")
        began = time.monotonic()
        timeout = HEAL_S + len(self.publisher.log) / BACKLOG_PACE
        for daemon in self.daemons:
            if not daemon.process.is_running():
                daemon.start(keep_store=True, timeout=60)
        self.send_last(timeout)
        quiet_since = None
        with self.redis.client() as client:
            def is_quiet():
                nonlocal quiet_since
                if self.under_way(client):
                    quiet_since = None
                elif quiet_since is None:
                    quiet_since = time.monotonic()
                return quiet_since is not None and time.monotonic() - quiet_since > quiet_s
            wait_for(is_quiet, timeout, lambda: f"nothing under way: {self.under_way(client)} are\n" + self.world.output())
        return quiet_since - began

    def send_last(self, timeout):
        """An event behind all others on each channel: accepted means that all before it are."""
        with self.redis.client() as client:
            def subscribed():
                said = client.call("PUBSUB", "NUMSUB", *CHANNELS.values())
                return all(count >= len(self.daemons) for count in said[1::2])
            wait_for(subscribed, timeout, "everybody subscribed again")
            for source in self.publisher.sources:
                made = self.publisher.make(source, self.publisher.count)
                self.publisher.count += 1
                made[0].at = time.time()
                made[0].heard = heard_by(client.call(*command(source, made[1])))
                self.publisher.log.append(made[0])
                key = "herald:{0}:e:" + judge.eid_of(source, made[0].order)
                wait_for(lambda: client.call("EXISTS", key), timeout, lambda: f"the last event of {source}\n" + self.world.output())

    def check_statuses(self):
        """What came in is what became of it, by the counts of each incarnation that was seen: it writes them down once a second."""
        self.watch.end()
        self.watch.look()
        return list(self.watch.sums.values())

    def records(self):
        """All that Redis holds of us: records, indexes, payloads."""
        with self.redis.client() as client:
            base = "herald:{0}:"
            keys = client.keys("herald:\\{0\\}:*")
            eids = [key.rsplit(":", 1)[1] for key in keys if key.startswith(base + "e:")]
            records = {}
            for eid, flat in zip(eids, client.pipeline([("HGETALL", base + "e:" + eid) for eid in eids])):
                records[eid] = {flat[i].decode(): flat[i + 1].decode(errors="replace") for i in range(0, len(flat), 2)}
            indexes = {}
            for key in keys:
                name = key[len(base):]
                if name in ("lease", "dead", "unknown") or name.startswith(("due:", "again:")):
                    flat = client.call("ZRANGE", key, 0, -1, "WITHSCORES")
                    indexes[name] = {flat[i].decode(): float(flat[i + 1]) for i in range(0, len(flat), 2)}
            payloads = {key.rsplit(":", 1)[1] for key in keys if key.startswith(base + "p:")}
            return records, indexes, payloads

    def fsck(self):
        """What the operator's own check finds, as a second opinion."""
        done = self.world.ctl("fsck", config=self.daemons[0].config, check=False)
        return "" if done.returncode == 0 else f"exit status {done.returncode}: {done.stdout[:2000]}{done.stderr[:500]}"

    def log_lines(self):
        lines = []
        for daemon in self.daemons:
            lines += daemon.log_path.read_text(errors="replace").splitlines()
        return lines

    def evidence(self, **rules):
        statuses = self.check_statuses()
        records, indexes, payloads = self.records()
        lines = self.log_lines()
        # A log names an event by its eid: two sources may share an order's number.
        ids = {judge.eid_of(one.source, one.order): (one.source, one.order) for one in self.publisher.log}
        seen = {"event.accepted": set(), "event.conflict": set()}
        for line in lines:
            found = re.search(r'"event":\s*"(event\.accepted|event\.conflict)".*"event_id":\s*"([0-9a-f]{24})', line)
            if found and found[2] in ids:
                seen[found[1]].add(ids[found[2]])
        made = judge.Rules(lanes=LANES, space={source: source for source in LANES}, streams=frozenset(STREAMS), hold=frozenset(["held"]),
                           unseen=frozenset(["quiet"]), in_flight=3 * CONNECTIONS, lease_s=LEASE_S, backoff_s=BACKOFF_S)
        for name, value in rules.items():
            setattr(made, name, value)
        return judge.Evidence(made, self.publisher.log, self.sink.sends(), self.faults, records, seen["event.accepted"],
                              seen["event.conflict"], indexes, payloads, statuses, lines, list(self.watch.peaks.values()),
                              self.watch.keys, self.fsck())

    def close(self):
        self.watch.end()
        self.publisher.is_over.set()
        if self.publisher.is_alive():
            self.publisher.join(30)
        os.close(self.sink.writing)
        self.world.close()
