"""What a scraper and a probe see: the log's numbers, alive or not, ready or not, and an endpoint that can't be held up."""

import collections
import ctypes
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import time

import herald
import processes

CONFIG = """
[herald]
templates = $templates
log_format = json
log_level = debug
metrics = $place

[redis]
url = $redis

[source orders]
type = pubsub
channel = order:confirmed
id = orderId
notification = order-confirmed

[notification order-confirmed]
channels = email

[provider sink]
channel = email
type = null
from = orders@shop.example
behaviour = $behaviour
connections = 2
"""

CONNECTIONS = 16  # ENDPOINT_CONNECTIONS
DEADLINE_S = 5  # ENDPOINT_DEADLINE_MS
IDLE_BEAT_S = 15  # LANE_IDLE_BEAT_MS
SAMPLE = re.compile(r'(herald_[a-z_]+)(?:\{(.*)\})? ([0-9.]+)')
LABEL = re.compile(r'([a-z]+)="([^"\\]*)"(?:,|$)')
LABELS = {  # of the log's fields, those that become labels, by metric
    "herald_events_received_total": ("event.received", ("source",)),
    "herald_events_accepted_total": ("event.accepted", ("source", "notification")),
    "herald_events_duplicate_total": ("event.duplicate", ("source", "notification")),
    "herald_events_conflict_total": ("event.conflict", ("source", "notification")),
    "herald_deliveries_sent_total": ("delivery.sent", ("source", "notification", "channel", "provider")),
    "herald_deliveries_retried_total": ("delivery.retry", ("source", "notification", "channel", "provider")),
    "herald_deliveries_dead_total": ("delivery.dead", ("source", "notification", "channel", "provider")),
    "herald_deliveries_unknown_total": ("delivery.unknown", ("source", "notification", "channel", "provider")),
    "herald_log_events_total": (None, ("event",)),
}

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


class Samples:
    """Strict: each family is HELP and TYPE once, then its samples, and no series comes twice."""

    def __init__(self, text):
        self.values, self.kinds, family = {}, {}, None
        lines = text.split("\n")
        assert lines.pop() == "", "the last line ends"
        for line in lines:
            if line.startswith("# HELP "):
                family = line.split(" ")[2]
                assert family not in self.kinds, family
                assert re.fullmatch(rf"# HELP {family} [A-Z0-9].*\.", line), line
            elif line.startswith("# TYPE "):
                self.kinds[family] = re.fullmatch(rf"# TYPE {family} (counter|gauge|histogram)", line)[1]
            else:
                name, labels, value = SAMPLE.fullmatch(line).groups()
                base = re.sub("_(bucket|sum|count)$", "", name) if self.kinds[family] == "histogram" else name
                assert base == family, line
                key = (name, frozenset(LABEL.findall(labels or "")))
                assert key not in self.values, line
                self.values[key] = float(value)

    def one(self, name, **labels):
        return self.values.get((name, frozenset(labels.items())))

    def sum(self, name, **labels):
        return sum(value for (key, have), value in self.values.items() if key == name and have >= set(labels.items()))

    def family(self, name):
        return {labels: value for (key, labels), value in self.values.items() if key == name}


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Stopped:
    """One thread of a process stands still, as in a call that never returns; nothing else does."""

    def __init__(self, test, thread):
        self.thread = thread
        if libc.ptrace(PTRACE_SEIZE, thread, None, None) != 0:
            test.skipTest(f"one thread can't be held here: {os.strerror(ctypes.get_errno())}")
        libc.ptrace(PTRACE_INTERRUPT, thread, None, None)
        os.waitpid(thread, 0x40000000)  # __WALL

    def __enter__(self):
        return self

    def __exit__(self, *_):
        libc.ptrace(PTRACE_DETACH, self.thread, None, None)


class Metrics(herald.TestCase):
    def setUp(self):
        super().setUp()
        self.redis = self.world.redis()
        self.client = self.redis.client()
        self.addCleanup(self.client.close)
        herald.store_user(self.client, "u-7", email="ada@example.org")
        self.port = processes.free_port()
        self.path = None

    def text(self, behaviour="ok", place=None):
        return self.world.config(CONFIG, redis=self.redis.url, behaviour=behaviour, place=place or f"127.0.0.1:{self.port}")

    def start(self, behaviour="ok", place=None, **more):
        self.daemon = self.world.heraldd(self.text(behaviour, place), **more)
        return self.daemon

    def publish(self, number, **more):
        self.client.call("PUBLISH", "order:confirmed", json.dumps({"orderId": f"o-{number}", "userId": "u-7", **more}))

    def ask(self, path, method="GET"):
        connection = UnixConnection(self.path) if self.path else http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()

    def try_ask(self, path):
        try:
            return self.ask(path)[0]
        except (OSError, http.client.HTTPException):
            return None

    def samples(self):
        status, text, _ = self.ask("/metrics")
        self.assertEqual(status, 200)
        return Samples(text)

    def thread(self, name):
        for task in pathlib.Path(f"/proc/{self.daemon.process.child.pid}/task").iterdir():
            if (task / "comm").read_text().strip() == name:
                return int(task.name)
        raise AssertionError(f"there is no thread {name}")

    def check_against_log(self, samples):
        lines = self.daemon.log.read()
        for name, (event, fields) in LABELS.items():
            logged = collections.Counter(
                frozenset((field, line[field]) for field in fields if line.get(field))
                for line in lines if event is None or line["event"] == event)
            counted = collections.Counter()
            for labels, value in samples.family(name).items():
                counted[frozenset(pair for pair in labels if pair[0] != "reason")] += int(value)
            if event is None:  # the first lines are written before anybody counts
                logged = {labels: count for labels, count in logged.items() if labels in counted}
            self.assertEqual(counted, logged, name)

    def test_the_numbers_are_those_of_the_log(self):
        self.start("ok,temporary:1ms,ok")
        for number in range(20):
            self.publish(number)
        self.publish(1)
        self.publish(2, other="content")
        self.client.call("PUBLISH", "order:confirmed", "not JSON")
        self.client.call("PUBLISH", "order:confirmed", json.dumps({"orderId": "x" * 200}))
        self.client.call("PUBLISH", "order:confirmed", json.dumps({"orderId": "o-nobody", "userId": "u-none"}))
        self.daemon.log.wait_event("delivery.sent", 20)
        self.daemon.log.wait_event("delivery.dead", 1)
        self.daemon.log.wait_event("event.rejected", 2)
        self.daemon.log.wait_event("event.conflict", 1)
        self.wait(lambda: self.samples().sum("herald_events_received_total") == 25, 10, "25 received")
        self.wait(lambda: self.samples().sum("herald_deliveries_dead_total") == 1, 10, "1 dead")
        samples = self.samples()
        self.assertEqual(samples.one("herald_events_accepted_total", source="orders", notification="order-confirmed"), 21)
        self.assertEqual(samples.one("herald_events_rejected_total", source="orders", reason="json"), 1)
        self.assertEqual(samples.one("herald_events_rejected_total", source="orders", reason="identity"), 1)
        self.assertEqual(samples.one("herald_deliveries_dead_total", source="orders", notification="order-confirmed",
                                     reason="no recipient"), 1)
        self.assertEqual(sum(samples.sum(f"herald_events_{name}_total") for name in
                             ("accepted", "duplicate", "conflict", "rejected")), 25)
        self.check_against_log(samples)
        self.assertEqual(samples.one("herald_metrics_overflow_total"), 0)

    def test_what_takes_time_is_measured_and_what_waits_is_shown(self):
        self.start("ok:1500ms")
        for number in range(3):
            self.publish(number)
        self.wait(lambda: self.samples().sum("herald_lane_running", provider="sink") == 2, 10, "two under way")
        self.daemon.log.wait_event("delivery.sent", 3)
        self.wait(lambda: self.samples().one("herald_attempt_seconds_count", provider="sink") == 3, 10, "three attempts")
        samples = self.samples()
        for name, least, most in (("herald_attempt_seconds", 4.5, 30), ("herald_delivery_seconds", 4.5, 30),
                                  ("herald_lane_wait_seconds", 1.2, 30)):
            self.assertEqual(samples.one(f"{name}_count", provider="sink"), 3, name)
            self.assertEqual(samples.one(f"{name}_bucket", provider="sink", le="+Inf"), 3, name)
            self.assertTrue(least <= samples.one(f"{name}_sum", provider="sink") <= most, name)
        self.assertEqual(samples.one("herald_attempt_seconds_bucket", provider="sink", le="1"), 0)
        self.assertGreaterEqual(samples.one("herald_redis_call_seconds_count", script="accept"), 1)
        self.assertEqual(samples.one("herald_lane_breaker", provider="sink", state="closed"), 1)
        self.client.call("ZADD", "herald:{0}:due:sink", int(time.time() * 1000) + 3600000, "0" * 32 + ":0")
        self.wait(lambda: self.samples().one("herald_lane_depth", provider="sink", state="waiting") == 1, 20, "what waits")
        self.assertEqual(self.samples().one("herald_lane_oldest_seconds", provider="sink"), 0)
        self.client.call("DEL", "herald:{0}:due:sink")

    def test_promtool_has_nothing_to_say(self):
        if not shutil.which("promtool"):
            self.skipTest("promtool is not installed (./dev deps)")
        self.start("ok,permanent")
        self.publish(1)
        self.daemon.log.wait_event("delivery.sent")
        self.wait(lambda: self.samples().sum("herald_deliveries_sent_total") == 1, 10, "1 sent")
        for argv, text in ((["metrics"], self.ask("/metrics")[1]), (["rules", herald.ROOT / "etc/herald.rules.yml"], "")):
            check = subprocess.run(["promtool", "check", *argv], input=text, capture_output=True, text=True, timeout=60)
            self.assertEqual((check.returncode, check.stderr), (0, ""), argv)
            if argv == ["metrics"]:
                self.assertEqual(check.stdout, "")

    def test_each_metric_in_the_rules_exists(self):
        self.start()
        self.publish(1)
        self.wait(lambda: self.samples().sum("herald_deliveries_sent_total") == 1, 10, "1 sent")
        self.wait(lambda: "herald_lane_oldest_seconds" in self.samples().kinds, 10, "the depth")
        rules = (herald.ROOT / "etc/herald.rules.yml").read_text()
        for name in set(re.findall(r"\bherald_[a-z_]+", rules)):
            base = re.sub("_(bucket|sum|count)$", "", name)
            self.assertIn(base, self.samples().kinds)

    def test_names_that_are_not_configured_become_no_label(self):
        self.start("ok:200ms")
        self.publish(1)
        self.daemon.log.wait_event("event.accepted")
        self.daemon.log.wait_event("delivery.sent")
        # Somebody who may write to Redis has a payload name a source that there isn't.
        event = self.client.call("KEYS", "herald:{0}:e:*")[0].decode().rsplit(":", 1)[1]
        self.client.call("PUBLISH", "order:confirmed", json.dumps({"orderId": "o-2", "userId": "u-7", "sendAt": herald_time(4)}))
        self.daemon.log.wait_event("event.accepted", 2)
        keys = [key.decode() for key in self.client.call("KEYS", "herald:{0}:p:*")]
        key = next(key for key in keys if event not in key)
        payload = self.client.call("GET", key)
        self.client.call("SET", key, payload.replace(b" orders ", b" hostile "))
        self.daemon.log.wait_event("delivery.sent", 2, timeout=20)
        self.wait(lambda: self.samples().sum("herald_deliveries_sent_total") == 2, 10, "2 sent")
        self.assertEqual(self.samples().sum("herald_deliveries_sent_total", source="other"), 1)
        self.assertNotIn("hostile", self.ask("/metrics")[1])

    def test_without_redis_it_is_alive_and_not_ready(self):
        self.start()
        self.wait(lambda: self.ask("/readyz")[0] == 200, 10, "ready")
        self.redis.stop()
        self.wait(lambda: self.ask("/readyz")[0] == 503, 10, "not ready")
        self.assertEqual(self.ask("/readyz")[1], "waiting for Redis\n")
        self.assertEqual(self.ask("/healthz")[:2], (200, "alive\n"))
        self.assertEqual(self.samples().one("herald_ready"), 0)
        self.redis.start()
        self.wait(lambda: self.ask("/readyz")[0] == 200, 20, "ready again")

    def test_when_every_lane_is_closed_it_is_not_ready(self):
        self.start("refused")
        for number in range(10):
            self.publish(number)
        self.daemon.log.wait_event("lane.closed")
        self.wait(lambda: self.ask("/readyz")[:2] == (503, "every provider fails\n"), 20, "not ready")
        self.assertEqual(self.ask("/healthz")[0], 200)
        self.daemon.reload(self.text("ok"))
        self.daemon.log.wait_event("lane.opened", timeout=90)
        self.wait(lambda: self.ask("/readyz")[0] == 200, 10, "ready")

    def test_a_loop_that_stands_still_is_not_alive(self):
        self.start(environment={"WATCHDOG_USEC": "6000000"})
        self.wait(lambda: self.ask("/healthz")[0] == 200, 10, "alive")
        with Stopped(self, self.daemon.process.child.pid):
            self.wait(lambda: self.ask("/healthz")[:2] == (503, "it stands still\n"), 20, "not alive")
            self.assertEqual(self.ask("/readyz")[0], 503)
            self.assertEqual(self.samples().one("herald_alive"), 0)
        self.wait(lambda: self.ask("/healthz")[0] == 200, 20, "alive again")

    def test_a_lanes_thread_that_stands_still_is_seen_by_probe_and_watchdog_busy_or_idle(self):
        for behaviour in ("ok", "hang"):
            with self.subTest(behaviour):
                self.start(behaviour, name=behaviour, environment={"WATCHDOG_USEC": "6000000"})
                self.wait(lambda: self.ask("/healthz")[0] == 200, 10, "alive")
                if behaviour == "hang":
                    self.publish("a")
                    self.publish("b")
                    self.wait(lambda: self.samples().sum("herald_lane_running") == 2, 10, "busy threads")
                with Stopped(self, self.thread("lane-sink")):
                    self.wait(lambda: self.ask("/healthz")[0] == 503, IDLE_BEAT_S + 20, "not alive")
                    before = self.daemon.notify.count("WATCHDOG=1")
                    time.sleep(2.5)  # the duration is the thing tested
                    self.assertEqual(self.daemon.notify.count("WATCHDOG=1"), before)
                self.wait(lambda: self.ask("/healthz")[0] == 200, 30, "alive again")
                self.wait(lambda: self.daemon.notify.count("WATCHDOG=1") > before, 10, "the watchdog is fed")
                self.daemon.kill()

    def test_a_reload_that_renames_the_provider_keeps_the_numbers(self):
        self.start()
        self.publish(1)
        self.wait(lambda: self.samples().sum("herald_deliveries_sent_total") == 1, 10, "1 sent")
        self.daemon.reload(self.text().replace("[provider sink]", "[provider other-sink]"))
        self.daemon.log.wait_event("config.reloaded")
        self.publish(2)
        self.wait(lambda: self.samples().sum("herald_deliveries_sent_total", provider="other-sink") == 1, 10, "1 sent")
        self.assertEqual(self.samples().sum("herald_deliveries_sent_total", provider="sink"), 1)

    def test_only_get_and_head_and_the_three_paths_are_answered(self):
        self.start()
        status, text, headers = self.ask("/metrics", "HEAD")
        self.assertEqual((status, text), (200, ""))
        self.assertEqual(headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        for method in ("POST", "DELETE", "OPTIONS"):
            status, _, headers = self.ask("/metrics", method)
            self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"), method)
        self.assertEqual(self.ask("/")[0], 404)
        self.assertIn(self.ask("/" + "x" * 20000)[0], (413, 414, 431))

    def test_slow_clients_are_bounded_and_ended_and_cost_the_sending_nothing(self):
        self.start()
        slow = [socket.create_connection(("127.0.0.1", self.port), 10) for _ in range(2 * CONNECTIONS)]
        try:
            begun = time.monotonic()
            for connection in slow:
                connection.sendall(b"GET /metrics HT")
            self.assertIsNone(self.try_quickly(), "every place is taken")
            self.publish(1)
            self.daemon.log.wait_event("delivery.sent")

            def dawdle_until_answered():
                for connection in slow:  # never silent for long, and never done
                    try:
                        connection.send(b"X")
                    except OSError:
                        pass
                return self.try_quickly() == 200
            self.wait(dawdle_until_answered, 60, "an answer behind the slow ones")
            self.assertGreaterEqual(time.monotonic() - begun, DEADLINE_S - 1)
        finally:
            for connection in slow:
                connection.close()

    def try_quickly(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def test_a_unix_socket_serves_as_well_and_is_for_owner_and_group(self):
        self.path = str(self.world.folder / "metrics.sock")
        self.start(place=f"unix:{self.path}")
        self.assertEqual(self.ask("/healthz")[0], 200)
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o660)
        self.daemon.kill()  # leaves the file behind
        self.assertTrue(os.path.exists(self.path))
        self.daemon.start()
        self.assertEqual(self.ask("/healthz")[0], 200)
        self.daemon.stop()
        self.assertFalse(os.path.exists(self.path))

    def test_a_place_that_is_taken_is_named_and_left_alone(self):
        self.start()
        other = self.world.heraldd(self.text(), name="other", start=False).start(wait_ready=False)
        self.wait(lambda: not other.process.is_running(), 20, "the end")
        self.assertIn(f"metrics: can't listen at 127.0.0.1:{self.port}", other.process.tail())
        path = self.world.folder / "precious"
        path.write_text("precious")
        third = self.world.heraldd(self.text(place=f"unix:{path}"), name="third", start=False).start(wait_ready=False)
        self.wait(lambda: not third.process.is_running(), 20, "the end")
        self.assertEqual(path.read_text(), "precious")

    def test_while_it_drains_it_is_alive_and_not_ready(self):
        self.start("ok:4000ms")
        self.publish(1)
        self.wait(lambda: self.samples().sum("herald_lane_running") == 1, 10, "one under way")
        self.daemon.process.signal(signal.SIGTERM)
        self.wait(lambda: self.ask("/readyz")[:2] == (503, "it is stopping\n"), 3, "stopping")
        self.assertEqual(self.ask("/healthz")[0], 200)


def herald_time(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


if __name__ == "__main__":
    herald.main()
