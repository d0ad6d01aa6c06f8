"""heraldd dies, Redis dies: what was accepted is sent, and nothing is said twice."""

import time

import herald

CONFIG = """
[herald]
templates = $templates
log_format = json
instance = $instance
lease = 3s
lease_margin = 500ms

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
connections = 8
$more
"""


class Crash(herald.TestCase):
    def start(self, redis, smtp, more="", **options):
        return self.world.heraldd(CONFIG, redis=redis.url, smtp=smtp.url, more=more, instance="one", **options)

    def idle(self, client):
        return herald.State(client).is_idle

    def settled(self, client, daemon, accepted):
        """That many events were accepted, and then nothing is under way. In this order: before the first event is
        accepted nothing is under way either."""
        return lambda: daemon.log.raw_count("event.accepted") >= accepted and self.idle(client)()

    def test_kill_9_under_load_loses_nothing_that_was_accepted(self):
        redis, smtp = self.world.redis(), self.world.smtp_sink()
        with redis.client() as client:
            herald.store_user(client, "u-7", email="ada@example.org")
            daemon = self.start(redis, smtp)
            # Published in slices, so that the kill comes in the middle of work.
            for first in range(0, 3000, 500):
                client.publish_all("order:confirmed", [herald.order(number) for number in range(first, first + 500)])
                if first == 1500:
                    self.wait(lambda: daemon.log.raw_count("delivery.sent") > 500, 20, "500 sent")
                    daemon.kill()
                    killed_at = time.time()
                    accepted = len(herald.State(client).events())
                    daemon.start()
            # Events are accepted in their order, so the last one says that all that was published is.
            daemon.log.wait_event("event.accepted", order_id="o-2999", timeout=40)
            self.wait(self.idle(client), 40, "nothing under way")
            state = herald.State(client)
            self.assertGreaterEqual(len(state.events()), accepted)
            mails = smtp.mails()
            numbers = [mail["Subject"] for mail in mails]
            sent = {record for record in numbers}
            self.assertEqual(len(sent), len(state.events()), "every accepted event was sent")
            # What was in flight came back after its lease, and no more than that can have been sent twice.
            repeated = len(numbers) - len(sent)
            self.assertLessEqual(repeated, 8 * 4)
            self.assertLess(max(mail.received_at for mail in mails) - killed_at, 25)

    def test_redis_away_for_ten_seconds_changes_nothing_but_the_time(self):
        redis = self.world.redis(appendonly="yes", appendfsync="always")
        smtp = self.world.smtp_sink()
        with redis.client() as client:
            herald.store_user(client, "u-7", email="ada@example.org")
            daemon = self.start(redis, smtp)
            client.publish_all("order:confirmed", [herald.order(number) for number in range(1000)])
            self.wait(lambda: daemon.log.raw_count("delivery.sent") > 200, 20, "200 sent")
        redis.stop()
        daemon.log.wait_event("redis.lost")
        time.sleep(10)  # the outage is what is tested
        self.assertTrue(daemon.process.is_running())
        redis.start()
        daemon.log.wait_event("redis.connected", n=2, timeout=10)
        with redis.client() as client:
            self.wait(lambda: daemon.log.count("redis.subscribed") == 2, 10, "subscribed again")
            client.publish_all("order:confirmed", [herald.order(number) for number in range(1000, 1100)])
            self.wait(self.settled(client, daemon, 1100), 40, "all accepted and sent")
            numbers = [mail["Subject"] for mail in smtp.mails()]
            self.assertEqual(len(numbers), len(set(numbers)), "nothing twice")
            self.assertEqual(len(numbers), len(herald.State(client).events()))
        self.assertGreaterEqual(daemon.log.count("source.gap"), 1)
        self.assertEqual(daemon.stop(), 0)

    def test_two_restarted_in_turn_lose_and_repeat_nothing(self):
        redis, smtp = self.world.redis(), self.world.smtp_sink()
        with redis.client() as client:
            herald.store_user(client, "u-7", email="ada@example.org")
            one = self.start(redis, smtp)
            two = self.world.heraldd(CONFIG, redis=redis.url, smtp=smtp.url, more="", instance="two")
            number = 0
            for daemon in (one, two, one, two):
                client.publish_all("order:confirmed", [herald.order(n) for n in range(number, number + 300)])
                number += 300
                self.assertEqual(daemon.stop(), 0)
                client.publish_all("order:confirmed", [herald.order(n) for n in range(number, number + 100)])
                number += 100
                daemon.start()
            self.wait(lambda: len(herald.State(client).events()) == number and self.idle(client)(), 30, "all sent")
            subjects = [mail["Subject"] for mail in smtp.mails()]
            self.assertEqual((len(subjects), len(set(subjects))), (number, number))

    def test_a_lost_lease_is_not_committed(self):
        """Stopped before the commit check for longer than the lease: another instance sends it, and we don't."""
        redis = self.world.redis()
        smtp = self.world.smtp_script({"sequence": {"data": [{"reply": "354 go", "delay": 2}]}})
        with redis.client() as client:
            herald.store_user(client, "u-7", email="ada@example.org")
            one = self.start(redis, smtp)
            client.publish("order:confirmed", herald.order(1))
            self.wait(lambda: smtp.commands("DATA"), 10, "DATA")
            one.process.signal(19)  # SIGSTOP
            two = self.world.heraldd(CONFIG, redis=redis.url, smtp=smtp.url, more="", instance="two")
            two.log.wait_event("delivery.sent", timeout=20)
            one.process.signal(18)  # SIGCONT
            self.wait(self.idle(client), 10, "nothing under way")
            self.wait(lambda: len(smtp.commands("QUIT")) + len(smtp.commands("DATA")) >= 2, 10, "the first gave up")
            self.assertEqual(len(smtp.mails()), 1)
            self.assertEqual(one.stop(), 0)


if __name__ == "__main__":
    herald.main()
