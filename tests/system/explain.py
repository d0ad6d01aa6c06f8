"""What heraldctl explain tells: every way an event can go, made with one daemon, and its story from the beginning to the end.

Each story is checked as JSON, as the text that an operator reads, for the order of its times, and against the log's own times."""

import datetime
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

[source parcels]
type = pubsub
channel = parcel:sent
id = orderId
notification = parcel-sent

[source bills]
type = pubsub
channel = bill:made
id = orderId
notification = bill-made

[notification order-confirmed]
channels = email:mail push

[notification parcel-sent]
channels = email:mail
rate = 1/2s

[notification bill-made]
channels = email:careful

[provider mail]
channel = email
type = smtp
url = $smtp
from = orders@shop.example
backoff_base = 2s

[provider careful]
channel = email
type = smtp
url = $smtp
from = orders@shop.example
on_unknown = hold

[provider app]
channel = push
type = null
"""

AT = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\S*Z"


def seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Explain(herald.TestCase):
    def setUp(self):
        super().setUp()
        self.began = time.time()
        self.redis = self.world.redis()
        self.client = self.redis.client()
        self.addCleanup(self.client.close)
        for user, domain in (("u-7", "ada"), ("u-late", "late"), ("u-dead", "dead"), ("u-lost", "lost")):
            herald.store_user(self.client, user, email=f"{domain}@shop.example", name="Ada")
        for name in ("parcel-sent", "bill-made"):
            self.world.write_templates({f"{name}/subject.txt": "Order {{orderId}}\n", f"{name}/body.txt": "Dear {{recipient.name}}\n"})
        self.smtp = self.world.smtp_script({"recipients": {
            "late@shop.example": {"final": ["451 4.3.0 come back later"]},
            "dead@shop.example": {"rcpt": ["550 5.1.1 no such user"]},
            "lost@shop.example": {"final": [{"drop": True, "accept": True}]}}})
        self.daemon = self.world.heraldd(CONFIG, redis=self.redis.url, smtp=self.smtp.url)

    def publish(self, order_id, user="u-7", channel="order:confirmed", **more):
        self.client.call("PUBLISH", channel, json.dumps({"orderId": order_id, "userId": user, **more}))

    def ctl(self, *arguments):
        return self.world.ctl(*arguments, config=self.daemon.config)

    def check(self, order_id, state, why, *history):
        """The story of an event with one delivery: its state, the one sentence why, and its lines behind `accepted`."""
        story = json.loads(self.ctl("explain", order_id, "--json"))
        [delivery] = story["deliveries"]
        self.assertEqual(delivery["state"], state, story)
        self.assertRegex(delivery["why"], f"^{why}$", order_id)
        lines = story["history"]
        texts = [f"{line['delivery']} {line['text']}" for line in lines]
        self.assertEqual(len(texts), 1 + len(history), texts)
        for text, expected in zip(texts, ("- accepted", *history)):
            self.assertRegex(text, f"^{expected}$", order_id)
        times = [seconds(line["at"]) for line in lines]
        self.assertEqual(times, sorted(times), order_id)
        self.assertTrue(self.began - 2 < times[0] and times[-1] < time.time() + 2, (order_id, lines))
        text = self.ctl("explain", order_id)
        self.assertIn(delivery["why"], text)
        told = [line.strip().split("  ", 2)[-1] for line in text.split("  history\n")[1].splitlines()]
        self.assertEqual(told, [line["text"] for line in lines], "the text tells the same")
        self.assertNotIn("@shop.example\n", text.replace("***@shop.example\n", ""), "addresses are masked")
        return story

    def sent_at(self, order_id):
        [line] = self.daemon.log.wait_event("delivery.sent", order_id=order_id, timeout=30)
        return seconds(line["ts"])

    def test_every_way_an_event_can_go_is_told_as_it_was(self):
        log = self.daemon.log
        skipped = "- skipped push: no device"
        sent = "sent at {AT}, attempt {n}".replace("{AT}", AT)

        self.publish("sent")
        self.publish("duplicate")
        self.publish("conflict")
        for order_id in ("sent", "duplicate", "conflict"):
            self.sent_at(order_id)
        self.publish("duplicate")
        self.publish("conflict", total="other")
        log.wait_event("event.duplicate")
        log.wait_event("event.conflict")
        self.publish("limit-1", channel="parcel:sent")
        self.publish("limit-2", channel="parcel:sent")
        self.publish("retried", "u-late")
        self.publish("dead", "u-dead")
        self.publish("lost", "u-lost", channel="bill:made")
        self.publish("nobody", "stranger", channel="bill:made")
        self.publish("expired", channel="bill:made", expiresAt=herald.rfc3339(time.time() - 60))
        self.publish("later", channel="bill:made", sendAt=herald.rfc3339(time.time() + 3600))
        self.client.call("PUBLISH", "bill:made", '{"orderId":"refused","userId":7.5}')
        log.wait_event("event.accepted", order_id="later")
        log.wait_event("event.rejected")

        # What still waits says for what.
        self.check("later", "accepted", f"waits for {AT}")
        for order_id, reply in (("limit-2", "the notification's limit"), ("retried", "451 .*come back later")):
            waiting = json.loads(self.ctl("explain", order_id, "--json"))
            if waiting["deliveries"][0]["state"] != "sent":  # on a slow machine its time may have come
                self.assertRegex(waiting["deliveries"][0]["why"], f"{AT}.*{reply.split()[-1]}")
        self.assertIn("1 cancelled", self.ctl("cancel", "later"))

        for order_id in ("limit-1", "limit-2", "retried"):
            self.sent_at(order_id)
        log.wait_event("delivery.dead", order_id="dead")
        log.wait_event("delivery.unknown", order_id="lost")
        state = herald.State(self.client)
        self.wait(state.is_idle, 20, "all to be settled")

        story = self.check("sent", "sent", sent.format(n=1), skipped, "0 sent by mail, attempt 1")
        self.assertAlmostEqual(seconds(story["history"][-1]["at"]), self.sent_at("sent"), delta=2)
        self.check("duplicate", "sent", sent.format(n=1), skipped, "0 sent by mail, attempt 1")
        self.check("conflict", "sent", sent.format(n=1), skipped, "0 sent by mail, attempt 1",
                   r"- conflict: the same id came with other content, which is not sent \(content [0-9a-f]{24}\)")
        self.check("limit-1", "sent", sent.format(n=1), "0 sent by mail, attempt 1")
        story = self.check("limit-2", "sent", sent.format(n=1), f"0 limited, next at {AT}: notification's limit", "0 sent by mail, attempt 1")
        at = re.search(AT, story["history"][1]["text"])[0]
        self.assertGreaterEqual(seconds(story["history"][2]["at"]), seconds(at) - 0.1, "not before the time that was told")
        story = self.check("retried", "sent", sent.format(n=2), skipped, rf"0 retry, next at {AT}: smtp 451 at the end: 4\.3\.0 come back later",
                           r"0 sent by mail, attempt 2: 2\.0\.0 queued")
        self.assertGreaterEqual(seconds(story["history"][3]["at"]), seconds(re.search(AT, story["history"][2]["text"])[0]) - 0.1)
        self.check("dead", "dead", rf"given up at {AT}; smtp 550 at RCPT: 5\.1\.1 no such user", skipped, r"0 dead smtp 550 at RCPT: 5\.1\.1 no such user")
        self.check("lost", "unknown", f"may have been sent; held since {AT}; broken connection: \\w.+", "0 unknown broken connection: \\w.+")
        self.check("nobody", "dead", f"given up at {AT}; no recipient", "- no record of this user; skipped email: no address", "0 dead no recipient")
        self.check("expired", "dead", f"given up at {AT}; expired", "0 dead expired")
        self.check("later", "dead", f"given up at {AT}; cancelled by an operator", "0 dead cancelled by an operator")
        refused = json.loads(self.ctl("explain", "refused", "--json"))
        self.assertEqual((refused["event"], len(refused["rejected"])), (None, 1))
        self.assertIn("userId", refused["rejected"][0]["reason"])
        self.assertRegex(self.ctl("explain", "refused"), rf"\Arefused at {AT}, from source bills: userId: expected a string or an integer\n\Z")
        self.assertIn("id dead  source orders  notification order-confirmed", self.ctl("explain", "dead"))

    def test_a_template_that_makes_no_json_waits_for_a_better_one(self):
        push = self.world.templates / "order-confirmed/push.json"
        good = push.read_text()
        push.write_text('{"title": "{{orderId}}", "total": {{total}}}')
        self.daemon.reload()
        self.daemon.log.wait_event("config.reloaded")
        herald.store_user(self.client, "u-app", push=[{"provider": "app", "token": "token-of-u-app"}])
        self.publish("broken", "u-app")
        [line] = self.daemon.log.wait_event("delivery.retry", order_id="broken")
        self.assertEqual((line["reason"], line["wait_ms"], line["level"]), ("content", 60000, "warning"))
        self.assertIn(f"{push}: the result isn't JSON: at byte 29"[-60:], line["reply"])
        self.check("broken", "deferred", f"next try at {AT}, attempts so far: 0; retry, next at {AT}: content: .*isn't JSON: at byte 29.*",
                   "- skipped email: no address", f"0 retry, next at {AT}: content: .*isn't JSON: at byte 29.*")
        self.assertIn("to tok...", self.ctl("explain", "broken"))
        push.write_text(good)
        self.daemon.reload()
        self.daemon.log.wait_event("config.reloaded", n=2)
        [eid] = herald.State(self.client).events()
        self.client.call("ZADD", herald.State(self.client).key("again:app"), 1, f"{eid}:0")  # its minute is over
        self.assertEqual(self.daemon.log.wait_event("delivery.sent", order_id="broken")[0]["attempt"], 1)

    def test_a_long_story_says_that_its_beginning_is_gone_and_keeps_its_order(self):
        self.publish("many")
        self.sent_at("many")
        self.wait(herald.State(self.client).is_idle, 20, "it to be settled")
        for number in range(9):
            self.publish("many", total=str(number))
        self.daemon.log.wait_event("event.conflict", n=9)
        state = herald.State(self.client)
        [eid] = state.events()
        self.wait(lambda: self.client.call("HGET", state.key(f"x:{eid}"), "n") == b"10", 10, "ten lines")
        story = json.loads(self.ctl("explain", "many", "--json"))
        texts = [line["text"] for line in story["history"] if not line["text"].startswith("sent")]
        self.assertEqual(texts[0], "accepted; the 2 lines that followed are no longer kept")
        lines = [self.client.call("HGET", state.key(f"x:{eid}"), f"h{number % 8}").decode() for number in range(3, 11)]
        self.assertEqual([re.search(r"content (\w+)\)", text)[1] for text in texts[1:]], [line.split()[-1] for line in lines])


if __name__ == "__main__":
    herald.main()
