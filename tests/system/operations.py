"""What an operator does with heraldctl: the dead, the unknown, lanes, fsck, and what explain tells. The daemon runs only where
its part is tested: heraldctl talks to Redis."""

import json
import os
import pty
import subprocess
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
$notification

[provider mail]
channel = email
type = smtp
url = $smtp
from = orders@shop.example
$more
"""


class OperatorCase(herald.TestCase):
    def setUp(self):
        super().setUp()
        self.redis = self.world.redis()
        self.client = self.redis.client()
        self.addCleanup(self.client.close)
        self.state = herald.State(self.client)
        herald.store_user(self.client, "u-7", email="ada@example.org", name="Ada")

    def start(self, script=None, more="", notification="", **options):
        self.smtp = self.world.smtp_script(script)
        self.daemon = self.world.heraldd(CONFIG, redis=self.redis.url, smtp=self.smtp.url, more=more, notification=notification,
                                         **options)

    def ctl(self, *arguments, **options):
        return self.world.ctl(*arguments, config=self.daemon.config, **options)

    def json(self, *arguments, **options):
        return json.loads(self.ctl(*arguments, "--json", **options))

    def status(self, *arguments):
        """Exit status, and what it said about it."""
        done = self.ctl(*arguments, check=False)
        return done.returncode, done.stderr

    def publish(self, first, last=None, user_id="u-7", **more):
        for number in range(first, (last or first) + 1):
            self.client.call("PUBLISH", "order:confirmed", herald.order(number, user_id, **more))

    def wait_counts(self, timeout=20, **counts):
        self.wait(lambda: counts.items() <= self.state.counts().items(), timeout, f"{counts}: {self.state.counts()}")

    def kill_orders(self, first, last):
        """That many dead of 5.1.1, in their order."""
        for number in range(first, last + 1):
            self.publish(number)
            self.daemon.log.wait_event("delivery.dead", order_id=f"o-{number}")
        self.wait_counts(dead=last - first + 1, lease=0)


NO_SUCH_USER = {"always": {"rcpt": "550 5.1.1 no such user"}}


class Dead(OperatorCase):
    def test_they_are_listed_newest_first_and_by_what_they_are(self):
        self.start(NO_SUCH_USER)
        self.kill_orders(1, 3)
        self.publish(4, user_id="stranger")
        self.wait_counts(dead=4)
        self.daemon.stop()  # all of this works with the daemon down
        ids = lambda *options: [one["id"] for one in self.json("dead", "list", *options)["deliveries"]]
        self.assertEqual(ids(), ["o-4", "o-3", "o-2", "o-1"])
        self.assertEqual(ids("--limit", "2"), ["o-4", "o-3"])
        self.assertEqual(ids("--reason", "no recipient"), ["o-4"])
        self.assertEqual(ids("--reason", "5.1.1", "--limit=1"), ["o-3"])
        self.assertEqual(ids("--provider", "mail"), ["o-3", "o-2", "o-1"])
        self.assertEqual(ids("--provider", "other"), [])
        self.assertEqual(len(ids("--notification", "order-confirmed")), 4)
        self.assertEqual(ids("--notification", "other"), [])
        self.assertEqual(len(ids("--newer", "1h")), 4)
        self.assertEqual(ids("--older", "1h"), [])
        [first] = self.json("dead", "list", "--reason", "no recipient")["deliveries"]
        self.assertEqual(set(first), {"since", "delivery", "id", "notification", "provider", "to", "reason"})
        text = self.ctl("dead", "list").splitlines()
        self.assertEqual(len(text), 4)
        self.assertIn("a***@example.org", text[3])
        self.assertNotIn("ada@", text[3])

    def test_more_than_a_page_is_listed_replayed_and_dropped(self):
        self.start(more="max_age = 24h")
        self.daemon.stop()
        eids = [f"{number:024x}" for number in range(250)]
        for number, eid in enumerate(eids):
            self.plant_dead(eid, number)
        self.assertEqual(len(self.json("dead", "list", "--limit", "1000")["deliveries"]), 250)
        self.assertEqual(self.ctl("fsck").splitlines()[-1], "250 events, 250 index entries: 0 found, 0 mended")
        self.client.call("ZADD", self.state.key("dead"), 1, "nonsense")  # names no delivery: passed over
        self.assertEqual(self.json("dead", "replay", "--limit", "120", "--yes"), {"replayed": 120, "left": 0})
        waiting = {id.decode().split(":")[0] for id in self.client.call("ZRANGE", self.state.key("due:mail"), 0, -1)}
        self.assertEqual(waiting, set(eids[:120]), "the oldest first")
        self.assertEqual(self.json("dead", "drop", "--all", "--yes"), {"dropped": 130, "left": 0})
        self.client.call("ZREM", self.state.key("dead"), "nonsense")
        self.assertEqual(self.state.counts(), {"due": 120, "again": 0, "lease": 0, "dead": 0, "unknown": 0, "payloads": 120,
                                               "records": 250})

    def plant_dead(self, eid, number, lane="mail", reason="dead smtp 550"):
        """A dead delivery as the ledger leaves it, without a daemon."""
        accepted = int(time.time() * 1000) - 3600_000
        payload = (f'1 order-confirmed orders 1 0 0\n00000000000000aa {{"channel":"email","provider":"{lane}","email":"ada@example.org"}}\n'
                   f'{{"id":"o-{number}"}}\n{{}}')
        call, key = self.client.call, self.state.key
        call("HSET", key(f"e:{eid}"), "h", "c0", "t", accepted, "o", 1, "0", f"X 1 1 0 {number} 0 {lane} -")
        call("HSET", key(f"x:{eid}"), "n", 1, "h1", f"{accepted} 0 {reason}")
        call("SET", key(f"p:{eid}"), payload)
        call("ZADD", key("dead"), accepted + number, f"{eid}:0")
        call("INCRBY", key("dead-bytes"), len(payload))

    def test_one_is_shown_whole(self):
        self.start(NO_SUCH_USER)
        self.kill_orders(1, 1)
        text = self.ctl("dead", "show", "o-1")
        for words in ("fence 1", "smtp 550", '"email":"ada@example.org"', '"orderId":"o-1"'):
            self.assertIn(words, text)
        whole = self.json("dead", "show", "o-1")
        self.assertIn('"orderId":"o-1"', whole["payload"])
        self.assertEqual(whole["deliveries"][0]["fence"], 1)
        self.assertNotIn("payload", self.json("explain", "o-1"))
        self.assertNotIn("ada@", self.ctl("explain", "o-1"))
        self.ctl("dead", "drop", "o-1", "--yes")
        self.assertEqual(self.status("dead", "show", "o-1")[0], 66)

    def test_a_selection_is_replayed_no_faster_than_asked_and_with_the_same_identity(self):
        self.start({"sequence": {"final": ["554 5.6.0 no"] * 6}})
        self.publish(1, 6)
        self.daemon.log.wait_event("delivery.dead", n=6)
        self.wait_counts(dead=6)
        began = time.monotonic()
        done = self.json("dead", "replay", "--reason", "5.6.0", "--rate", "4/s", "--yes")
        took = time.monotonic() - began
        self.assertEqual(done, {"replayed": 6, "left": 0})
        self.assertGreaterEqual(took, 1.2, "five waits of a quarter of a second")
        self.daemon.log.wait_event("delivery.sent", n=6)
        ids = lambda lines: sorted(line["delivery"] for line in lines)
        self.assertEqual(ids(self.daemon.log.select("delivery.sent")), ids(self.daemon.log.select("delivery.dead")))
        self.wait_counts(dead=0, payloads=0)

    def test_one_that_had_nobody_to_go_to_is_left_and_said(self):
        self.start()
        self.publish(1, user_id="stranger")
        self.wait_counts(dead=1)
        status, said = self.status("dead", "replay", "o-1")
        self.assertEqual(status, 1)
        self.assertIn("nobody to go to", said)
        self.wait_counts(dead=1)
        self.assertEqual(self.status("dead", "replay", "--all", "--yes")[0], 1, "and it ends")

    def test_a_delivery_of_an_event_can_be_named(self):
        self.start(NO_SUCH_USER)
        self.kill_orders(1, 1)
        [name] = [one["delivery"] for one in self.json("dead", "list")["deliveries"]]
        eid = name.split(":")[0]
        self.assertEqual(self.status("dead", "drop", f"{eid}:1", "--yes")[0], 66)
        self.assertIn("1 dropped", self.ctl("dead", "drop", name, "--yes"))
        self.assertEqual(self.status("dead", "drop", eid, "--yes")[0], 66)

    def test_what_can_not_be_undone_asks(self):
        self.start(NO_SUCH_USER)
        self.kill_orders(1, 2)
        for command in (["dead", "drop", "o-1"], ["dead", "drop", "--all"], ["dead", "replay", "--all"],
                        ["fsck", "--repair"], ["lane", "move", "mail", "mail2"]):
            status, said = self.status(*command)
            self.assertEqual(status, 64, command)
            if command[0] != "lane":
                self.assertIn("--yes", said)
        self.assertEqual(self.answer("n", "dead", "drop", "o-1"), 1)
        self.wait_counts(dead=2)
        self.assertEqual(self.answer("y", "dead", "drop", "o-1"), 0)
        self.wait_counts(dead=1)

    def answer(self, answer, *arguments):
        """Runs it on a terminal, where somebody answers; its exit status."""
        ours, theirs = pty.openpty()
        try:
            os.write(ours, f"{answer}\n".encode())
            return subprocess.run([herald.HERALDCTL, "-c", self.world.operators(self.daemon.config), *arguments], stdin=theirs, capture_output=True,
                                  timeout=60).returncode
        finally:
            os.close(ours)
            os.close(theirs)


class Unknown(OperatorCase):
    def hold(self, count=1):
        self.start({"sequence": {"final": [{"drop": True, "accept": True}] * count}}, "on_unknown = hold\nconnections = 1")
        for number in range(1, count + 1):
            self.publish(number)
            self.wait_counts(unknown=number)

    def test_held_ones_are_listed_resent_and_dropped(self):
        self.hold(3)
        self.assertEqual([one["id"] for one in self.json("unknown", "list")["deliveries"]], ["o-3", "o-2", "o-1"])
        self.assertEqual(self.ctl("dead", "list"), "")
        self.assertEqual(self.status("dead", "replay", "o-1")[0], 66, "it is not dead")
        self.assertEqual(self.status("dead", "drop", "o-1", "--yes")[0], 66)
        status, said = self.status("unknown", "resend", "o-1")
        self.assertEqual(status, 64)
        self.assertIn("may have arrived", said)
        self.assertIn("1 resent", self.ctl("unknown", "resend", "o-1", "--yes"))
        self.daemon.log.wait_event("delivery.sent", order_id="o-1")
        message_ids = [next(line for line in mail["message"].splitlines() if line.startswith("Message-ID"))
                       for mail in self.smtp.mails()]
        self.assertEqual(message_ids[0], message_ids[3])
        self.assertIn("1 dropped", self.ctl("unknown", "drop", "o-2", "--yes"))
        self.assertEqual(self.status("unknown", "drop", "o-2", "--yes")[0], 66)
        self.assertEqual(self.json("unknown", "drop", "--all", "--yes"), {"dropped": 1, "left": 0})
        self.wait_counts(unknown=0, payloads=0)


class Explain(OperatorCase):
    def why(self, number, state):
        story = self.json("explain", f"o-{number}")
        self.assertEqual([one["state"] for one in story["deliveries"]], [state], story)
        [accepted, *history] = [line["text"] for line in story["history"]]
        self.assertEqual(accepted, "accepted")
        return story["deliveries"][0]["why"], history

    def test_sent_and_a_duplicate_of_it(self):
        self.start()
        self.publish(1)
        self.daemon.log.wait_event("delivery.sent")
        self.publish(1)
        self.daemon.log.wait_event("event.duplicate")
        self.wait_counts(lease=0)
        why, history = self.why(1, "sent")
        self.assertRegex(why, r"^sent at 20.*Z, attempt 1$")
        self.assertEqual(history, ["sent by mail, attempt 1"], "an echo changes nothing of the story")

    def test_a_conflict(self):
        self.start()
        self.publish(1)
        self.daemon.log.wait_event("delivery.sent")
        self.publish(1, total="other")
        self.daemon.log.wait_event("event.conflict")
        self.wait(lambda: len(self.why(1, "sent")[1]) > 1, 10, "a line of history")
        self.assertRegex(self.why(1, "sent")[1][1], "^conflict: the same id came with other content")

    def test_limited_and_then_sent(self):
        self.start(notification="rate = 1/2s")
        self.publish(1, 2)
        self.wait_counts(again=1)
        why, history = self.why(2, "accepted")
        self.assertRegex(why, "^waits for 20.*; limited, next at .*notification's limit")
        self.daemon.log.wait_event("delivery.sent", n=2)
        self.wait_counts(again=0, lease=0)
        why, history = self.why(2, "sent")
        self.assertRegex(history[0], "^limited, next at .*notification's limit")

    def test_retried_and_then_sent(self):
        self.start({"sequence": {"final": ["451 4.3.0 later"]}}, "backoff_base = 2s")
        self.publish(1)
        self.wait_counts(again=1)
        why, _ = self.why(1, "deferred")
        self.assertRegex(why, "^next try at 20.*, attempts so far: 1; .*451")
        self.daemon.log.wait_event("delivery.sent", timeout=20)
        self.wait_counts(again=0, lease=0)
        why, history = self.why(1, "sent")
        self.assertRegex(why, "attempt 2$")
        self.assertRegex(history[0], "^retry, next at .*451.*later")
        self.assertRegex(history[1], "^sent by mail, attempt 2: 2.0.0 queued")

    def test_dead_and_dropped(self):
        self.start(NO_SUCH_USER)
        self.kill_orders(1, 1)
        why, _ = self.why(1, "dead")
        self.assertRegex(why, "^given up at 20.*Z; smtp 550 .*5.1.1")
        self.ctl("dead", "drop", "o-1", "--yes")
        self.assertRegex(self.why(1, "dropped")[0], "^dropped at .*by an operator")

    def test_unknown(self):
        self.start({"sequence": {"final": [{"drop": True, "accept": True}]}}, "on_unknown = hold")
        self.publish(1)
        self.wait_counts(unknown=1)
        self.assertRegex(self.why(1, "unknown")[0], "^may have been sent; held since 20")

    def test_waiting_and_cancelled(self):
        self.start()
        self.publish(1, sendAt=herald.rfc3339(time.time() + 3600))
        self.wait_counts(due=1)
        self.assertRegex(self.why(1, "accepted")[0], "^waits for 20")
        self.assertIn("1 cancelled", self.ctl("cancel", "o-1"))
        self.assertRegex(self.why(1, "dead")[0], "; cancelled by an operator$")
        status, said = self.status("cancel", "o-1")
        self.assertEqual(status, 1)
        self.assertIn("nothing of 'o-1' waits", said)

    def test_expired_and_no_recipient(self):
        self.start()
        self.publish(1, expiresAt=herald.rfc3339(time.time() - 60))
        self.publish(2, user_id="stranger")
        self.wait_counts(dead=2)
        self.assertRegex(self.why(1, "dead")[0], "; expired$")
        self.assertRegex(self.why(2, "dead")[0], "; no recipient")

    def test_a_channel_that_was_skipped(self):
        self.smtp = self.world.smtp_script()
        text = CONFIG.replace("channels = email", "channels = email push") + (
            "\n[provider app]\nchannel = push\ntype = null\n")
        self.daemon = self.world.heraldd(text, redis=self.redis.url, smtp=self.smtp.url, more="", notification="")
        self.publish(1)
        self.daemon.log.wait_event("delivery.sent")
        self.wait_counts(lease=0)
        story = self.json("explain", "o-1")
        [_, line, _] = story["history"]
        self.assertEqual(line["delivery"], "-")
        self.assertIn("push", line["text"])

    def test_what_was_refused_is_found_by_its_id(self):
        self.start()
        self.client.call("PUBLISH", "order:confirmed", '{"orderId":"o-9","userId":7.5}')
        self.daemon.log.wait_event("event.rejected")
        self.wait(lambda: self.state.rejected(), 10, "the refused one")
        story = self.json("explain", "o-9")
        self.assertEqual(story["event"], None)
        self.assertEqual(story["rejected"][0]["source"], "orders")
        self.assertIn("userId", story["rejected"][0]["reason"])
        self.assertIn("refused at 20", self.ctl("explain", "o-9"))
        self.assertEqual(self.status("explain", "o-")[0], 66, "a part of an id is another id")

    def test_a_reply_and_an_id_that_would_move_the_cursor_are_escaped(self):
        self.start({"always": {"rcpt": "550 5.1.1 caf\u00e9 \u202e no"}})
        self.client.call("PUBLISH", "order:confirmed",
                         json.dumps({"orderId": "o-\u202e\u00e9", "userId": "u-7", "confirmedAt": "2026-01-01T10:00:00Z"}))
        self.wait_counts(dead=1)
        for arguments in (["dead", "list"], ["explain", "o-\u202e\u00e9"], ["dead", "show", "o-\u202e\u00e9"]):
            self.assertTrue(self.ctl(*arguments).isascii(), arguments)
        self.assertIn("o-\\xe2\\x80\\xae\\xc3\\xa9", self.ctl("dead", "list"))
        [one] = self.json("dead", "list")["deliveries"]
        self.assertEqual(one["id"], "o-\u202e\u00e9")
        status, said = self.status("explain", "\x1b[31m\u202e")
        self.assertEqual(status, 66)
        self.assertIn("[31m\\xe2\\x80\\xae", said)
        self.assertTrue(said.isascii() and "\x1b" not in said)
        self.assertEqual(self.status("explain", "--", "-x")[0], 66, "an id may begin with a hyphen")


class Lanes(OperatorCase):
    def test_what_waits_where_nobody_serves_is_listed_and_brought_home(self):
        self.start()
        self.publish(1, 130, sendAt=herald.rfc3339(time.time() + 3600))
        self.wait_counts(due=130)
        self.daemon.stop()
        old = self.daemon.config.read_text()
        self.daemon.config.write_text(old.replace("[provider mail]", "[provider post]"))
        lanes = {lane["lane"]: lane for lane in self.json("lane", "list")["lanes"]}
        self.assertEqual(lanes["mail"], {"lane": "mail", "due": 130, "again": 0, "orphaned": True, "paused": False})
        self.assertEqual(lanes["post"], {"lane": "post", "due": 0, "again": 0, "orphaned": False, "paused": False})
        self.assertIn("mail  new 130  again 0  ORPHANED", self.ctl("lane", "list"))
        # A hundred strays in front are removed, and do not end it.
        for number in range(100):
            self.client.call("ZADD", self.state.key("due:mail"), 1, f"{number:024x}:0")
        self.assertEqual(self.json("lane", "move", "mail", "post"), {"moved": 130, "left": 0})
        self.assertEqual(self.json("lane", "move", "mail", "post"), {"moved": 0, "left": 0}, "it may be run again")
        self.assertEqual([lane["lane"] for lane in self.json("lane", "list")["lanes"]], ["post"])
        self.assertEqual(self.client.call("ZCARD", self.state.key("due:post")), 130)
        self.ctl("fsck")

    def test_nothing_moves_where_it_can_not_be_sent(self):
        self.start()
        self.publish(1, sendAt=herald.rfc3339(time.time() + 3600))
        self.wait_counts(due=1)
        self.daemon.stop()
        config = self.daemon.config.read_text()
        config = config.replace("channels = email", "channels = email:mail")
        self.daemon.config.write_text(config + "\n[provider app]\nchannel = push\ntype = null\n"
                                               "\n[provider second]\nchannel = email\ntype = null\n")
        for words, arguments in (("no provider 'nobody'", ["mail", "nobody"]), ("holds email, and provider 'app' sends push", ["mail", "app"]),
                                 ("expected two lanes", ["mail", "mail"]), ("A provider serves this lane", ["mail", "second"])):
            status, said = self.status("lane", "move", *arguments)
            self.assertEqual(status, 64, arguments)
            self.assertIn(words, said)
        self.wait_counts(due=1)
        self.assertIn("1 moved", self.ctl("lane", "move", "mail", "second", "--yes"))


class Fsck(OperatorCase):
    def test_a_ledger_at_work_is_sound(self):
        self.start({"default": {}})
        for number in range(1, 400):
            self.publish(number)
            if number % 40 == 0:
                self.assertIn(" 0 found", self.ctl("fsck"))
        self.daemon.log.wait_event("delivery.sent", n=399, timeout=30)
        self.assertEqual(self.json("fsck")["found"], 0)

    def test_damage_is_named_mended_and_gone(self):
        self.start(NO_SUCH_USER)
        self.kill_orders(1, 1)
        self.publish(2, 3, sendAt=herald.rfc3339(time.time() + 3600))
        self.wait_counts(due=2)
        self.daemon.stop()
        call, key = self.client.call, self.state.key
        [lost] = call("ZRANGE", key("due:mail"), 0, 0)
        call("ZREM", key("due:mail"), lost)
        call("ZADD", key("again:gone"), 1, lost)
        call("ZADD", key("dead"), 1, "nonsense\x1b[31m")
        call("SET", key("p:" + "b" * 24), "orphan")
        call("SET", key("dead-bytes"), 5)
        done = self.ctl("fsck", check=False)
        self.assertEqual(done.returncode, 1)
        for words in (f"e {lost.decode()}: is missing in herald:{{0}}:due:mail", f"again:gone {lost.decode()}: its record says A in lane mail",
                      "dead nonsense\\x1b[31m: has no record", "p " + "b" * 24 + ": has no event", "dead-bytes 5: the dead weigh"):
            self.assertIn(words, done.stdout)
        self.assertIn("3 events, 4 index entries: 5 found, 0 mended", done.stdout)
        self.assertEqual(len(self.ctl("fsck", "--limit", "2", check=False).stdout.splitlines()), 3)
        found = json.loads(self.ctl("fsck", "--json", check=False).stdout)
        self.assertEqual((found["found"], found["mended"], found["complete"], len(found["findings"])), (5, 0, True, 5))
        self.assertIn("5 found, 5 mended", self.ctl("fsck", "--repair", "--yes"))
        self.assertIn("3 index entries: 0 found", self.ctl("fsck"))
        self.assertEqual(self.ctl("fsck", "--json").count("\n"), 1)

    def test_what_can_not_be_mended_is_still_said(self):
        self.start()
        self.publish(1, sendAt=herald.rfc3339(time.time() + 3600))
        self.wait_counts(due=1)
        [eid] = self.state.events()
        self.client.call("HSET", self.state.key(f"e:{eid}"), "0", "garbage")
        self.client.call("SET", self.state.key("again:bad"), "x")
        for arguments in (["fsck"], ["fsck", "--repair", "--yes"]):
            done = self.ctl(*arguments, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("can not be read: garbage", done.stdout)
            self.assertIn("index again:bad: Redis: WRONGTYPE", done.stdout)


class Usage(OperatorCase):
    def test_each_way_of_being_wrong_has_its_status_and_says_what_was_expected(self):
        self.start()
        rows = [
            (64, "usage:", []),
            (64, "usage:", ["nonsense"]),
            (64, "expected ID", ["explain"]),
            (64, "expected FROM TO", ["lane", "move", "one"]),
            (64, "nothing behind it", ["status", "x"]),
            (64, "there is no such option", ["status", "--nonsense"]),
            (64, "status does not take --repair", ["status", "--repair"]),
            (64, "--limit needs N", ["dead", "list", "--limit"]),
            (64, "expected a number from 1", ["dead", "list", "--limit", "0"]),
            (64, "expected a time such as", ["dead", "list", "--older", "soon"]),
            (64, "expected COUNT/PERIOD", ["dead", "replay", "--all", "--rate", "fast"]),
            (64, "--json takes no value", ["status", "--json=yes"]),
            (64, "expected one of: an ID", ["dead", "replay"]),
            (64, "expected one of: an ID", ["dead", "drop", "o-1", "--all"]),
            (64, "too many words", list("abcdefghi")),
            (66, "never came", ["explain", "o-99"]),
            (66, "never came", ["cancel", "o-99"]),
        ]
        for status, words, arguments in rows:
            done = self.status(*arguments)
            self.assertEqual(done[0], status, f"{arguments}: {done[1]}")
            self.assertIn(words, done[1], arguments)
        missing = self.world.ctl("status", config="/nonexistent/herald.conf", check=False)
        self.assertEqual(missing.returncode, 78)
        self.assertIn("/nonexistent/herald.conf", missing.stderr)
        with open("/dev/full", "w") as full:
            done = subprocess.run([herald.HERALDCTL, "-c", self.world.operators(self.daemon.config), "status"], stdout=full, timeout=60)
        self.assertEqual(done.returncode, 74)
        self.daemon.stop()
        self.redis.stop()
        status, said = self.status("status")
        self.assertEqual(status, 69)
        self.assertIn("127.0.0.1", said)

    def test_help_says_what_a_command_takes_without_a_configuration(self):
        text = self.world.ctl("dead", "replay", "--help")
        for words in ("usage: heraldctl dead replay [ID]", "--rate", "--provider", "--yes"):
            self.assertIn(words, text)
        self.assertNotIn("--repair", text)
        overview = self.world.ctl("--help")
        for command in ("dead list", "dead show", "unknown resend", "fsck", "lane move", "Exit status"):
            self.assertIn(command, overview)
        self.assertTrue(self.world.ctl("--version").startswith("heraldctl "))


if __name__ == "__main__":
    herald.main()
