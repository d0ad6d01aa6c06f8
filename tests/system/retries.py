"""What a mail server can answer, and what becomes of the mail."""

import time

import herald

CONFIG = """
[redis]
url = $redis

[source orders]
type = pubsub
channel = order:confirmed
id = orderId
notification = order-confirmed

[notification order-confirmed]
channels = email

[provider mail]
channel = email
type = smtp
url = $smtp
from = orders@shop.example
connections = 4
backoff_base = 1s
$more
"""


class Retries(herald.TestCase):
    def setUp(self):
        super().setUp()
        self.redis = self.world.redis()
        self.client = self.redis.client()
        self.addCleanup(self.client.close)
        herald.store_user(self.client, "u-7", email="ada@example.org")

    def start(self, smtp, more="", **options):
        return self.world.heraldd(CONFIG, redis=self.redis.url, smtp=smtp.url, more=more, **options)

    def publish(self, first, last=None):
        for number in range(first, (last or first) + 1):
            self.client.call("PUBLISH", "order:confirmed", herald.order(number))

    def wait_idle(self, timeout=20):
        self.wait(herald.State(self.client).is_idle, timeout, "nothing under way")

    def test_451_twice_and_then_250_is_sent_at_the_third_attempt_on_schedule(self):
        smtp = self.world.smtp_script({"sequence": {"final": ["451 4.3.0 later", "451 4.3.0 later"]}})
        daemon = self.start(smtp)
        self.publish(1)
        [sent] = daemon.log.wait_event("delivery.sent", timeout=20)
        self.assertEqual(sent["attempt"], 3)
        first, second, third = [line["at"] for line in smtp.commands("MAIL")]
        # Equal jitter: half of the delay is fixed. Base 1 s, then 2 s; the tick may add up to 100 ms.
        self.assertTrue(0.5 <= second - first <= 1.1, second - first)
        self.assertTrue(1.0 <= third - second <= 2.1, third - second)
        self.assertEqual(len(smtp.mails()), 1)
        story = self.world.ctl("explain", "o-1", config=daemon.config)
        self.assertEqual(story.count("smtp 451 at the end: 4.3.0 later"), 2)

    def test_550_5_1_1_is_dead_after_one(self):
        smtp = self.world.smtp_script({"always": {"rcpt": "550 5.1.1 no such user"}})
        daemon = self.start(smtp)
        self.publish(1)
        [dead] = daemon.log.wait_event("delivery.dead")
        self.assertEqual((dead["attempt"], dead["code"]), (1, 550))
        self.wait_idle()
        self.assertEqual(herald.State(self.client).counts()["dead"], 1)
        self.assertEqual(len(smtp.commands("RCPT")), 1)
        self.assertIn("5.1.1", self.world.ctl("dead", "list", config=daemon.config))

    def test_a_dead_one_can_be_replayed_with_the_same_identity(self):
        smtp = self.world.smtp_script({"sequence": {"final": ["554 5.6.0 no"]}})
        daemon = self.start(smtp)
        self.publish(1)
        daemon.log.wait_event("delivery.dead")
        self.wait_idle()
        self.assertIn("1 replayed", self.world.ctl("dead", "replay", "o-1", config=daemon.config))
        [sent] = daemon.log.wait_event("delivery.sent")
        self.wait_idle()
        self.assertEqual(herald.State(self.client).counts()["dead"], 0)
        self.assertEqual(len(smtp.mails()), 1)
        self.assertEqual(sent["attempt"], 1)

    def test_a_server_that_is_down_kills_nothing(self):
        smtp = self.world.smtp_script()
        daemon = self.start(smtp)
        smtp.stop()
        self.publish(1, 30)
        daemon.log.wait_event("lane.closed")
        time.sleep(6)  # the outage itself is what is tested: long enough for the breaker to open more than once
        self.assertEqual(daemon.log.count("delivery.dead"), 0)
        smtp.start()
        daemon.log.wait_event("lane.opened", timeout=70)
        self.wait(lambda: len(smtp.mails()) == 30, 70, "30 mails")
        self.wait_idle()
        self.assertEqual({line["attempt"] for line in daemon.log.select("delivery.sent")}, {1})
        self.assertEqual(daemon.log.count("delivery.dead"), 0)

    def test_a_wrong_password_kills_nothing_and_is_mended_by_a_reload(self):
        smtp = self.world.smtp_script(arguments=["--auth", "shop:right"])
        secret = self.world.folder / "secret"
        secret.write_text("wrong\n")
        daemon = self.start(smtp, f"user = shop\npassword_file = {secret}\nstarttls = never")
        self.publish(1, 12)
        [closed] = daemon.log.wait_event("lane.closed")
        self.assertEqual((closed["reason"], closed["code"]), ("login", 535))
        self.assertEqual(len(smtp.mails()), 0)
        secret.write_text("right\n")
        daemon.reload()
        self.wait(lambda: len(smtp.mails()) == 12, 70, "12 mails")
        self.wait_idle()
        self.assertEqual(daemon.log.count("delivery.dead"), 0)
        self.assertNotIn("wrong", daemon.log_path.read_text().replace("is wrong", ""))

    def test_an_answer_that_is_lost_is_sent_again_or_held_as_chosen(self):
        lost = {"sequence": {"final": [{"drop": True, "accept": True}]}}
        smtp = self.world.smtp_script(lost)
        daemon = self.start(smtp)
        self.publish(1)
        [lost_one] = daemon.log.wait_event("delivery.unknown")
        self.assertGreater(lost_one["wait_ms"], 0, "until it is sent again")
        daemon.log.wait_event("delivery.sent", timeout=20)
        self.assertEqual([line["event"] for line in daemon.log.read() if line["event"].startswith("delivery.")],
                         ["delivery.unknown", "delivery.sent"], "one attempt, one verdict")
        first, second = smtp.mails()
        identity = lambda mail: [line for line in mail["message"].splitlines() if line.startswith(("Message-ID", "Date"))]
        self.assertEqual(identity(first), identity(second))
        daemon.stop()

        smtp = self.world.smtp_script(lost)
        daemon = self.start(smtp, "on_unknown = hold")
        self.publish(2)
        daemon.log.wait_event("delivery.unknown")
        self.wait(lambda: herald.State(self.client).counts()["unknown"] == 1, 10, "one held")
        self.assertEqual(len(smtp.mails()), 1)
        daemon.stop()

        smtp = self.world.smtp_script(lost)
        daemon = self.start(smtp, "max_attempts = 1")
        self.publish(3)
        daemon.log.wait_event("delivery.dead", order_id="o-3")
        self.assertEqual([line["event"] for line in daemon.log.read() if line["event"].startswith("delivery.")], ["delivery.dead"])

    def test_421_waits_without_an_attempt_spent(self):
        smtp = self.world.smtp_script({"sequence": {"rcpt": ["421 4.7.0 too many connections"]}})
        daemon = self.start(smtp)
        self.publish(1)
        [retry] = daemon.log.wait_event("delivery.retry")
        self.assertGreaterEqual(retry["wait_ms"], 1000)
        record = herald.State(self.client)
        self.wait(lambda: record.counts()["again"] == 1, 10, "it waits")
        [eid] = record.events()
        self.assertEqual(record.record(eid)["0"].split()[2], b"0")


if __name__ == "__main__":
    herald.main()
