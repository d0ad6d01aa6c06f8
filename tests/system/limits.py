"""What heraldctl limits tells: of each limit how much is used, and whom it makes wait, with the daemon up and down."""

import json

import herald

CONFIG = """
[redis]
url = $redis

[source orders]
type = pubsub
channel = order:confirmed
id = orderId
notification = order-confirmed

[source news]
type = pubsub
channel = news
id = orderId
notification = news

[notification order-confirmed]
channels = email push

[notification news]
channels = email
rate = 2/1h

[limit recipient]
rate = 3/1h
channels = email

[provider mail]
channel = email
type = smtp
url = $smtp
from = orders@shop.example
rate = 5/1h burst 12

[provider app]
channel = push
type = null
"""


class Limits(herald.TestCase):
    def setUp(self):
        super().setUp()
        self.redis = self.world.redis()
        self.client = self.redis.client()
        self.addCleanup(self.client.close)
        for user in ("ada", "bob", "eve"):
            herald.store_user(self.client, user, email=f"{user}@example.org", push=[{"provider": "app", "token": "t"}])
        self.world.write_templates({"news/subject.txt": "News\n", "news/body.txt": "News\n"})
        self.smtp = self.world.smtp_script()

    def start(self, config=CONFIG):
        self.daemon = self.world.heraldd(config, redis=self.redis.url, smtp=self.smtp.url)

    def publish(self, number, user, channel="order:confirmed"):
        self.client.publish(channel, herald.order(number, user))

    def ctl(self, *arguments):
        return self.world.ctl("limits", *arguments, config=self.daemon.config)

    def limits(self, *arguments):
        return {(one["limit"], one["name"]): one for one in json.loads(self.ctl("--json", *arguments))["limits"]}

    def test_nothing_used_says_so(self):
        self.start()
        limits = self.limits()
        self.assertEqual(list(limits), [("provider", "mail"), ("notification", "news"), ("recipient", "email")])
        self.assertEqual({name: limits["provider", "mail"][name] for name in ("rate", "burst", "used", "free", "next_ms", "reset_ms", "waiting")},
                         {"rate": "5/1h burst 12", "burst": 12, "used": 0, "free": 12, "next_ms": 0, "reset_ms": 0, "waiting": 0})
        self.assertIn("provider mail  5/1h burst 12\n  used 0 of 12; 0 could go and wait in its lane\n", self.ctl())
        self.assertIn("recipient email  3/1h\n  each has the same; 0 have used some of it, by any channel; 0 made wait\n", self.ctl())

    def test_who_is_made_to_wait_is_listed_with_the_slots(self):
        self.start()
        for number in range(5):
            self.publish(number, "ada")
        self.publish(5, "bob")
        self.daemon.log.wait_event("delivery.sent", n=4, provider="mail")
        self.daemon.log.wait_event("delivery.limited", n=2)
        for number in (10, 11, 12):
            self.publish(number, "eve", "news")
        self.daemon.log.wait_event("delivery.sent", n=6, provider="mail")
        self.daemon.log.wait_event("delivery.limited", n=3)
        limits = self.limits()
        self.assertEqual((limits["provider", "mail"]["used"], limits["provider", "mail"]["free"]), (6, 6))
        news = limits["notification", "news"]
        self.assertEqual((news["used"], news["free"], news["waiting"]), (2, 0, 1))
        self.assertTrue(0 < news["next_ms"] <= 2 * 1_900_000 < news["reset_ms"] + 2_000_000, news)
        email = limits["recipient", "email"]
        self.assertEqual((email["recipients"], email["limited"]), (3, 1))
        [ada] = email["who"]
        self.assertEqual((ada["to"], ada["used"], ada["free"], ada["waiting"]), ("a***@example.org", 3, 0, 2))
        self.assertLess(ada["next"], ada["last"])
        text = self.ctl()
        self.assertRegex(text, r"(?m)^notification news  2/1h\n  used 2 of 2, USED UP: a new one waits \d+ min, all free in \d+ min; 1 wait for their slots, the first at 20\S+Z, the last at 20\S+Z$")
        self.assertRegex(text, r"(?m)^    a\*\*\*@example\.org  used 3 of 3, USED UP: .*; 2 wait for their slots, the first at 20\S+Z, the last at 20\S+Z$")
        self.assertNotIn("ada@", text)
        self.daemon.stop()
        self.assertEqual(self.limits()["recipient", "email"]["limited"], 1, "with the daemon down")

    def test_the_list_is_bounded_and_begins_with_whose_slot_comes_first(self):
        self.start(CONFIG.replace("rate = 5/1h burst 12", "").replace("rate = 3/1h", "rate = 1/1h"))
        for place, user in enumerate(("eve", "ada", "bob")):
            self.publish(2 * place, user)
            self.publish(2 * place + 1, user)
            self.daemon.log.wait_event("delivery.limited", n=place + 1)
        self.daemon.log.wait_event("delivery.sent", n=3, provider="mail")
        self.assertEqual([one["to"] for one in self.limits()["recipient", "email"]["who"]],
                         ["e***@example.org", "a***@example.org", "b***@example.org"])
        self.assertEqual([one["to"] for one in self.limits("--limit", "1")["recipient", "email"]["who"]], ["e***@example.org"])
        self.assertRegex(self.ctl("--limit", "1"), r"(?m)^    and 2 more; --limit shows more$")

    def test_a_provider_that_is_used_up_says_when_the_next_may_go_and_how_many_wait(self):
        self.start(CONFIG.replace("rate = 5/1h burst 12", "rate = 1/1h burst 2").replace("rate = 3/1h", "rate = 100/1h"))
        for number in range(5):
            self.publish(number, "ada")
        self.daemon.log.wait_event("delivery.sent", n=2, provider="mail")
        self.wait(lambda: self.limits()["provider", "mail"]["waiting"] == 3, 10, "three to wait")
        self.assertRegex(self.ctl(), r"(?m)^provider mail  1/1h burst 2\n  used 2 of 2, USED UP: a new one waits (5\d|6\d) min, .*; 3 could go and wait in its lane$")

    def test_without_a_limit_it_says_so(self):
        self.start(CONFIG.replace("rate = 5/1h burst 12", "").replace("rate = 2/1h", "").replace("[limit recipient]\nrate = 3/1h\nchannels = email\n", ""))
        self.assertEqual(self.ctl(), "no limit is configured\n")
        self.assertEqual(json.loads(self.ctl("--json")), {"limits": [], "cut": False})


if __name__ == "__main__":
    herald.main()
