"""heraldctl publish: what an operator sends to a source, read as the daemon will read it before any of it goes out."""

import base64
import hashlib
import hmac
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
$orders

$sources

[notification order-confirmed]
channels = email

[provider mail]
channel = email
type = null
"""

KEPT = """
[source kept]
type = stream
stream = orders
id = orderId
notification = order-confirmed
"""

OTHER = """
[source other]
type = stream
stream = others
id = orderId
notification = order-confirmed
space = other
"""


class Publish(herald.TestCase):
    def setUp(self):
        super().setUp()
        self.redis = self.world.redis()
        self.client = self.redis.client()
        self.addCleanup(self.client.close)

    def configure(self, sources="", orders=""):
        self.config = self.world.folder / "herald.conf"
        self.config.write_text(self.world.config(CONFIG, redis=self.redis.url, sources=sources, orders=orders))

    def publish(self, text, *arguments):
        """The finished process."""
        file = self.world.folder / "events"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return self.world.ctl("publish", *arguments, file, config=self.config, check=False)

    def subscribe(self):
        listener = self.redis.client()
        self.addCleanup(listener.close)
        listener.call("SUBSCRIBE", "order:confirmed")
        return listener

    def heard(self, listener, count):
        return [listener.read()[2].decode() for _ in range(count)]

    def entries(self, stream="orders"):
        return [fields for _, fields in self.client.call("XRANGE", stream, "-", "+")]

    def test_each_line_is_an_event_and_a_document_over_several_lines_is_one(self):
        self.configure()
        listener = self.subscribe()
        lines = [herald.order(1), herald.order(2, text="ü ✓"), herald.order(3)]
        for ends in ("\n", "\r\n", "\n\n"):
            done = self.publish(ends.join(lines))
            self.assertEqual((done.returncode, done.stdout), (0, "3 published, on the channel order:confirmed heard by 1 subscriber\n"))
            self.assertEqual(self.heard(listener, 3), lines)
        document = json.dumps(json.loads(herald.order(4)), indent=2)
        self.assertEqual(self.publish(document + "\n").returncode, 0)
        self.assertEqual(self.heard(listener, 1), [document])

    def test_standard_input_is_read_and_the_answer_can_be_json(self):
        self.configure()
        listeners = [self.subscribe(), self.subscribe()]
        file = self.world.folder / "events"
        file.write_text(herald.order(1) + "\n" + herald.order(2))
        with open(file) as stdin:
            done = self.world.ctl("publish", "-", "--json", config=self.config, stdin=stdin)
        self.assertEqual(json.loads(done), {"published": 2, "channel": "order:confirmed", "heard": {"least": 2, "most": 2}})
        for listener in listeners:
            self.assertEqual(self.heard(listener, 2), [herald.order(1), herald.order(2)])

    def test_what_nobody_hears_and_nothing_keeps_is_an_error(self):
        self.configure()
        done = self.publish(herald.order(1))
        self.assertEqual(done.returncode, 1)
        self.assertIn("heard by 0 subscribers", done.stdout)
        self.assertIn("nobody heard", done.stderr)
        self.configure(OTHER)
        done = self.publish(herald.order(1), "--source", "other")
        self.assertEqual((done.returncode, done.stdout), (0, "1 published, kept in the stream others\n"))
        self.assertEqual(self.entries("others"), [[b"event", herald.order(1).encode()]])

    def test_two_sources_of_one_space_get_it_both_ways_in_one_step(self):
        self.configure(KEPT)
        listener = self.subscribe()
        for arguments in ((), ("--source", "orders"), ("--source", "kept")):
            done = self.publish(herald.order(1), "--json", *arguments)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(json.loads(done.stdout), {"published": 1, "channel": "order:confirmed", "stream": "orders",
                                                       "heard": {"least": 1, "most": 1}})
            self.assertEqual(self.heard(listener, 1), [herald.order(1)])
        self.assertEqual(len(self.entries()), 3)

    def test_a_source_has_to_be_named_where_there_are_several_and_has_to_be_there(self):
        self.configure(OTHER)
        for arguments, said in (((), "publish needs --source NAME: there is orders, other"),
                                (("--source", "oders"), "there is orders, other")):
            done = self.publish(herald.order(1), *arguments)
            self.assertEqual(done.returncode, 64)
            self.assertIn(said, done.stderr)
        self.assertEqual(self.client.call("EXISTS", "others"), 0)

    def test_the_first_bad_event_is_named_by_its_line_and_nothing_is_sent(self):
        self.configure(OTHER)
        good = herald.order(1)
        big = json.dumps({"orderId": "o-1", "text": "x" * (256 * 1024)})
        for text, said in ((f'{good}\n\n{{"orderId":"o-2"\n', "events:3: at byte "),
                           (f'{good}\n{{"userId":"u-7"}}\n', "events:2: orderId"),
                           (f'{good}\n{{"orderId":"o-2","sendAt":"tomorrow"}}', "events:2: sendAt"),
                           (f'{good}\n{{"orderId":"o-2","to":{{"email":"a@example.org"}}}}', "events:2: to"),
                           (f'{good}\n[1]\n', "events:2: "),
                           (f'{good}\n{big}\n', "events:2: too large"),
                           (good.encode() + b'\n{"orderId":"\xff"}', "events:2: at byte "),
                           ('{\n  "orderId": "o-1",\n  "userId": u-7\n}\n', "events: at byte 34"),
                           ("\n\n", "no event in it")):
            done = self.publish(text, "--source", "other")
            self.assertEqual(done.returncode, 66, text[:200])
            self.assertIn(said, done.stderr)
            self.assertEqual(done.stdout, "")
        self.assertEqual(self.client.call("EXISTS", "others"), 0)
        done = self.world.ctl("publish", "--source", "other", self.world.folder / "none", config=self.config, check=False)
        self.assertEqual(done.returncode, 66)
        self.assertIn("No such file", done.stderr)

    def test_what_goes_to_a_signed_source_is_signed_already(self):
        (self.world.folder / "key").write_text("0123456789abcdef0123456789abcdef")
        self.configure(OTHER, f"signing_key_file = {self.world.folder}/key")
        self.subscribe()
        body, now = herald.order(1), int(time.time())
        mac = hmac.new(b"0123456789abcdef0123456789abcdef", f"e-1.{now}.{body}".encode(), hashlib.sha256).digest()
        envelope = {"id": "e-1", "time": now, "body": body, "signature": "v1," + base64.b64encode(mac).decode()}
        done = self.publish(json.dumps(envelope), "--source", "orders")
        self.assertEqual(done.returncode, 0, done.stderr)
        for wrong in (body, json.dumps({**envelope, "body": herald.order(2)})):
            done = self.publish(wrong, "--source", "orders")
            self.assertEqual(done.returncode, 66)
            self.assertIn("envelope: ", done.stderr)


if __name__ == "__main__":
    herald.main()
