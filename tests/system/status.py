"""What heraldctl status shows of instances and lanes, with the daemon up, stopped, killed, and with a provider that fails."""

import json
import re
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
connections = 2
"""


class Status(herald.TestCase):
    def setUp(self):
        super().setUp()
        self.redis = self.world.redis()
        self.client = self.redis.client()
        self.addCleanup(self.client.close)
        self.state = herald.State(self.client)
        herald.store_user(self.client, "u-7", email="ada@example.org")
        self.smtp = self.world.smtp_script()

    def start(self, smtp=None):
        self.daemon = self.world.heraldd(CONFIG + "\n", redis=self.redis.url, smtp=smtp or self.smtp.url)
        return self.daemon

    def publish(self, number, **more):
        self.client.publish("order:confirmed", herald.order(number, **more))

    def ctl(self, *arguments, **options):
        return self.world.ctl(*arguments, config=self.daemon.config, **options)

    def status(self):
        return json.loads(self.ctl("status", "--json"))

    def instance(self):
        [one] = self.status()["instances"].values()
        return one

    def until(self, condition, what):
        """A heartbeat comes every five seconds."""
        self.wait(condition, 20, lambda: f"{what}: {self.ctl('status')}")

    def test_a_lane_at_work_shows_its_breaker_its_rate_and_its_slowest(self):
        self.start()
        for number in range(20):
            self.publish(number)
        self.publish(100, sendAt=herald.rfc3339(time.time() + 3600))
        self.daemon.log.wait_event("delivery.sent", n=20)
        self.until(lambda: self.instance()["sent"] == 20, "a heartbeat with the counts")
        lane = self.instance()["lanes"]["mail"]
        self.assertEqual((lane["breaker"], lane["capacity"]), ("closed", 8))
        self.assertGreater(lane["per_second"], 0)
        self.assertGreater(lane["p99_us"], 0)
        lane = self.status()["lanes"]["mail"]
        self.assertEqual((lane["due_now"], lane["due_later"], lane["oldest_ms"], lane["orphaned"], lane["served_by"]), (0, 1, 0, False, 1))
        text = self.ctl("status")
        self.assertRegex(text, r"(?m)^redis \d+\.\d+, fit\n  append-only file no, ")
        self.assertRegex(text, r"(?m)^instance \S+ alive, last heartbeat \d+ s ago$")
        self.assertIn("received 21 accepted 21 ", text)
        self.assertRegex(text, r"(?m)^lane mail\n  new 0 and 1 later, again 0 and 0 later, in flight 0\n"
                               r"  at \S+: breaker closed, in flight 0 \(0 with the provider\) of 8, \d+\.\d attempts/s, p99 up to \d+(\.\d+)? ms; ")

    def test_a_provider_that_hangs_shows_what_is_in_flight_and_one_that_is_gone_its_open_breaker(self):
        hanging = self.world.smtp_script({"sequence": {"final": [{"delay": 20}] * 2}})
        self.start(hanging.url)
        for number in range(2):
            self.publish(number)
        self.until(lambda: self.status()["lanes"]["mail"]["in_flight"] == 2, "two in flight")
        self.assertRegex(self.ctl("status"), r"in flight 2 \(2 with the provider\) of 8")
        self.assertEqual(self.status()["leased"], 2)
        hanging.kill()
        self.daemon.log.wait_event("lane.closed", timeout=30)
        self.until(lambda: self.instance()["lanes"]["mail"]["breaker"] != "closed", "an open breaker")
        self.assertRegex(self.ctl("status"), r"breaker (open|half-open) for (connect|broken connection): \w.*, in flight")

    def test_a_server_without_the_encryption_that_is_asked_for_is_named_as_such_everywhere(self):
        self.start(self.smtp.url + "\nstarttls = required")
        for number in range(5):
            self.publish(number)
        self.daemon.log.wait_event("lane.closed", reason="tls", reply="STARTTLS not offered", timeout=30)
        self.until(lambda: self.instance()["lanes"]["mail"]["trouble"] == "tls: STARTTLS not offered", "the trouble")
        self.assertRegex(self.ctl("status"), r"breaker (open|half-open) for tls: STARTTLS not offered, in flight")
        self.assertRegex(self.ctl("explain", "o-0"), r"next try at \S+, attempts so far: 0; retry, next at .*: tls: STARTTLS not offered")
        check = self.world.process("check", [herald.HERALDD, "--config", self.daemon.config, "--check", "--connect"])
        self.wait(lambda: not check.is_running(), 20, "the check")
        self.assertIn("tls: STARTTLS not offered", check.tail())
        self.assertEqual(self.smtp.commands("MAIL"), [])

    def test_who_took_its_leave_is_stopped_and_who_fell_silent_is_dead_and_what_waits_is_shown_without_them(self):
        self.start()
        self.daemon.stop()
        self.assertRegex(self.ctl("status"), r"(?m)^instance \S+ stopped, ")
        self.assertEqual(self.instance()["standing"], "stopped")
        self.daemon.start()
        self.publish(1, sendAt=herald.rfc3339(time.time() + 3600))
        self.daemon.log.wait_event("event.accepted")
        self.daemon.kill()
        self.assertEqual(self.instance()["standing"], "alive", "nobody knows yet")
        # Half a minute passes.
        [eid] = self.state.events()
        self.client.call("ZADD", self.state.key("due:mail"), int(time.time() * 1000) - 90_500, f"{eid}:0")
        name, words = self.client.call("HGETALL", self.state.key("status"))
        words = json.loads(words)
        words["at"] -= 30_000
        self.client.call("HSET", self.state.key("status"), name, json.dumps(words))
        self.assertEqual(self.instance()["standing"], "dead")
        text = self.ctl("status")
        self.assertRegex(text, r"(?m)^instance \S+ DEAD, last heartbeat 3\d s ago$")
        self.assertRegex(text, r"(?m)^lane mail  NOT SERVED: no instance that is alive has it$\n"
                               r"  new 1 and 0 later, .*, the oldest has been due for 9\d s$")
        self.assertIn("before it went", text)
        self.assertGreaterEqual(self.status()["lanes"]["mail"]["oldest_ms"], 90_000)

    def test_an_orphaned_lane_is_named(self):
        eid = "1" * 24
        self.client.call("HSET", self.state.key(f"e:{eid}"), "h", "c0", "t", 1, "o", 1, "0", "A 1 0 0 0 0 old-mail -")
        self.client.call("ZADD", self.state.key("due:old-mail"), 1, f"{eid}:0")
        self.client.call("HSET", self.state.key("lanes"), "old-mail", 1)
        self.start()
        text = self.ctl("status")
        self.assertRegex(text, r"(?m)^lane old-mail  ORPHANED: no provider of this name is configured; heraldctl lane move$")
        self.assertEqual(re.findall(r"ORPHANED", text), ["ORPHANED"])
        self.assertEqual({name: lane["orphaned"] for name, lane in self.status()["lanes"].items()}, {"mail": False, "old-mail": True})

    def test_an_unfit_redis_is_said_first(self):
        self.start()
        self.client.call("CONFIG", "SET", "maxmemory", "100mb")
        self.client.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        self.assertRegex(self.ctl("status"), r"\Aredis \d+\.\d+, NOT FIT: .*allkeys-lru")
        status = self.status()["redis"]
        self.assertFalse(status["fit"])
        self.assertIn("allkeys-lru", status["unfit"])
        self.client.call("CONFIG", "SET", "maxmemory", "0")
        self.client.call("CONFIG", "SET", "maxmemory-policy", "noeviction")

    def test_what_an_instance_says_of_itself_is_not_believed_to_be_readable(self):
        self.start()
        self.client.call("HSET", self.state.key("status"), "\x1b[31mbad", "{", "worse", "[]", "odd", '{"at":"x","lanes":7}')
        text = self.ctl("status")
        self.assertIn("2 more instances are not shown", text)
        self.assertNotIn("\x1b", text)
        self.assertEqual(self.status()["instances"]["odd"]["standing"], "stopped")


if __name__ == "__main__":
    herald.main()
