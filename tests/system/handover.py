"""The subscription survives heraldd: its socket lies in the service manager's store while nobody runs."""

import json
import os
import signal
import socket
import time

import herald
from publisher import Publisher

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


class Handover(herald.TestCase):
    def setUp(self):
        super().setUp()
        self.use(self.world.redis())
        self.addCleanup(lambda: self.client.close())
        self.prepare()

    def use(self, redis):
        """The one that is served and looked into from here on."""
        if hasattr(self, "client"):
            self.client.close()
        self.redis, self.client = redis, redis.client()

    def other_redis(self):
        other = self.world.redis()
        with other.client() as client:
            herald.store_user(client, "u-7", email="ada@example.org")
        return other

    def prepare(self):
        """A Redis with nothing in it but the customer."""
        self.client.call("FLUSHALL")
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

    def restart(self, daemon):
        """What systemd does with a unit that has ended: the next one is given the store, and takes it over."""
        mark = daemon.log.mark()
        daemon.start(keep_store=True)
        daemon.log.wait_event("redis.inherited", after=mark)

    def subscribers(self):
        """How many connections of heraldd's subscription Redis sees."""
        return self.client.call("CLIENT", "LIST").decode().count("name=herald-subscriber-")

    def sent_orders(self, daemon):
        return [line["order_id"] for line in daemon.log.select("delivery.sent")]

    def kill_between_canaries(self, daemon):
        """Ends it right after a canary came through, so that what is known of the gap's beginning is exact."""
        proved = lambda: self.client.call("HGET", "herald:{0}:proved", "orders")
        before = self.wait(proved, 10, "a canary")
        self.wait(lambda: proved() != before, 10, "another canary")
        daemon.kill()

    def check_one_is_stored(self, daemon, other_than=()):
        """Only the new subscription is left, and what lies in the store is that one: it survives another kill."""
        def is_so():
            names = daemon.notify.names()
            return len(names) == 1 and names[0] not in other_than and self.subscribers() == 1
        self.wait(is_so, 10, lambda: f"one subscription, stored: {daemon.notify.names()}, {self.subscribers()}")
        daemon.kill()
        self.assertEqual(self.client.publish("order:confirmed", herald.order("last")), 1)
        self.restart(daemon)
        daemon.log.wait_event("event.accepted", order_id="o-last")

    # ── nothing is lost ──

    def test_kill_9_under_load_loses_nothing(self):
        for kind in BOTH_KINDS:
            with self.subTest(kind):
                self.prepare()
                daemon = self.start(self.null_text(getattr(self.redis, kind)))
                publisher = Publisher(self.redis.client, PACE)
                for _ in range(4):
                    before = publisher.count
                    self.wait(lambda: publisher.count > before + PACE // 3, 30, "some load")
                    daemon.kill()
                    self.restart(daemon)
                count = publisher.end()
                self.assertEqual(publisher.deaf, 0, "somebody was subscribed at each moment")
                self.wait_all(count)
                self.assertEqual(self.subscribers(), 1)
                self.assertEqual(daemon.log.count("source.gap"), 0)
                self.check_ours(daemon)
                self.assertEqual(daemon.stop(), 0)
                self.assertEqual(len(daemon.notify.names()), 1)
                daemon.notify.empty()

    def test_kill_9_repeats_no_more_than_was_on_its_way(self):
        smtp = self.world.smtp_sink()
        daemon = self.start(self.text(smtp=smtp.url))
        publisher = Publisher(self.redis.client, pace=300)
        kills = 3
        for times in range(1, kills + 1):
            self.wait(lambda: smtp.count() > times * 150, 60, "some mails")
            daemon.kill()
            self.restart(daemon)
        count = publisher.end()
        self.assertEqual(publisher.deaf, 0)
        self.wait_all(count)
        subjects = [mail["Subject"] for mail in smtp.mails()]
        self.assertEqual(len(set(subjects)), count)
        self.assertLessEqual(len(subjects) - count, kills * 4, "a connection can have one in the air")
        self.assertEqual(daemon.log.count("source.gap"), 0)

    def test_a_restart_under_load_loses_and_repeats_nothing(self):
        for kind in BOTH_KINDS:
            with self.subTest(kind):
                self.prepare()
                daemon = self.start(self.null_text(getattr(self.redis, kind)))
                publisher = Publisher(self.redis.client, PACE)
                for _ in range(3):
                    before = publisher.count
                    self.wait(lambda: publisher.count > before + PACE // 3, 30, "some load")
                    self.assertEqual(daemon.stop(), 0)
                    self.restart(daemon)
                count = publisher.end()
                self.assertEqual(publisher.deaf, 0)
                self.wait_all(count)
                self.assertEqual(daemon.stop(), 0)
                orders = self.sent_orders(daemon)
                self.assertEqual((len(orders), len(set(orders))), (count, count))
                self.assertEqual(daemon.log.count("source.gap"), 0)
                daemon.notify.empty()

    # ── without the descriptor ──

    def test_what_no_socket_held_is_a_gap_and_its_length_is_right(self):
        daemon = self.start()
        self.kill_between_canaries(daemon)
        began = time.monotonic()
        daemon.notify.empty()
        time.sleep(6)  # the outage is what is tested
        self.assertEqual(self.client.publish("order:confirmed", herald.order("lost")), 0)
        daemon.start(keep_store=True, wait_ready=False)
        self.wait(lambda: self.client.call("PUBSUB", "NUMSUB", "order:confirmed")[1] == 1, 20, "a subscription")
        outage_ms = (time.monotonic() - began) * 1000
        [line] = daemon.log.wait_event("source.gap")
        self.assertEqual(line["source"], "orders")
        self.assertLess(abs(line["ms"] - outage_ms), outage_ms / 10)
        self.assertEqual(daemon.log.count("redis.inherited"), 0)

    # ── another subscription than the one that is stored ──

    def test_another_run_of_redis_is_another_subscription(self):
        self.use(self.world.redis(appendonly="yes"))
        self.prepare()
        daemon = self.start()
        before = daemon.notify.names()
        daemon.kill()
        self.assertEqual(self.client.publish_all("order:confirmed", map(herald.order, range(100))), 100)
        self.redis.stop()
        self.redis.start()
        self.use(self.redis)
        mark = daemon.log.mark()
        daemon.start(keep_store=True)
        daemon.log.wait_event("redis.drained")
        self.wait_all(100)
        events = [line["event"] for line in daemon.log.read()[mark:]]
        self.assertLess(events.index("redis.subscribed"), events.index("event.accepted"), "the new one stands first")
        self.assertLess(len(events) - events[::-1].index("event.accepted") - 1, events.index("redis.drained"))
        self.assertEqual(daemon.log.count("redis.inherited"), 0)
        daemon.log.wait_event("source.gap")
        self.check_one_is_stored(daemon, before)

    def test_a_redis_that_restarts_under_us_is_known_by_its_new_name(self):
        self.use(self.world.redis(appendonly="yes"))
        self.prepare()
        daemon = self.start()
        for _ in range(3):
            before, mark = daemon.notify.names(), daemon.log.mark()
            self.redis.stop()
            self.redis.start()
            self.use(self.redis)
            daemon.log.wait_event("source.gap", after=mark)
            self.wait(lambda: daemon.notify.names() not in ([], before), 10, "another name")
        self.check_one_is_stored(daemon, before)

    @herald.without_example_users("has channels of its own")
    def test_other_channels_are_another_subscription_and_the_old_one_covers_until_it_stands(self):
        for kind in BOTH_KINDS:
            with self.subTest(kind):
                self.prepare()
                url = getattr(self.redis, kind)
                daemon = self.start(self.null_text(url))
                before = daemon.notify.names()
                publisher = Publisher(self.redis.client, pace=1000)
                self.wait(lambda: publisher.count > 500, 20, "some load")
                daemon.kill()
                time.sleep(1.5)  # longer than the time between two canaries: it would be a gap
                more = "[source more]\ntype = pubsub\nchannel = order:more\nid = orderId\nnotification = order-confirmed\n"
                daemon.config.write_text(self.null_text(url, more))
                daemon.start(keep_store=True)
                daemon.log.wait_event("redis.drained", timeout=30)
                self.assertEqual(self.client.publish("order:more", herald.order("more")), 1)
                count = publisher.end()
                self.assertEqual(publisher.deaf, 0)
                daemon.log.wait_event("event.accepted", order_id="o-more")
                self.wait_all(count + 1)
                self.assertEqual(daemon.log.count("source.gap"), 0)
                self.assertEqual(daemon.log.count("redis.inherited"), 0)
                self.check_one_is_stored(daemon, before)
                daemon.notify.empty()
                daemon.kill()

    def test_another_address_is_another_subscription(self):
        """What waits in the old socket is accepted by the Redis that is served from here on."""
        other = self.other_redis()
        daemon = self.start(self.null_text(self.redis.unix_url))
        before = daemon.notify.names()
        daemon.kill()
        self.assertEqual(self.client.publish_all("order:confirmed", map(herald.order, range(100))), 100)
        daemon.config.write_text(self.null_text(other.url))
        daemon.start(keep_store=True)
        daemon.log.wait_event("redis.drained", timeout=20)
        self.wait(lambda: self.subscribers() == 0, 10, "the old one is closed")
        self.use(other)
        self.wait_all(100)
        self.check_one_is_stored(daemon, before)

    def test_another_address_of_the_same_redis_is_no_gap(self):
        daemon = self.start(self.null_text(self.redis.unix_url))
        before = daemon.notify.names()
        daemon.kill()
        self.assertEqual(self.client.publish_all("order:confirmed", map(herald.order, range(100))), 100)
        time.sleep(1.5)  # longer than the time between two canaries: it would be a gap
        daemon.config.write_text(self.null_text(self.redis.url))
        daemon.start(keep_store=True)
        daemon.log.wait_event("redis.drained")
        self.wait_all(100)
        self.assertEqual(daemon.log.count("redis.inherited"), 0)
        self.check_one_is_stored(daemon, before)
        self.assertEqual(daemon.log.count("source.gap"), 0)

    def test_two_sockets_of_one_name_become_one(self):
        """A process that was not given the store made its own: each event waits twice, and is one."""
        daemon = self.start()
        daemon.kill()
        daemon.start(keep_store=False)
        self.wait(lambda: len(daemon.notify.names()) == 2, 10, "two stored sockets")
        daemon.kill()
        self.assertEqual(len(set(daemon.notify.names())), 1)
        self.client.publish_all("order:confirmed", map(herald.order, range(100)))
        self.restart(daemon)
        daemon.log.wait_event("redis.drained")
        self.wait_all(100)
        daemon.log.wait_event("event.duplicate", n=100)
        self.check_one_is_stored(daemon)

    def test_a_restart_in_the_middle_of_a_drain_keeps_both(self):
        """The old Redis goes on talking, so the drain does not end; what it says meanwhile is not lost."""
        other = self.other_redis()
        daemon = self.start()
        before = daemon.notify.names()
        publisher = Publisher(self.redis.client, pace=50)
        daemon.kill()
        daemon.config.write_text(self.null_text(other.url))
        daemon.start(keep_store=True)
        daemon.log.wait_event("event.accepted", n=20)
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(len(daemon.notify.names()), 2)
        self.restart(daemon)
        accepted = daemon.log.count("event.accepted")
        daemon.log.wait_event("event.accepted", n=accepted + 20)
        self.assertEqual(daemon.log.count("redis.drained"), 0)
        count = publisher.end()
        daemon.log.wait_event("redis.drained", timeout=20)
        self.assertEqual(publisher.deaf, 0)
        self.use(other)
        self.wait_all(count)
        self.check_one_is_stored(daemon, before)

    # ── a descriptor whose other end is gone ──

    def test_a_stale_descriptor_is_drained_and_replaced(self):
        for kind, waiting in ((kind, waiting) for kind in BOTH_KINDS for waiting in (0, 30)):
            with self.subTest(kind, waiting=waiting):
                self.prepare()
                daemon = self.start(self.null_text(getattr(self.redis, kind)))
                daemon.kill()
                self.client.publish_all("order:confirmed", map(herald.order, range(waiting)))
                self.assertEqual(self.client.call("CLIENT", "KILL", "TYPE", "pubsub"), 1)
                mark = daemon.log.mark()
                daemon.start(keep_store=True)
                for event in ("redis.inherited", "redis.lost", "redis.subscribed", "source.gap"):
                    daemon.log.wait_event(event, after=mark)
                self.wait_all(waiting)
                self.check_one_is_stored(daemon)
                daemon.notify.empty()
                daemon.kill()

    # ── messages that can't be seen whole ──

    def test_the_descriptor_is_not_stored_while_a_message_is_taken_out(self):
        """240 KiB is an event, but more than a unix socket shows; 64 MiB is refused."""
        for kind, size in (("unix_url", 240 << 10), ("unix_url", 300 << 10), ("url", 64 << 20)):
            with self.subTest(kind, size=size):
                self.prepare()
                daemon = self.start(self.null_text(getattr(self.redis, kind)))
                self.client.publish("order:confirmed", herald.order("large", text="x" * size))
                daemon.log.wait_event("event.accepted" if size < 256 << 10 else "event.rejected", timeout=40)
                self.wait(lambda: daemon.notify.count("FDSTORE=1") == 2, 10, "stored again")
                said = [line for line in daemon.notify.said if line in ("FDSTORE=1", "FDSTOREREMOVE=1")]
                self.assertEqual(said, ["FDSTORE=1", "FDSTOREREMOVE=1", "FDSTORE=1"])
                self.check_one_is_stored(daemon)
                self.assertEqual(daemon.log.count("source.gap"), 0)
                daemon.notify.empty()
                daemon.kill()

    def test_dying_while_a_message_is_taken_out_is_a_gap(self):
        daemon = self.start(self.null_text(self.redis.unix_url))
        # In one write, so that the event is there and can't be accepted.
        self.client.pipeline([("PUBLISH", "order:confirmed", herald.order("large", text="x" * (240 << 10))),
                              ("CLIENT", "PAUSE", 60000, "WRITE")])
        self.wait(lambda: not daemon.notify.names(), 10, "out of the store")
        time.sleep(0.3)  # it stays so
        self.assertEqual(daemon.notify.names(), [])
        daemon.kill()
        time.sleep(2)  # longer than the time between two canaries
        self.client.call("CLIENT", "UNPAUSE")
        daemon.start(keep_store=True)
        [line] = daemon.log.wait_event("source.gap")
        self.assertGreater(line["ms"], 2000)
        self.assertEqual(daemon.log.count("redis.inherited"), 0)
        self.check_one_is_stored(daemon)

    # ── what is not ours ──

    def test_descriptors_that_are_not_ours_are_closed_and_said(self):
        daemon = self.start()
        daemon.kill()
        near, far = socket.socketpair()
        self.addCleanup(far.close)
        daemon.notify.store("someone-elses", near.detach())
        with open(daemon.config, "rb") as file:
            daemon.notify.store("subscription-" + 32 * "0", os.dup(file.fileno()))
        self.restart(daemon)
        lines = daemon.log.wait_event("service.descriptor", n=2)
        self.assertEqual({line["reason"] for line in lines}, {"someone-elses", "subscription-" + 32 * "0"})
        daemon.notify.empty()
        far.settimeout(10)
        self.assertEqual(far.recv(1), b"", "nobody holds its other end")
        self.assertEqual(daemon.stop(), 0)

    def test_a_backlog_longer_than_two_canaries_is_no_reason_to_throw_it_away(self):
        daemon = self.start()
        daemon.process.signal(signal.SIGSTOP)
        count = 40000  # several seconds of accepting, and a canary every second
        self.client.publish_all("order:confirmed", [herald.order(number) for number in range(count)])
        daemon.process.signal(signal.SIGCONT)
        self.wait_all(count, timeout=120)
        self.assertEqual(daemon.log.count("redis.lost") + daemon.log.count("source.gap"), 0)


if __name__ == "__main__":
    herald.main()
