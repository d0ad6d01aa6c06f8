"""The Redis users of etc/redis-acl.example: with them all works, and without any one of their rights something doesn't.

What heraldd, heraldctl and an application ask of Redis is overheard with MONITOR while all of them do all they do. A command that
is not reached in a minute counts too if a script names it that was sent: Redis asks for the right when the script gets there.
The other system tests, run with HERALD_RIGHTS=1, show the same users at their work."""

import codecs
import re
import threading
import time

import herald
from resp import RedisError

CONFIG = """
[herald]
templates = $templates
log_format = json
lease = 2s
lease_margin = 500ms

[redis]
url = $redis

[source orders]
type = pubsub
channel = order:confirmed
id = orderId
notification = order-confirmed

[source kept]
type = stream
stream = orders
id = orderId
notification = order-confirmed

[notification order-confirmed]
channels = email

[provider mail]
channel = email
type = smtp
url = $smtp
from = orders@shop.example
on_unknown = hold
was = post
connections = 2
backoff_base = 1s
rate = 1000/1s
"""

LINE = re.compile(rb'^[\d.]+ \[\d+ (\S+)\] (.*)$', re.S)
WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.S)
# A command that a script names, and what stands behind it if it is written out: perhaps a subcommand.
NAMED = re.compile(r"redis\.p?call\('(\w+)'(?:,\s*'(\w+)')?")
HAS_SUBCOMMANDS = ("client", "pubsub", "xgroup", "xinfo")


def right_for(words):
    """The right that a call asks for, as a rule names it."""
    name = words[0].lower()
    return f"{name}|{words[1].lower()}" if name in HAS_SUBCOMMANDS else name


class Monitor(threading.Thread):
    """What each connection sends, and what its scripts call: address → calls, one of each kind."""

    def __init__(self, redis):
        super().__init__(daemon=True)
        self.client = redis.client()
        self.client.call("MONITOR")
        self.calls, self.named, self.names = {}, {}, {}
        self.start()

    def run(self):
        address = None
        while True:
            try:
                line = self.client.read()
            except (OSError, ValueError, ConnectionError):
                return
            who, rest = LINE.match(line.encode("utf-8", "surrogateescape")).groups()
            words = [codecs.escape_decode(word)[0].decode("latin-1") for word in WORD.findall(rest)]
            address = address if who == b"lua" else who.decode()  # a script's calls come right behind it
            self.note(address, words)

    def note(self, address, words):
        right = right_for(words)
        if right == "auth":  # needs none
            return
        if right == "client|setname":
            self.names[address] = words[2]
        if right == "eval":
            found = {right_for(call) if call[1] else call[0].lower() for call in NAMED.findall(words[1])}
            self.named.setdefault(address, set()).update(found)
        # Keys that differ in what is behind their kind are of one kind.
        kind = (right, *(re.sub(r"[0-9a-f]{24}|\d+", "*", word[:40]) for word in words[1:5]))
        self.calls.setdefault(address, {}).setdefault(kind, words)

    def asked_by(self, is_theirs):
        """(calls, rights that scripts name) of the connections that are theirs."""
        calls, named = {}, set()
        for address in list(self.calls):
            if is_theirs(address):
                calls.update(self.calls[address])
                named |= self.named.get(address, set())
        return list(calls.values()), named

    def close(self):
        self.client.socket.shutdown(2)
        self.join(10)
        self.client.close()


def address_of(client):
    host, port = client.socket.getsockname()
    return f"{host}:{port}"


def words_of(rules):
    """Rules as single words, with their place: (0, "+ping"), (1, "~orders") for one in the first brackets."""
    group, inside = 0, 0
    for rule in rules:
        if rule.startswith("("):
            group += 1
            inside = group
        word = rule.strip("()")
        if word:
            yield inside, word
        if rule.endswith(")"):
            inside = 0


def rules_of(words):
    """The other way."""
    groups = {}
    for group, word in words:
        groups.setdefault(group, []).append(word)
    return groups.pop(0) + [f"({' '.join(groups[group])})" for group in sorted(groups)]


class Rights(herald.TestCase):
    def setUp(self):
        super().setUp()
        self.redis = self.world.redis()
        self.client = self.redis.client()
        self.addCleanup(self.client.close)

    def start(self, smtp, **options):
        return self.world.heraldd(CONFIG, redis=self.redis.url, smtp=smtp.url, **options)

    def plant_waiting(self, lane, eid):
        """A delivery that has waited in a lane for ages."""
        self.client.call("HSET", f"herald:{{0}}:e:{eid}", "h", "c0", "t", 1, "o", 1, "0", f"A 1 0 0 0 0 {lane} -")
        self.client.call("ZADD", f"herald:{{0}}:due:{lane}", 1, f"{eid}:0")
        self.client.call("HSET", "herald:{0}:lanes", lane, 1)

    def is_denied(self, user, call):
        try:
            return self.client.call("ACL", "DRYRUN", user, *[word.encode("latin-1") for word in call]) != "OK"
        except RedisError as error:
            raise AssertionError(f"{call}: {error}") from error

    def check_smallest(self, user, calls, named):
        """Each right is there for something that was asked for, and all that was asked for is there."""
        words = list(words_of(self.redis.users[user][1]))
        sent = {right_for(call) for call in calls}
        granted = {word[1:] for _, word in words if word.startswith("+")}
        self.assertEqual(sorted(granted - sent - named), [], f"{user} may and does not")
        self.assertEqual(sorted((sent | named) - granted), [], f"{user} does and may not")
        for taken in words:
            if taken[1][0] not in "+~%&" or (taken[1][0] == "+" and taken[1][1:] not in sent):
                continue
            self.client.call("ACL", "SETUSER", "trial", *rules_of([word for word in words if word != taken]))
            self.assertTrue(any(self.is_denied("trial", call) for call in calls), f"{user} works without {taken[1]} in {taken[0]}")
        self.client.call("ACL", "SETUSER", "trial", *rules_of(words))
        self.assertEqual([call for call in calls if self.is_denied("trial", call)], [])

    def test_each_right_is_needed_and_no_other(self):
        """Takes a minute: that is how often heraldd looks after the dead."""
        monitor = Monitor(self.redis)
        self.addCleanup(monitor.close)
        smtp = self.world.smtp_script({"sequence": {"final": ["451 4.3.0 later"]}})
        recipients, shop = self.redis.client("shop-recipients"), self.redis.client("shop-publisher")
        self.addCleanup(recipients.close)
        self.addCleanup(shop.close)

        # the applications
        recipients.call("DEL", "herald:user:u-7")
        herald.store_user(recipients, "u-7", email="ada@example.org")
        self.plant_waiting("gone", "0" * 24)  # nobody serves this lane
        daemon = self.start(smtp)
        shop.call("XADD", "orders", "*", "event", herald.order(1))
        shop.publish("order:confirmed", herald.order(2))
        shop.publish("order:confirmed", "{")
        script = (herald.ROOT / "etc/publish.lua").read_text()
        shop.call("EVAL", script, 1, "orders", "order:confirmed", herald.order(3))
        shop.call("EVALSHA", self.client.call("SCRIPT", "LOAD", script), 1, "orders", "order:confirmed", herald.order(4))
        daemon.log.wait_event("delivery.sent", n=4, timeout=30)
        [refused] = daemon.log.wait_event("event.rejected")
        self.assertEqual(refused["source"], "orders")

        # heraldctl
        users = self.world.folder / "users.jsonl"
        users.write_text('{"userId":"u-8","email":"bob@example.org","name":"Bob"}\n')
        event = self.world.folder / "event.json"
        event.write_text(herald.order(7))
        shop.publish("order:confirmed", herald.order(5, "stranger"))
        daemon.log.wait_event("delivery.dead", order_id="o-5")
        shop.publish("order:confirmed", herald.order(6, sendAt=herald.rfc3339(time.time() + 3600)))
        daemon.log.wait_event("event.accepted", order_id="o-6")
        self.plant_waiting("mails", "1" * 24)
        for arguments in (["status"], ["doctor"], ["pause", "mail"], ["resume", "mail"], ["limits"], ["lane", "list"], ["lane", "move", "mails", "mail", "--yes"], ["fsck"],
                          ["dead", "list", "--newer", "1h"], ["dead", "show", "o-5"], ["dead", "replay", "--all", "--yes"],
                          ["dead", "drop", "o-5", "--yes"], ["cancel", "o-6"], ["explain", "o-99"], ["users", "import", users],
                          ["publish", "--source", "orders", event]):
            done = self.world.ctl(*arguments, config=daemon.config, check=False)
            self.assertNotIn("NOPERM", done.stderr, arguments)
            self.assertNotEqual((arguments[0], done.returncode), ("users", 1), done.stderr)

        # heraldd loses a connection, and looks what it had leased
        for line in self.client.call("CLIENT", "LIST").decode().splitlines():
            fields = dict(word.split("=", 1) for word in line.split())
            if fields["name"].startswith("herald-commands"):
                self.client.call("CLIENT", "KILL", "ID", fields["id"])

        own = {address_of(one): one for one in (self.client, monitor.client, recipients, shop)}
        is_daemons = lambda address: address in monitor.names
        granted = {word[1:] for _, word in words_of(self.redis.users["herald"][1]) if word.startswith("+")}

        def missing():
            calls, named = monitor.asked_by(is_daemons)
            return granted - named - {right_for(call) for call in calls}

        self.wait(lambda: not missing(), 90, lambda: f"heraldd to use all its rights: {sorted(missing())}")
        daemon.stop()
        self.check_smallest("herald", *monitor.asked_by(is_daemons))
        self.check_smallest("herald-operator", *monitor.asked_by(lambda who: not is_daemons(who) and who not in own))
        self.check_smallest("shop-publisher", *monitor.asked_by(lambda who: own.get(who) is shop))
        self.check_smallest("shop-recipients", *monitor.asked_by(lambda who: own.get(who) is recipients))

    def test_a_missing_right_is_said_on_each_connection_and_harms_nothing(self):
        herald.store_user(self.client, "u-7", email="ada@example.org")
        smtp = self.world.smtp_script()
        rules = self.redis.users["herald"][1]

        def take(*rights):
            self.client.call("ACL", "SETUSER", "herald", *rules_of(
                [word for word in words_of(rules) if word[1] not in rights]))

        # what is missing, and what says so
        for right, event, command in (("+subscribe", "redis.unreachable", "subscribe"),
                                      ("+xreadgroup", "redis.refused", "xreadgroup"),
                                      ("+info", "redis.unfit", "info"),
                                      ("+evalsha", "redis.refused", "evalsha")):
            take(right)
            daemon = self.start(smtp, start=False).start(wait_ready=False)
            line = daemon.log.wait_event(event, timeout=20)[0]
            self.assertIn("NOPERM", line["reason"])
            self.assertIn(f"'{command}'", line["reason"].lower())
            self.client.call("XADD", "orders", "*", "event", herald.order(command))
            take()
            daemon.log.wait_event("delivery.sent", order_id=f"o-{command}", timeout=40)
            self.assertLessEqual(daemon.log.count("redis.reading"), 1)
            daemon.stop()
        self.assertEqual(len(smtp.mails()), 4)
        self.client.call("ACL", "LOG", "RESET")  # of what was taken away on purpose


if __name__ == "__main__":
    herald.main()
