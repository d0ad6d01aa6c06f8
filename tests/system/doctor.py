"""heraldctl doctor: each thing that it says can be wrong is made wrong, and found with its remedy; and nothing else is."""

import json
import os
import select
import socket
import threading

import herald

CONFIG = """
[herald]
templates = $templates
log_format = json
instance = $instance
prefix = $prefix

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
$more
"""

ASKS_TIME = b"*1\r\n$4\r\nTIME\r\n"
LATE_TIME = "local now = redis.call('TIME'); return {tostring(now[1] + 30), now[2]}"


class LateRedis:
    """The same Redis on a machine whose clock is half a minute ahead: a relay that puts another question in place of TIME."""

    def __init__(self, port):
        self.behind = port
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                front, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(front,), daemon=True).start()

    def serve(self, front):
        """heraldctl waits for each answer, so a question comes whole, and TIME's answer too."""
        script = f"*3\r\n$4\r\nEVAL\r\n${len(LATE_TIME)}\r\n{LATE_TIME}\r\n$1\r\n0\r\n".encode()
        with front, socket.create_connection(("127.0.0.1", self.behind)) as back:
            while True:
                for one in select.select([front, back], [], [])[0]:
                    data = one.recv(65536)
                    if not data:
                        return
                    if one is front:
                        back.sendall(data.replace(ASKS_TIME, script))
                    else:
                        front.sendall(data)

    def close(self):
        self.server.close()


class Doctor(herald.TestCase):
    def setUp(self):
        super().setUp()
        self.redis = self.world.redis(appendonly="yes")
        self.client = self.redis.client()
        self.addCleanup(self.client.close)
        self.smtp = self.world.smtp_script()

    def values(self, **more):
        return {"redis": self.redis.url, "smtp": self.smtp.url, "instance": "one", "prefix": "herald", "more": "", **more}

    def config(self, text=CONFIG, **more):
        """A file of its own."""
        path = self.world.folder / f"doctor-{len(list(self.world.folder.glob('doctor-*')))}.conf"
        path.write_text(self.world.config(text, **self.values(**more)))
        return path

    def start(self, **more):
        daemon = self.world.heraldd(CONFIG, **self.values(**more))
        self.wait(lambda: b"one" in self.client.call("HKEYS", "herald:{0}:status"), 10, "a heartbeat")
        return daemon

    def doctor(self, config, status=None, **run):
        """(health, topic, text, remedy) of what was found, but the fine."""
        done = self.world.ctl("doctor", "--json", config=config, check=False, **run)
        said = json.loads(done.stdout)
        found = [(one["health"], one["topic"], one["text"], one["remedy"]) for one in said["findings"]]
        for health in ("ok", "warn", "fail"):
            self.assertEqual(said[health], sum(one[0] == health for one in found), said)
        self.assertEqual(done.returncode, 1 if said["fail"] else 0, done.stderr)
        if status is not None:
            self.assertEqual(done.returncode, status, done.stdout)
        self.fine = [one for one in found if one[0] == "ok"]
        ill = [one for one in found if one[0] != "ok"]
        for one in ill:
            self.assertTrue(one[3], f"a remedy: {one}")
        return [one for one in ill if "asks for no password" not in one[2]]  # of most of the tests' Redis that is true

    def find(self, found, health, topic, *texts):
        """Exactly one finding is this; the others."""
        these = [one for one in found if one[:2] == (health, topic) and all(text in one[2] for text in texts)]
        self.assertEqual(len(these), 1, f"{health} {topic} {texts} in {found}")
        return [one for one in found if one is not these[0]]

    def test_where_all_is_well_nothing_is_found(self):
        daemon = self.start()
        self.assertEqual(self.doctor(daemon.config, 0), [])
        topics = [one[1] for one in self.fine]
        for topic in ("configuration", "secrets", "provider", "redis", "rights", "clock", "instances", "lanes", "channel", "journal"):
            self.assertIn(topic, topics)
        text = self.world.ctl("doctor", config=daemon.config)
        self.assertRegex(text, r"(?m)^ok    provider       mail: reached$")
        self.assertRegex(text, r"(?m)^\d+ ok, \d to think about, 0 wrong$")
        self.assertEqual(self.client.keys("*doctor*"), [])
        self.assertEqual(self.smtp.commands("MAIL"), [])

    def test_it_works_with_the_daemon_down_and_with_redis_down(self):
        config = self.config()
        found = self.find(self.doctor(config, 1), "fail", "instances", "no heraldd is alive")
        self.assertEqual(found, [])
        self.redis.kill()
        found = self.find(self.doctor(config, 1), "fail", "redis", "refused")
        self.assertEqual(found, [])
        config.write_text("[herald]\nlaese = 5s\n")
        found = self.find(self.doctor(config, 1), "fail", "configuration", f"{config}:2:", "laese")
        self.assertEqual(found, [])

    def test_providers_that_can_not_be_used(self):
        self.start()
        for more, url, words in (("", "smtp://no-such-host.invalid", "resolve"), ("", "smtp://127.0.0.1:1", "mail"),
                                 ("starttls = required", self.smtp.url, "STARTTLS")):
            found = self.doctor(self.config(smtp=url, more=more), 1)
            self.assertEqual(self.find(found, "fail", "provider", words), [], words)

    def test_providers_that_deliver_to_nobody_and_a_staging_configuration(self):
        self.start()
        text = CONFIG.replace("[herald]", "[herald]\nredirect_to = dev@shop.example\nallow_unfit_redis = yes")
        text = text.replace("channels = email", "channels = email:mail push")
        config = self.config(text, more="[provider app]\nchannel = push\ntype = null\n[provider files]\nchannel = email\ntype = maildir\n"
                                        f"path = {self.world.folder}/mails\nfrom = orders@shop.example")
        found = self.doctor(config, 0)
        found = self.find(found, "warn", "provider", "app delivers to nobody", "null")
        found = self.find(found, "warn", "provider", "files delivers to nobody", "maildir")
        found = self.find(found, "warn", "staging", "redirect_to")
        found = self.find(found, "warn", "configuration", "allow_unfit_redis")
        self.assertEqual(found, [])

    def test_templates_that_no_notification_uses(self):
        daemon = self.start()
        stray = self.world.folder / "templates/order-shipped"
        stray.mkdir()
        (stray / "subject.txt").write_text("On its way")
        found = self.find(self.doctor(daemon.config, 0), "warn", "configuration", f"{stray} ")
        self.assertEqual(found, [])

    @herald.without_example_users("has users of its own")
    def test_secrets_doors_and_rights(self):
        self.start()
        for rule in (herald.ROOT / "etc/redis-acl.example").read_text().splitlines():
            if rule.startswith("user "):
                self.client.call("ACL", "SETUSER", *rule.split()[1:] if "(" not in rule else self.rules(rule))
        url = self.redis.url.replace("//", "//herald:HERALD-PASSWORD@")
        config = self.config(redis=url)
        found = self.find(self.doctor(config, 0), "warn", "secrets", config.name, "everybody")
        found = self.find(found, "warn", "instances", "NOPERM")  # heraldd's own user may not look
        self.assertEqual(found, [])
        self.assertIn("herald may do what heraldd does", str(self.fine))
        os.chmod(config, 0o640)
        self.assertEqual(len(self.doctor(config, 0)), 1)

        self.client.call("ACL", "SETUSER", "herald", "-zadd", "resetchannels", "&herald:canary:*", "clearselectors",
                         "(~orders +eval +xgroup|create +xgroup|delconsumer +xautoclaim +xack +xinfo|groups +xinfo|consumers +xpending)")
        [(_, _, text, remedy)] = [one for one in self.doctor(config, 1) if one[:2] == ("fail", "rights")]
        self.assertIn("herald lacks 3 of 45 rights: ZADD, SUBSCRIBE order:confirmed, XREADGROUP orders", text)
        self.assertIn("redis-acl.example", remedy)

        operators = self.config(redis=self.redis.url.replace("//", "//herald-operator:OPERATOR-PASSWORD@"))
        os.chmod(operators, 0o600)
        self.assertEqual(self.doctor(operators, 0), [])
        self.assertIn("not tried: herald-operator is an operator's user", str(self.fine))

        said = lambda: self.world.ctl("doctor", config=operators)
        self.assertIn("it asks for no password", said())
        self.client.call("ACL", "SETUSER", "default", "off")
        self.assertIn("nobody gets in without a password", said())

    @staticmethod
    def rules(line):
        """The words of a rule, what is in ( ) as one."""
        words, open_one = [], None
        for word in line.split()[1:]:
            open_one = word if word.startswith("(") else f"{open_one} {word}" if open_one else None
            if not open_one:
                words.append(word)
            elif open_one.endswith(")"):
                words.append(open_one)
                open_one = None
        return words

    def test_a_staging_herald_that_hears_the_same_channel(self):
        one = self.start()
        self.world.heraldd(CONFIG, **self.values(instance="two", prefix="staging"))
        [(health, topic, text, remedy)] = self.doctor(one.config, 0)
        self.assertEqual((health, topic), ("warn", "channel"))
        self.assertIn("listening on order:confirmed: 2, but alive under the prefix herald: 1", text)
        self.assertIn("redirect_to", remedy)

    def test_a_clock_that_is_half_a_minute_off(self):
        self.start()
        late = LateRedis(self.redis.port)
        self.addCleanup(late.close)
        config = self.config(redis=self.redis.url.replace(str(self.redis.port), str(late.port)))
        found = [one for one in self.doctor(config, 1) if one[1] == "clock"]
        self.assertEqual(len(self.find(found, "fail", "clock", " ms behind Redis's")), 0)

    def test_lanes_that_nobody_serves_and_what_was_given_up(self):
        daemon = self.start()
        for number, (lane, key, state) in enumerate((("gone", "due:gone", "A"), ("-", "dead", "X"), ("mail", "unknown", "U"))):
            eid = f"{number:024x}"
            self.client.call("HSET", f"herald:{{0}}:e:{eid}", "h", "c0", "t", 1, "o", 1, "0", f"{state} 1 0 0 0 0 {lane} -")
            self.client.call("ZADD", f"herald:{{0}}:{key}", 1, f"{eid}:0")
        self.world.ctl("pause", "mail", config=daemon.config)
        found = self.doctor(daemon.config, 1)
        found = self.find(found, "fail", "lane", "gone is orphaned", "1 wait")
        found = self.find(found, "warn", "lane", "mail is paused")
        found = self.find(found, "warn", "dead", "given up: 1")
        found = self.find(found, "warn", "unknown", "may have been sent: 1")
        self.assertEqual(found, [])

    def test_an_instance_that_died(self):
        daemon = self.start()
        daemon.kill()
        # Its last heartbeat, and its place in the list, half a minute ago.
        said = json.loads(self.client.call("HGET", "herald:{0}:status", "one"))
        said["at"] -= 30000
        self.client.call("HSET", "herald:{0}:status", "one", json.dumps(said))
        found = self.doctor(daemon.config, 1)
        found = self.find(found, "fail", "instances", "no heraldd is alive")
        found = self.find(found, "warn", "instances", "one on ", "did not take its leave")
        # The service manager keeps its subscription for the next.
        found = self.find(found, "warn", "channel", "listening on order:confirmed: 1, but alive under the prefix herald: 0")
        self.assertEqual(found, [])

    def test_a_redis_that_is_unfit_or_nearly_full(self):
        self.start()
        self.client.call("CONFIG", "SET", "maxmemory", "1gb", "maxmemory-policy", "allkeys-lru", "appendonly", "no")
        found = self.find(self.doctor(self.config(), 1), "fail", "redis", "not fit", "allkeys-lru")
        found = self.find(found, "warn", "redis", "append-only")
        self.assertEqual(found, [])
        used = int(self.client.info("memory")["used_memory"])
        self.client.call("CONFIG", "SET", "maxmemory", int(used * 1.05), "maxmemory-policy", "noeviction", "appendonly", "yes")
        self.find(self.doctor(self.config()), "warn", "redis", "MiB are used")

    def test_the_journals_limit_of_lines(self):
        """What systemctl says is played here; in the container of the systemd tests it says so itself."""
        daemon = self.start()
        folder = self.world.folder / "bin"
        folder.mkdir()
        tool = folder / "systemctl"

        def systemd(active, interval, burst):
            tool.write_text(f"#!/bin/sh\nprintf 'LoadState=loaded\\nActiveState={active}\\nLogRateLimitIntervalUSec={interval}\\nLogRateLimitBurst={burst}\\n'\n")
            tool.chmod(0o755)
            return self.doctor(daemon.config, 0, env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"})

        self.assertEqual(systemd("active", "1s", 200000), [])
        for interval, burst in (("0", 200000), ("1s", 0)):
            self.assertEqual(self.find(systemd("active", interval, burst), "warn", "journal", "10000 lines in 30 s"), [])
        self.assertEqual(self.find(systemd("failed", "1s", 200000), "warn", "service", "not active"), [])


if __name__ == "__main__":
    herald.main()
