"""Streams: what is kept is read once, by whoever lives, whatever form it has, and never removed before it is done with."""

import json
import re
import signal
import time

import herald

CONFIG = """
[herald]
templates = $templates
log_format = json
instance = $instance
lease = $lease
lease_margin = 500ms
$herald

[redis]
url = $redis

[source kept]
type = stream
stream = orders
id = orderId
notification = order-confirmed
$source

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

CHANNEL = """
[source heard]
type = pubsub
channel = order:confirmed
id = orderId
notification = order-confirmed
"""

LARGEST = 256 * 1024


class Stream(herald.TestCase):
    def setUp(self):
        super().setUp()
        self.redis = self.world.redis()
        self.client = self.redis.client()
        self.addCleanup(lambda: self.client.close())  # the one it has by then
        self.smtp = self.world.smtp_script()
        self.store_user()

    def store_user(self):
        herald.store_user(self.client, "u-7", email="ada@example.org")

    def start(self, instance="one", lease="2s", herald_section="", source="", more="", **options):
        return self.world.heraldd(CONFIG, redis=self.redis.url, smtp=self.smtp.url, lease=lease, instance=instance,
                                  herald=herald_section, source=source, more=more, **options)

    def add(self, *numbers):
        return [id.decode() for id in
                self.client.pipeline([("XADD", "orders", "*", "event", herald.order(number)) for number in numbers])]

    def orders(self):
        """What the mails are about, in the order of their arrival."""
        return [re.search(r"^Subject: Order (.*) is", mail["message"], re.M).group(1) for mail in self.smtp.mails()]

    def pending(self, key="orders"):
        return self.client.call("XPENDING", key, "herald")[0]

    def wait_once_each(self, count, timeout=30):
        """All are sent and acknowledged, each once."""
        state = herald.State(self.client)
        self.wait(lambda: len(set(self.orders())) >= count, timeout, lambda: f"{count} orders: {len(set(self.orders()))}")
        self.wait(lambda: state.is_idle() and self.pending() == 0, timeout,
                  lambda: f"nothing under way: {state.counts()}, {self.pending()} pending")
        self.assertEqual(len(self.orders()), count)
        self.assertEqual(len(set(self.orders())), count)

    # ── what comes in ──

    def test_entries_become_mails_and_what_was_there_before_us_too(self):
        self.add(1, 2, 3)
        daemon = self.start()
        self.add(4, 5)
        self.wait_once_each(5)
        self.assertEqual(daemon.log.count_past(5, "event.accepted", source="kept"), 5)
        self.assertEqual(daemon.log.count("source.gap"), 0)
        self.assertEqual(daemon.stop(), 0)

    def test_members_may_be_the_fields_of_an_entry(self):
        daemon = self.start()
        self.client.call("XADD", "orders", "*", "orderId", 'o-"1"\\', "userId", "u-7", "note", "line\nbreak\ttab")
        self.client.call("XADD", "orders", "*", "orderId", "o-2", "userId", "u-7")
        self.add(2)  # the same members as JSON, but for one that may differ
        self.wait_once_each(2)
        self.assertEqual(sorted(self.orders()), ['o-"1"\\', "o-2"])
        daemon.log.wait_event("event.duplicate", order_id="o-2")

    def test_what_is_malformed_is_kept_as_rejected_and_acknowledged(self):
        daemon = self.start()
        bad = {
            "not JSON": (["event", "{"], "at byte"),
            "no identity": (["userId", "u-7"], "orderId"),
            "event beside others": (["event", herald.order(1), "source", "web"], "stands alone"),
            "a name twice": (["orderId", "o-1", "userId", "u-7", "orderId", "o-2"], "at byte"),
            "no text": (["orderId", b"\xff\xfe", "userId", "u-7"], "at byte"),
            "a NUL": (["orderId", "o-\0", "userId", "u-7"], "at byte"),
            "empty": (["event", ""], "at byte"),
            "too large": (["event", "x" * (LARGEST + 1)], f"too large: {LARGEST + 1} bytes"),
            "too large in fields": (["orderId", "o-1", "note", "x" * LARGEST], "too large"),
            "too large when escaped": (["orderId", "o-1", "note", "\n" * (LARGEST // 2 + 10)], "too large"),
        }
        for number, (name, (fields, reason)) in enumerate(bad.items(), 1):
            with self.subTest(name=name):
                entry = self.client.call("XADD", "orders", "*", *fields).decode()
                [*_, line] = daemon.log.wait_event("event.rejected", n=number)
                self.assertIn(reason, line["reason"])
                self.assertEqual(line["entry"], entry)
                self.assertNotIn("offset", line)
                [*_, kept] = herald.State(self.client).rejected()
                self.assertEqual(kept[b"entry"].decode(), entry)
                self.assertEqual(kept[b"source"], b"kept")
                self.assertLessEqual(len(kept[b"head"]), 1024)
        self.add(7)
        self.wait_once_each(1)

    def test_entries_that_are_larger_together_than_a_batch_are_all_read(self):
        daemon = self.start()
        bodies = [herald.order(number, padding="x" * (200 * 1024)) for number in range(60)]
        self.client.pipeline([("XADD", "orders", "*", "event", body) for body in bodies])
        self.wait_once_each(60)
        self.assertEqual(daemon.log.count("redis.lost"), 0)

    def test_an_entry_that_was_deleted_before_it_was_read_holds_up_nobody(self):
        self.add(1)
        self.client.call("XGROUP", "CREATE", "orders", "herald", "0")
        [[_, [[entry, _]]]] = self.client.call("XREADGROUP", "GROUP", "herald", "one", "STREAMS", "orders", ">")
        self.client.call("XDEL", "orders", entry)
        self.start()
        self.add(2)
        self.wait_once_each(1)

    # ── both ways ──

    def publish_both(self, body):
        script = (herald.ROOT / "etc/publish.lua").read_text()
        return self.client.call("EVAL", script, 1, "orders", "order:confirmed", body)

    def test_one_event_on_a_channel_and_on_a_stream_counts_once(self):
        daemon = self.start(more=CHANNEL)
        for number in range(50):
            self.assertIn(b"-", self.publish_both(herald.order(number)))
        self.wait_once_each(50)
        daemon.log.wait_event("event.duplicate", n=50)
        self.assertEqual(daemon.log.count_past(50, "event.accepted"), 50)
        self.assertEqual(daemon.log.count("event.conflict"), 0)

    def test_what_is_published_both_ways_while_nobody_listens_is_not_lost(self):
        daemon = self.start(more=CHANNEL)
        daemon.kill()
        for number in range(20):
            self.publish_both(herald.order(number))
        daemon.start()
        self.wait_once_each(20)

    # ── faults ──

    def test_a_kill_with_entries_pending_loses_nothing(self):
        daemon = self.start()
        for burst in range(5):
            self.add(*range(burst * 200, burst * 200 + 200))
            self.wait(lambda: daemon.log.raw_count("event.accepted") > 0, 10, "some accepted")
            daemon.kill()
            daemon.start()
        self.wait(lambda: len(set(self.orders())) == 1000, 60, lambda: f"all sent: {len(set(self.orders()))}")
        self.wait(lambda: self.pending() == 0, 10, "all acknowledged")

    def leave_pending(self, consumer, count):
        """Entries that a consumer was given and never acknowledged."""
        self.add(*range(count))
        self.client.call("XGROUP", "CREATE", "orders", "herald", "0")
        self.client.call("XREADGROUP", "GROUP", "herald", consumer, "COUNT", count, "STREAMS", "orders", ">")

    def test_our_own_pending_entries_are_read_at_once_at_the_start(self):
        self.leave_pending("one", 300)
        self.start(lease="60s")
        self.wait_once_each(300)

    def test_a_dead_consumers_entries_are_taken_over_and_not_before_a_lease(self):
        self.leave_pending("dead", 300)
        left_at = time.monotonic()
        self.start(lease="3s")
        self.wait(lambda: self.orders(), 20, "the first of them")
        self.assertGreater(time.monotonic() - left_at, 3)
        self.wait_once_each(300)

    @herald.without_example_users("takes a right away")
    def test_what_cant_be_acknowledged_is_said_once_holds_up_reading_and_counts_once(self):
        """A kill in between is what a lost acknowledgement is."""
        self.client.call("ACL", "SETUSER", "default", "-xack")
        daemon = self.start()
        self.client.call("XADD", "orders", "*", "event", "{")
        self.add(1)
        [line] = daemon.log.wait_event("redis.refused")
        self.assertIn("NOPERM", line["reason"])
        self.assertIn("acknowledged", line["message"])
        self.assertEqual(line["source"], "kept")
        daemon.log.wait_event("event.rejected")
        tried = lambda: int(re.search(r"rejected_calls=(\d+)", self.client.info("commandstats")["cmdstat_xack"]).group(1))
        before = tried()
        self.wait(lambda: tried() > before + 1, 20, "it is tried again")
        self.assertEqual(daemon.log.count("redis.refused"), 1)
        daemon.kill()
        daemon.start()
        [again, *_] = daemon.log.wait_event("event.duplicate")
        self.assertIn("entry", again)
        self.client.call("ACL", "SETUSER", "default", "+xack")
        self.wait_once_each(1)
        self.assertEqual(daemon.log.count_past(1, "event.rejected"), 1)
        self.assertEqual(len(herald.State(self.client).rejected()), 1)

    @herald.without_example_users("takes a right away")
    def test_what_cant_be_trimmed_is_said_once_and_holds_up_nothing(self):
        self.client.call("ACL", "SETUSER", "default", "-xtrim")
        daemon = self.start()
        self.add(1, 2)
        [line] = daemon.log.wait_event("redis.refused", timeout=20)
        self.assertIn("removed", line["message"])
        self.add(3)
        self.wait_once_each(3)
        self.wait_tidied()
        self.assertEqual(daemon.log.count("redis.refused"), 1)

    def test_two_instances_share_a_stream(self):
        daemons = [self.start(), self.start(instance="two")]
        for burst in range(20):
            self.add(*range(burst * 50, burst * 50 + 50))
        self.wait_once_each(1000, timeout=60)
        self.assertTrue(all(daemon.log.count("event.accepted") > 0 for daemon in daemons))

    def test_a_group_that_was_flushed_is_made_again_and_nothing_added_since_is_lost(self):
        daemon = self.start()
        self.add(1, 2)
        self.wait_once_each(2)
        mark = daemon.log.mark()
        self.client.call("FLUSHALL")
        self.store_user()
        self.add(3, 4, 5)
        daemon.log.wait_event("redis.reading", after=mark)
        self.wait_once_each(5)

    def test_redis_stopped_and_started_loses_nothing(self):
        self.client.call("CONFIG", "SET", "appendonly", "yes")
        self.client.call("CONFIG", "SET", "appendfsync", "always")
        self.wait(lambda: self.client.info("persistence")["aof_rewrite_in_progress"] == "0", 10, "the log is written")
        self.redis.options.update({"appendonly": "yes", "appendfsync": "always"})
        daemon = self.start(lease="5s")
        for burst in range(3):
            self.add(*range(burst * 100, burst * 100 + 100))
            self.client.close()
            self.redis.process.signal(signal.SIGTERM)
            self.redis.process.wait()
            mark = daemon.log.mark()
            self.redis.start()
            self.client = self.redis.client()
            daemon.log.wait_event("redis.reading", after=mark, timeout=20)
        self.wait_once_each(300)

    @herald.without_example_users("has a stream of its own")
    def test_a_stream_that_cant_be_read_is_said_and_the_others_go_on(self):
        daemon = self.start(more=CHANNEL.replace("heard", "more").replace("pubsub", "stream")
                            .replace("channel = order:confirmed", "stream = more"))
        self.client.call("DEL", "more")
        self.client.call("SET", "more", "no stream")
        [line] = daemon.log.wait_event("redis.refused", source="more")
        self.assertIn("WRONGTYPE", line["reason"])
        self.add(1)
        self.wait_once_each(1)
        self.client.call("DEL", "more")
        daemon.log.wait_event("redis.reading", n=2)
        self.client.call("XADD", "more", "*", "event", herald.order(2))
        self.wait(lambda: self.pending("more") == 0 and len(self.orders()) == 2, 10, "both sent")

    def test_ready_waits_for_the_streams(self):
        self.client.call("SET", "orders", "no stream")
        daemon = self.start(start=False).start(wait_ready=False)
        daemon.log.wait_event("redis.refused", source="kept")
        daemon.log.wait_event("redis.subscribed")
        self.assertEqual(daemon.notify.count("READY=1"), 0)
        self.client.call("DEL", "orders")
        daemon.wait_ready()

    @herald.without_example_users("has a channel of its own")
    def test_sources_keep_their_meaning_when_a_reload_finds_them_in_another_order(self):
        second = CHANNEL.replace("heard", "second").replace("order:confirmed", "second")
        daemon = self.start(more=CHANNEL + second)
        text = daemon.config.read_text()
        self.assertIn(CHANNEL + second, text)
        daemon.reload(text.replace(CHANNEL + second, second + CHANNEL))
        daemon.log.wait_event("config.reloaded")
        self.client.publish("second", herald.order(1))
        daemon.log.wait_event("event.accepted", source="second")

    # ── trimming ──

    def length(self):
        return self.client.call("XLEN", "orders")

    def test_what_is_done_with_is_removed_and_what_is_pending_never(self):
        self.leave_pending("dead", 1)  # the oldest; its consumer will not come back within this test
        daemon = self.start(lease="1h")
        self.add(*range(1, 1001))
        daemon.log.wait_event("event.accepted", n=1000, timeout=30)
        self.wait(lambda: self.pending() == 1, 10, "all but one acknowledged")
        self.wait_tidied()
        self.assertEqual(self.length(), 1001)
        self.client.call("XACK", "orders", "herald", self.client.call("XPENDING", "orders", "herald")[1])
        self.wait(lambda: self.length() < 250, 20, lambda: f"trimmed: {self.length()}")

    def wait_tidied(self):
        """Twice, so that the second one has seen all that was there when we began."""
        calls = lambda: self.client.info("commandstats").get("cmdstat_eval", "calls=0").split(",")[0]
        for _ in range(2):
            before = calls()
            self.wait(lambda: calls() != before, 40, "tidied")

    def test_nothing_is_removed_while_another_group_reads_it_or_where_it_is_not_wanted(self):
        self.client.call("XGROUP", "CREATE", "orders", "others", "0", "MKSTREAM")
        daemon = self.start()
        self.add(*range(500))
        self.wait_once_each(500)
        self.wait_tidied()
        self.assertEqual(self.length(), 500)
        daemon.stop()
        self.client.call("XGROUP", "DESTROY", "orders", "others")
        daemon = self.start(source="trim = no")
        self.wait_tidied()
        self.assertEqual(self.length(), 500)
        daemon.stop()
        self.start()
        self.wait(lambda: self.length() < 250, 20, lambda: f"trimmed: {self.length()}")

    def test_a_stop_leaves_what_was_not_read_to_the_next(self):
        daemon = self.start()
        self.add(*range(2000))
        daemon.log.wait_event("event.accepted", n=10)
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(self.pending(), 0)
        daemon.start()
        self.wait_once_each(2000, timeout=60)

    def test_what_was_received_is_accounted_for(self):
        daemon = self.start()
        self.add(*range(200), *range(50))
        self.client.pipeline([("XADD", "orders", "*", "event", "{")] * 20)
        self.add(*range(1000, 1001))
        counts = lambda: {name: daemon.log.count(f"event.{name}") for name in ("accepted", "duplicate", "rejected")}
        self.wait(lambda: sum(counts().values()) == 271, 20, counts)
        self.assertEqual(counts(), {"accepted": 201, "duplicate": 50, "rejected": 20})
        status = json.loads(self.wait(self.received_status, 10, "the heartbeat says it"))
        self.assertEqual(status["received"], 271)

    def received_status(self):
        text = self.client.call("HGET", "herald:{0}:status", "one")
        return text if text and json.loads(text)["received"] == 271 else None


if __name__ == "__main__":
    herald.main()
