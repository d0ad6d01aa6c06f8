"""The subscription survives heraldd: its socket lies in the service manager's store while nobody runs."""

import json
import os
import signal
import threading
import time

import herald

CONFIG = """
[herald]
templates = $templates
log_format = json
instance = one
lease = 3s
lease_margin = 500ms
canary_interval = 1s
drain_timeout = 5s

[redis]
url = $redis

[source orders]
type = pubsub
channel = order:confirmed
id = orderId
notification = order-confirmed
$more

[notification order-confirmed]
channels = email

[provider mail]
channel = email
type = smtp
url = $smtp
from = orders@shop.example
connections = 4

"""

BOTH_KINDS = ("url", "unix_url")
PACE = 5000  # events a second


class Publisher(threading.Thread):
    """Publishes numbered orders evenly until told to stop, every one to exactly who is subscribed."""

    def __init__(self, redis, pace=PACE):
        super().__init__(daemon=True)
        self.redis, self.pace, self.count, self.deaf = redis, pace, 0, 0
        self.is_over = threading.Event()
        self.start()

    def run(self):
        began = time.monotonic()
        with self.redis.client() as client:
            while not self.is_over.wait(0.01):
                due = int((time.monotonic() - began) * self.pace)
                bodies = [herald.order(number) for number in range(self.count, due)]
                heard = client.pipeline([("PUBLISH", "order:confirmed", body) for body in bodies])
                self.deaf += sum(1 for reply in heard if reply == 0)
                self.count = due

    def end(self):
        self.is_over.set()
        self.join(30)
        return self.count


class Handover(herald.TestCase):
    def setUp(self):
        super().setUp()
        self.redis = self.world.redis()
        self.client = self.redis.client()
        self.addCleanup(lambda: self.client.close())
        herald.store_user(self.client, "u-7", email="ada@example.org")

    def text(self, url=None, more="", smtp="smtp://127.0.0.1:9"):
        return self.world.config(CONFIG, redis=url or self.redis.url, more=more, smtp=smtp)

    def null_text(self, url=None, more=""):
        return self.text(url, more).split("[provider mail]")[0] + (
            "[provider mail]\nchannel = email\ntype = null\nfrom = orders@shop.example\nconnections = 4\n")

    def start(self, text=None):
        """A heraldd that has put its subscription into the store."""
        daemon = self.world.heraldd(text or self.null_text())
        self.wait(daemon.notify.names, 10, "a stored socket")
        return daemon

    def accepted(self):
        return len(herald.State(self.client).events())

    def wait_all(self, count, timeout=60):
        state = herald.State(self.client)
        self.wait(lambda: int(self.client.call("DBSIZE")) >= count and state.is_idle() and len(state.events()) >= count,
                  timeout, lambda: f"{count} events accepted and settled: {state.counts()}")
        self.assertEqual(len(state.events()), count)

    def check_ours(self, daemon):
        """What came in is what became of it, by the counts of the process that runs now."""
        def sums():
            text = self.client.call("HGET", "herald:{0}:status", "one")
            status = json.loads(text)
            return status["received"] == status["accepted"] + status["duplicate"] + status["rejected"] + status["conflict"]
        self.wait(sums, 10, "received is the sum")
        self.assertEqual(daemon.log.count("event.rejected") + daemon.log.count("event.conflict"), 0)

    # ── nothing is lost ──

    def test_kill_9_under_load_loses_nothing(self):
        for kind in BOTH_KINDS:
            with self.subTest(kind):
                self.client.call("FLUSHALL")
                herald.store_user(self.client, "u-7", email="ada@example.org")
                daemon = self.start(self.null_text(getattr(self.redis, kind)))
                publisher = Publisher(self.redis)
                for times in range(1, 5):
                    before = publisher.count
                    self.wait(lambda: publisher.count > before + PACE // 3, 30, "some load")
                    daemon.kill()
                    daemon.start(keep_store=True)
                    self.assertEqual(daemon.log.count("redis.inherited"), times)
                count = publisher.end()
                self.assertEqual(publisher.deaf, 0, "somebody was subscribed at each moment")
                self.wait_all(count)
                self.assertEqual(daemon.log.count("redis.subscribed"), 1)
                self.assertEqual(daemon.log.count("source.gap"), 0)
                self.check_ours(daemon)
                self.assertEqual(daemon.stop(), 0)
                self.assertEqual(len(daemon.notify.names()), 1)
                daemon.notify.empty()


if __name__ == "__main__":
    herald.main()
