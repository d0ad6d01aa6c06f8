"""What a scraper and a probe see: the log's numbers, ready or not, and an endpoint that can't be held up."""

import http.client
import json
import re
import shutil
import socket
import subprocess

import herald
import processes

CONFIG = """
[herald]
templates = $templates
log_format = json
metrics_port = $port

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
behaviour = ok
connections = 2
"""

CONNECTIONS = 16  # ENDPOINT_CONNECTIONS
SAMPLE = re.compile(r'(herald_[a-z_]+)(\{version="[^"\\]+"\})? (\d+)')


def read_samples(text):
    """Strict: each family is HELP, TYPE, and one sample, and none comes twice."""
    samples, lines = {}, text.split("\n")
    assert lines.pop() == "", "the last line ends"
    for help_line, type_line, line in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        name, _, value = SAMPLE.fullmatch(line).groups()
        kind = "counter" if name.endswith("_total") else "gauge"
        assert re.fullmatch(rf"# HELP {name} [A-Z].*\.", help_line), help_line
        assert type_line == f"# TYPE {name} {kind}", type_line
        assert name not in samples, name
        samples[name] = int(value)
    return samples


class Metrics(herald.TestCase):
    def setUp(self):
        super().setUp()
        self.redis = self.world.redis()
        self.client = self.redis.client()
        self.addCleanup(self.client.close)
        herald.store_user(self.client, "u-7", email="ada@example.org")
        self.port = processes.free_port()
        self.daemon = self.world.heraldd(self.text())

    def text(self):
        return self.world.config(CONFIG, redis=self.redis.url, port=self.port)

    def ask(self, path, method="GET"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()

    def samples(self):
        status, text, _ = self.ask("/metrics")
        self.assertEqual(status, 200)
        return read_samples(text)

    def test_the_numbers_are_those_of_the_log(self):
        for number in range(20):
            self.client.call("PUBLISH", "order:confirmed", json.dumps({"orderId": f"o-{number}", "userId": "u-7"}))
        self.client.call("PUBLISH", "order:confirmed", json.dumps({"orderId": "o-1", "userId": "u-7"}))
        self.client.call("PUBLISH", "order:confirmed", "not JSON")
        self.daemon.log.wait_event("delivery.sent", 20)
        self.daemon.log.wait_event("event.rejected")
        self.wait(lambda: self.samples()["herald_deliveries_sent_total"] == 20, 10, "20 sent")
        samples = self.samples()
        for name, count in (("received", 22), ("accepted", 20), ("duplicate", 1), ("rejected", 1), ("conflict", 0)):
            self.assertEqual(samples[f"herald_events_{name}_total"], count, name)
            if name != "received":
                self.assertEqual(self.daemon.log.count(f"event.{name}"), count, name)
        self.assertEqual(samples["herald_deliveries_dead_total"], 0)
        self.assertEqual(samples["herald_build_info"], 1)
        if shutil.which("promtool"):
            text = self.ask("/metrics")[1]
            check = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)
            self.assertEqual((check.returncode, check.stdout + check.stderr), (0, ""))

    def test_without_redis_it_is_alive_and_not_ready(self):
        self.wait(lambda: self.ask("/readyz")[0] == 200, 10, "ready")
        self.redis.stop()
        self.wait(lambda: self.ask("/readyz")[0] == 503, 10, "not ready")
        self.assertEqual(self.ask("/healthz")[:2], (200, "alive\n"))
        self.assertEqual(self.samples()["herald_ready"], 0)
        self.redis.start()
        self.wait(lambda: self.ask("/readyz")[0] == 200, 20, "ready again")

    def test_a_reload_that_renames_the_provider_keeps_the_numbers(self):
        self.client.call("PUBLISH", "order:confirmed", json.dumps({"orderId": "o-1", "userId": "u-7"}))
        self.wait(lambda: self.samples()["herald_deliveries_sent_total"] == 1, 10, "1 sent")
        self.daemon.reload(self.text().replace("[provider sink]", "[provider other]"))
        self.daemon.log.wait_event("config.reloaded")
        self.client.call("PUBLISH", "order:confirmed", json.dumps({"orderId": "o-2", "userId": "u-7"}))
        self.wait(lambda: self.samples()["herald_deliveries_sent_total"] == 2, 10, "2 sent")

    def test_only_get_and_head_and_the_three_paths_are_answered(self):
        status, text, headers = self.ask("/metrics", "HEAD")
        self.assertEqual((status, text), (200, ""))
        self.assertEqual(headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        for method in ("POST", "DELETE", "OPTIONS"):
            status, _, headers = self.ask("/metrics", method)
            self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"), method)
        self.assertEqual(self.ask("/")[0], 404)
        self.assertIn(self.ask("/" + "x" * 20000)[0], (413, 414, 431))

    def test_silent_connections_are_bounded_and_then_closed(self):
        silent = [socket.create_connection(("127.0.0.1", self.port), 10) for _ in range(2 * CONNECTIONS)]
        try:
            for connection in silent:
                connection.sendall(b"GET /metrics HT")

            def is_answered():
                try:
                    return self.ask("/healthz")[0] == 200
                except (OSError, http.client.HTTPException):
                    return False
            self.assertFalse(is_answered(), "every place is taken")
            self.wait(is_answered, 30, "an answer behind the silent ones")
        finally:
            for connection in silent:
                connection.close()

    def test_a_port_that_is_taken_is_named(self):
        other = self.world.heraldd(self.text(), name="other", start=False).start(wait_ready=False)
        self.wait(lambda: not other.process.is_running(), 20, "the end")
        self.assertIn(f"metrics_port: can't listen on 127.0.0.1:{self.port}", other.process.tail())


if __name__ == "__main__":
    herald.main()
