"""The main job: what shops publish today becomes one mail and one push, once."""

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
channels = email push

[provider mail]
channel = email
type = smtp
url = $smtp
from = "Example Shop" <orders@shop.example>

[provider phone]
channel = push
type = http
url = $push/push
ca_file = $certificate
"""

# Byte for byte what ioredis 5 sends for redis.publish("order:confirmed", JSON.stringify({orderId, userId, confirmedAt})).
BODY = b'{"orderId":"o-1001","userId":"u-7","confirmedAt":"2026-01-01T10:00:00Z"}'
IOREDIS = b"*3\r\n$7\r\npublish\r\n$15\r\norder:confirmed\r\n$%d\r\n%s\r\n" % (len(BODY), BODY)


class Order(herald.TestCase):
    def setUp(self):
        super().setUp()
        self.redis = self.world.redis()
        self.smtp = self.world.smtp_sink()
        self.push = self.world.http2_receiver()
        self.client = self.redis.client()
        self.addCleanup(self.client.close)
        herald.store_user(self.client, "u-7", email="ada@example.org", name="Ada Lovelace",
                          push=[{"provider": "phone", "token": "token-7"}])

    def start(self, **options):
        return self.world.heraldd(CONFIG, redis=self.redis.url, smtp=self.smtp.url, push=self.push.url,
                                  certificate=self.push.certificate, **options)

    def settle(self, daemons, received):
        """All that was published is accounted for, and nothing is under way any more."""
        def is_settled():
            seen = sum(daemon.log.count("event.accepted") + daemon.log.count("event.duplicate") for daemon in daemons)
            return seen == received and herald.State(self.client).is_idle()
        self.wait(is_settled, 20, f"{received} received and nothing under way")

    def test_what_ioredis_publishes_is_one_mail_and_one_push(self):
        daemon = self.start()
        self.client.socket.sendall(IOREDIS)
        self.assertEqual(self.client.read(), 1)
        daemon.log.wait_event("delivery.sent", n=2)
        self.settle([daemon], 1)
        [mail] = self.smtp.mails()
        self.assertEqual(mail["To"], "Ada Lovelace <ada@example.org>")
        self.assertEqual(mail["From"], "Example Shop <orders@shop.example>")
        self.assertEqual(mail["Subject"], "Order o-1001 is confirmed")
        self.assertEqual(mail.envelope_to, "ada@example.org")
        self.assertIn("Dear Ada Lovelace", mail.get_body(("plain",)).get_content())
        self.assertIn("<b>o-1001</b>", mail.get_body(("html",)).get_content())
        [push] = self.push.received()
        self.assertEqual(push["path"], "/push")
        self.assertEqual(push["body"], '{"token": "token-7", "title": "Order o-1001"}\n')
        self.assertRegex(push["headers"]["idempotency-key"], r'^"[0-9a-f]{32}"$')

    def test_ten_identical_publishes_are_one(self):
        daemon = self.start()
        for _ in range(10):
            self.client.call("PUBLISH", "order:confirmed", BODY)
        self.settle([daemon], 10)
        self.assertEqual((self.smtp.count(), self.push.count()), (1, 1))
        self.assertEqual(daemon.log.count_past(9, "event.duplicate"), 9)

    def test_another_confirmed_at_is_the_same_order(self):
        daemon = self.start()
        self.client.call("PUBLISH", "order:confirmed", BODY)
        self.client.call("PUBLISH", "order:confirmed", BODY.replace(b"10:00:00", b"11:22:33"))
        self.settle([daemon], 2)
        self.assertEqual((self.smtp.count(), self.push.count()), (1, 1))

    def test_the_same_id_with_other_content_is_a_conflict_and_not_sent(self):
        daemon = self.start()
        self.client.call("PUBLISH", "order:confirmed", BODY)
        self.client.call("PUBLISH", "order:confirmed", BODY.replace(b"u-7", b"u-8"))
        daemon.log.wait_event("event.conflict")
        self.settle([daemon], 1)
        self.assertEqual((self.smtp.count(), self.push.count()), (1, 1))

    def test_two_instances_on_one_redis_send_one(self):
        daemons = [self.start(), self.start()]
        for number in range(200):
            self.client.call("PUBLISH", "order:confirmed", herald.order(number))
        self.settle(daemons, 400)
        self.assertEqual((self.smtp.count(), self.push.count()), (200, 200))
        self.assertEqual(sum(daemon.log.count("event.accepted") for daemon in daemons), 200)

    def test_a_channel_without_an_address_is_skipped_and_said(self):
        daemon = self.start()
        herald.store_user(self.client, "u-8", email="bob@example.org")
        self.client.call("PUBLISH", "order:confirmed", herald.order(1, "u-8"))
        [line] = daemon.log.wait_event("event.accepted")
        self.assertIn("skipped push: no device", line["message"])
        self.settle([daemon], 1)
        self.assertEqual((self.smtp.count(), self.push.count()), (1, 0))

    def test_a_field_of_a_record_that_is_not_usable_costs_only_itself(self):
        self.client.call("HSET", "herald:user:u-7", "email", "ada@example.org", "name", "A\nB", "locale", "pt_BR.UTF-8!", "push", "[]x")
        daemon = self.start()
        self.client.publish("order:confirmed", herald.order(1))
        daemon.log.wait_event("delivery.sent", channel="email")
        self.client.publish("order:confirmed", herald.order(2, "u-nobody"))
        daemon.log.wait_event("delivery.dead", order_id="o-2")
        said = self.world.ctl("explain", "o-1", config=daemon.config)
        for field in ("name", "locale", "push"):
            self.assertIn(f"the user's record: {field}", said)
        self.assertIn("no record of this user", self.world.ctl("explain", "o-2", config=daemon.config))

    def test_nobody_to_tell_is_dead_with_the_reason(self):
        daemon = self.start()
        self.client.call("PUBLISH", "order:confirmed", herald.order(1, "stranger"))
        [line] = daemon.log.wait_event("delivery.dead")
        self.assertEqual(line["reason"], "no recipient")
        self.assertEqual(herald.State(self.client).counts()["dead"], 1)

    def test_the_log_holds_no_whole_address_and_no_token(self):
        daemon = self.start()
        self.client.call("PUBLISH", "order:confirmed", BODY)
        daemon.log.wait_event("delivery.sent", n=2)
        text = daemon.log_path.read_text()
        for secret in ("ada@example.org", "token-7", "Lovelace"):
            self.assertNotIn(secret, text)
        self.assertIn("a***@example.org", text)

    def test_send_at_waits_and_expires_at_ends(self):
        daemon = self.start()
        now = self.client.call("TIME")
        at = lambda seconds: f"{herald.rfc3339(int(now[0]) + seconds)}"
        self.client.call("PUBLISH", "order:confirmed", herald.order(1, sendAt=at(2)))
        self.client.call("PUBLISH", "order:confirmed", herald.order(2, expiresAt=at(-1)))
        dead = daemon.log.wait_event("delivery.dead", n=2)
        self.assertEqual({line["reason"] for line in dead}, {"expired"})
        lines = daemon.log.wait_event("delivery.sent", n=2)
        self.assertEqual({line["order_id"] for line in lines}, {"o-1"})
        # A file's time is read from the kernel's coarse clock, which is up to ten milliseconds behind.
        self.assertGreaterEqual(self.smtp.mails()[0].received_at, int(now[0]) + 2 - 0.01)


if __name__ == "__main__":
    herald.main()
