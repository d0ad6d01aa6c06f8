"""Many events and their limits: everything arrives, nothing faster than it may, nobody held up by somebody else's limit."""

import bisect

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
connections = 16
$rate

$limit
"""


def most_in_a_second(times):
    """The largest number of times that any window of one second holds."""
    times = sorted(times)
    return max(bisect.bisect_left(times, start + 1) - index for index, start in enumerate(times))


class Pace(herald.TestCase):
    def setUp(self):
        super().setUp()
        self.redis = self.world.redis()
        self.client = self.redis.client()
        self.addCleanup(self.client.close)

    def start(self, smtp, rate="", limit=""):
        return self.world.heraldd(CONFIG, redis=self.redis.url, smtp=smtp.url, rate=rate, limit=limit)

    def publish(self, bodies):
        self.client.pipeline([("PUBLISH", "order:confirmed", body) for body in bodies])

    def wait_idle(self, daemon, events, timeout):
        def is_idle():
            accepted = daemon.log.raw_count("event.accepted")
            return accepted == events and herald.State(self.client).is_idle()
        self.wait(is_idle, timeout, f"{events} accepted and nothing under way")

    def test_ten_thousand_events_are_ten_thousand_mails(self):
        smtp = self.world.smtp_sink()
        daemon = self.start(smtp)
        herald.store_user(self.client, "u-7", email="ada@example.org")
        self.publish(herald.order(number) for number in range(10000))
        self.wait_idle(daemon, 10000, 120)
        subjects = [mail["Subject"] for mail in smtp.mails()]
        self.assertEqual(len(subjects), 10000)
        self.assertEqual(len(set(subjects)), 10000)
        self.assertEqual(daemon.log.raw_count("delivery.retry"), 0)

    def test_a_providers_rate_is_never_exceeded_and_burns_no_attempt(self):
        smtp = self.world.smtp_script()
        daemon = self.start(smtp, rate="rate = 500/1s burst 500")
        herald.store_user(self.client, "u-7", email="ada@example.org")
        self.publish(herald.order(number) for number in range(4000))
        self.wait_idle(daemon, 4000, 60)
        mails = smtp.mails()
        self.assertEqual(len(mails), 4000)
        self.assertLessEqual(most_in_a_second([mail["at"] for mail in mails]), 1001)
        # …and it is used: 3,500 behind the burst take seven seconds at the limit.
        took = max(mail["at"] for mail in mails) - min(mail["at"] for mail in mails)
        self.assertLess(took, 12)
        self.assertEqual({line["attempt"] for line in daemon.log.select("delivery.sent")}, {1})

    def test_one_recipients_limit_does_not_hold_up_the_others(self):
        smtp = self.world.smtp_sink()
        daemon = self.start(smtp, limit="[limit recipient]\nrate = 30/1s")
        herald.store_user(self.client, "hungry", email="hungry@example.org")
        for number in range(2000):
            herald.store_user(self.client, f"u-{number}", email=f"u-{number}@example.org")
        self.publish(body for number in range(2000)
                     for body in (herald.order(f"h-{number}", "hungry"), herald.order(f"o-{number}", f"u-{number}")))
        others = lambda: sum("hungry" not in line["order_id"] and line["order_id"].startswith("o-o-")
                             for line in daemon.log.select("delivery.sent"))
        self.wait(lambda: others() == 2000, 20, "the others' mails")
        self.assertLess(daemon.log.count("delivery.sent"), 3000)
        self.wait_idle(daemon, 4000, 120)
        mails = [mail for mail in smtp.mails() if mail.envelope_to == "hungry@example.org"]
        self.assertEqual(len(mails), 2000)
        self.assertLessEqual(most_in_a_second([mail.received_at for mail in mails]), 61)
        self.assertLess(mails[-1].received_at - mails[0].received_at, 75)
        self.assertLess(daemon.log.count("delivery.limited"), 4000)


if __name__ == "__main__":
    herald.main()
