"""heraldctl pause and resume: what an operator holds back is not sent, by nobody, and nothing of it is lost."""

import json
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
channels = email push

[provider mail]
channel = email
type = smtp
url = $smtp
from = orders@shop.example
connections = 2
on_unknown = $on_unknown
$more

[provider app]
channel = push
type = null
"""


class Pause(herald.TestCase):
    def setUp(self):
        super().setUp()
        self.redis = self.world.redis()
        self.client = self.redis.client()
        self.addCleanup(self.client.close)
        self.state = herald.State(self.client)
        herald.store_user(self.client, "u-7", email="ada@example.org", push=[{"provider": "app", "token": "t"}])

    def start(self, script=None, on_unknown="resend", more="", **options):
        self.smtp = self.smtp if hasattr(self, "smtp") else self.world.smtp_script(script)
        daemon = self.world.heraldd(CONFIG, redis=self.redis.url, smtp=self.smtp.url, on_unknown=on_unknown, more=more, **options)
        self.daemon = daemon if not hasattr(self, "daemon") else self.daemon
        return daemon

    def publish(self, number, **more):
        self.client.publish("order:confirmed", herald.order(number, **more))

    def ctl(self, *arguments, **options):
        return self.world.ctl(*arguments, config=self.daemon.config, **options)

    def lane(self, name="mail"):
        return json.loads(self.ctl("status", "--json"))["lanes"][name]

    def test_what_comes_while_a_lane_is_paused_waits_and_is_sent_once_resumed_and_other_lanes_go_on(self):
        self.start()
        text = self.ctl("pause", "mail")
        self.assertRegex(text, r"\Alane mail is paused since \S+: 0 wait, until heraldctl resume\nWhat is being sent is finished.")
        self.daemon.log.wait_event("lane.paused", provider="mail")
        for number in range(30):
            self.publish(number)
        self.daemon.log.wait_event("delivery.sent", n=30, provider="app")
        self.assertEqual((self.lane()["due_now"], self.lane()["in_flight"]), (30, 0))
        self.assertGreater(self.lane()["paused_since"], 0)
        self.assertEqual(self.lane("app")["paused_since"], 0)
        self.assertRegex(self.ctl("status"), r"(?m)^lane mail  PAUSED since \S+Z; heraldctl resume$")
        self.assertIn("PAUSED", self.ctl("lane", "list"))
        self.assertRegex(self.ctl("explain", "o-3"), r"waits: its lane is paused since \S+Z; heraldctl resume mail\n")
        self.assertRegex(self.ctl("pause", "mail"), r"\Alane mail has been paused since \S+: 30 wait\n\Z")
        self.assertEqual(self.smtp.mails(), [])
        self.assertIn("is resumed: 30 wait", self.ctl("resume", "mail"))
        self.daemon.log.wait_event("lane.resumed", provider="mail")
        self.daemon.log.wait_event("delivery.sent", n=30, provider="mail", timeout=20)
        self.assertEqual(len(self.smtp.mails()), 30)
        self.wait(self.state.is_idle, 10, "all to be settled")
        self.assertEqual(self.state.counts()["dead"], 0)
        self.assertIn("was not paused", self.ctl("resume", "mail"))
        self.assertEqual([self.daemon.log.count(event) for event in ("lane.paused", "lane.resumed", "delivery.retry")], [1, 1, 0])

    def test_it_holds_for_every_instance_and_across_restarts_and_reloads(self):
        self.start()
        self.ctl("pause", "mail")
        self.daemon.log.wait_event("lane.paused")
        self.daemon.stop()
        self.daemon.start()
        other = self.start()
        other.log.wait_event("lane.paused")
        self.daemon.log.wait_event("lane.paused", n=2)
        self.daemon.reload(self.daemon.config.read_text().replace("connections = 2", "connections = 3"))
        self.daemon.log.wait_event("config.reloaded")
        for number in range(10):
            self.publish(number)
        self.wait(lambda: self.lane()["due_now"] == 10, 10, "all to wait")
        self.assertEqual(self.smtp.mails(), [])
        self.assertEqual(self.daemon.log.count("lane.paused"), 2, "a reload says it once")
        self.ctl("resume", "mail")
        self.wait(lambda: len(self.smtp.mails()) == 10, 20, "all mails")
        self.wait(self.state.is_idle, 10, "all to be settled")
        self.assertEqual(len(self.smtp.mails()), 10)

    def check_held_goes_back(self, on_unknown):
        """Two are with the provider, six behind them in memory."""
        self.start({"sequence": {"final": [{"delay": 4, "reply": "250 2.0.0 queued"}] * 2}}, on_unknown=on_unknown)
        for number in range(8):
            self.publish(number)
        self.wait(lambda: len(self.smtp.commands("MAIL")) == 2 and self.state.counts()["lease"] == 8, 10, "eight leased")
        self.ctl("pause", "mail")
        self.daemon.log.wait_event("delivery.sent", n=2, provider="mail", timeout=20)
        self.wait(lambda: self.state.counts()["lease"] == 0 and self.lane()["due_now"] == 6, 10, "six to wait")
        self.assertEqual(len(self.smtp.mails()), 2)
        self.ctl("resume", "mail")
        self.daemon.log.wait_event("delivery.sent", n=8, provider="mail", timeout=20)
        self.assertEqual(len(self.smtp.mails()), 8)
        self.assertEqual({line["attempt"] for line in self.daemon.log.select("delivery.sent", provider="mail")}, {1})

    def test_what_is_with_the_provider_is_finished_and_what_waits_in_memory_goes_back(self):
        self.check_held_goes_back("resend")

    def test_so_does_what_was_marked_as_started(self):
        self.check_held_goes_back("hold")

    def test_expiry_goes_on_and_what_expired_is_dead_and_not_sent(self):
        self.start()
        self.ctl("pause", "mail")
        self.publish(1, expiresAt=herald.rfc3339(time.time() + 2))
        self.publish(2)
        self.daemon.log.wait_event("event.accepted", n=2)
        time.sleep(3)  # what expires is a duration
        self.assertEqual(self.state.counts()["dead"], 0)
        self.ctl("resume", "mail")
        self.daemon.log.wait_event("delivery.sent", provider="mail", order_id="o-2")
        dead = self.daemon.log.wait_event("delivery.dead", provider="mail")
        self.assertEqual([line["reason"] for line in dead], ["expired"])
        self.assertEqual(len(self.smtp.mails()), 1)

    @herald.without_example_users("flushes")
    def test_a_redis_that_lost_it_is_told_again(self):
        self.start()
        self.ctl("pause", "mail")
        self.daemon.log.wait_event("lane.paused")
        since = self.client.call("HGET", self.state.key("paused"), "mail")
        self.client.call("FLUSHALL")
        herald.store_user(self.client, "u-7", email="ada@example.org")
        self.publish(1)
        self.wait(lambda: self.client.call("HGET", self.state.key("paused"), "mail") == since, 10, "the same word")
        self.wait(lambda: self.lane()["due_now"] == 1, 10, "it to wait")
        self.daemon.log.wait_event("lane.paused", n=2)
        self.assertEqual(self.smtp.mails(), [])
        # A word that was lost and given anew elsewhere is newer, and holds.
        self.ctl("resume", "mail")
        self.daemon.log.wait_event("delivery.sent", provider="mail")
        self.client.call("HSET", self.state.key("paused"), "mail", since)
        self.wait(lambda: self.client.call("HGET", self.state.key("paused"), "mail").startswith(b"resumed "), 10, "the newer word")

    def test_what_was_paused_under_an_old_name_waits_there(self):
        self.start()
        self.ctl("pause", "mail")
        self.publish(1)
        self.daemon.log.wait_event("event.accepted")
        self.daemon.reload(self.daemon.config.read_text().replace("[provider mail]", "[provider post]\nwas = mail"))
        self.daemon.log.wait_event("config.reloaded")
        self.assertEqual(self.lane("post")["paused_since"], 0)
        time.sleep(3)  # that nothing comes; upkeep looks every second
        self.assertEqual(self.smtp.mails(), [])
        self.assertRegex(self.ctl("status"), r"(?m)^lane mail  ORPHANED: .*  PAUSED since ")
        self.ctl("resume", "mail")
        self.daemon.log.wait_event("delivery.sent", provider="post")

    def test_a_lane_that_is_none_is_refused(self):
        self.start()
        for word in ("pause", "resume"):
            done = self.ctl(word, "mial", check=False)
            self.assertEqual(done.returncode, 66)
            self.assertIn("no lane 'mial': no provider of this name is configured", done.stderr)
            self.assertEqual(self.ctl(word, "m" * 40, check=False).returncode, 66)
        self.assertEqual(self.client.call("EXISTS", self.state.key("paused")), 0)
        self.assertEqual(json.loads(self.ctl("pause", "mail", "--json")), {"lane": "mail", "paused": True, "was_paused": False, "waiting": 0})
        self.assertEqual(json.loads(self.ctl("resume", "mail", "--json")), {"lane": "mail", "paused": False, "was_paused": True, "waiting": 0})


if __name__ == "__main__":
    herald.main()
