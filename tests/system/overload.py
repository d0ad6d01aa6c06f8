"""Ten times what the lanes can send: a longer queue in Redis, the same memory, and all of it sent in the end."""

import os
import signal
import time

import herald

CONFIG = """
[herald]
templates = $templates
log_format = json
canary_interval = 1s

[redis]
url = $redis

[source orders]
$source
id = orderId
notification = order-confirmed

[notification order-confirmed]
channels = email

[provider sink]
channel = email
type = null
behaviour = ok:20ms
connections = 10
from = orders@shop.example
"""

CAPACITY = 500  # a second: ten connections that need 20 ms each
SECONDS = int(os.environ.get("HERALD_OVERLOAD_S", "2"))
MIB = 1024 * 1024


class Overload(herald.TestCase):
    def setUp(self):
        super().setUp()
        self.redis = self.world.redis()
        self.client = self.redis.client()
        self.addCleanup(self.client.close)
        herald.store_user(self.client, "u-7", email="ada@example.org")

    def overload(self, source, send):
        """A second at ten times the capacity is ten seconds of work: after the first, memory is as large as it gets."""
        daemon = self.world.heraldd(CONFIG, redis=self.redis.url, source=source)
        state = herald.State(self.client)
        published = 0
        before = None
        for _ in range(SECONDS):
            began = time.monotonic()
            send(herald.order(number) for number in range(published, published + 10 * CAPACITY))
            published += 10 * CAPACITY
            time.sleep(max(0, began + 1 - time.monotonic()))  # the rate is what is tested
            before = before or daemon.process.stat()
        self.wait(lambda: daemon.log.raw_count("event.accepted") == published, 60,
                  lambda: f"all {published} accepted: {daemon.log.raw_count('event.accepted')}")
        after = daemon.process.stat()
        self.assertGreater(self.client.call("ZCARD", "herald:{0}:due:sink"), published // 2, "the backlog is in Redis")
        if not os.environ.get("HERALD_SANITIZE"):  # whose quarantine grows by design
            self.assertLess(after["rss_peak"], 64 * MIB)
            if SECONDS > 5:  # by then what is kept for five seconds has reached its bound
                self.assertLess(after["rss"] - before["rss"], 20 * MIB)
        self.wait(state.is_idle, 60 + 15 * SECONDS, lambda: f"drained: {state.counts()}")
        self.assertEqual(daemon.log.raw_count("delivery.sent"), published)
        self.assertEqual(daemon.log.count("redis.lost"), 0)

    def test_by_channel(self):
        self.overload("channel = order:confirmed", lambda bodies: self.client.publish_all("order:confirmed", bodies))

    def test_by_stream(self):
        self.overload("type = stream\nstream = orders",
                      lambda bodies: self.client.pipeline([("XADD", "orders", "*", "event", body) for body in bodies]))

    def test_a_subscriber_that_redis_cuts_off_says_so_and_counts_a_gap(self):
        daemon = self.world.heraldd(CONFIG, redis=self.redis.url, source="channel = order:confirmed")
        self.client.call("PUBLISH", "order:confirmed", herald.order(1))
        daemon.log.wait_event("delivery.sent", order_id="o-1")
        self.wait(lambda: self.client.call("HGET", "herald:{0}:proved", "orders"), 10, "the subscription to be proved")
        self.client.call("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 1mb 1")
        daemon.process.signal(signal.SIGSTOP)
        stopped = time.monotonic()
        large = herald.order(2, padding="x" * (128 * 1024))
        heard = lambda: self.client.call("PUBLISH", "order:confirmed", large)
        self.wait(lambda: heard() == 0, 20, "Redis to cut off who does not read")
        daemon.process.signal(signal.SIGCONT)
        daemon.log.wait_event("redis.lost")
        daemon.log.wait_event("redis.subscribed", n=2)
        [gap] = daemon.log.wait_event("source.gap")
        self.assertEqual(gap["source"], "orders")
        self.assertLess(gap["ms"], 1000 * (time.monotonic() - stopped) + 2000, "not longer than since the last canary")
        self.client.call("PUBLISH", "order:confirmed", herald.order(3))
        daemon.log.wait_event("delivery.sent", order_id="o-3")
        self.assertEqual(daemon.log.count_past(1, "delivery.sent", order_id="o-2"), 1, "what was in the socket was taken")
        self.assertEqual(daemon.log.count_past(1, "source.gap"), 1)


if __name__ == "__main__":
    herald.main()
