"""What systemd and the operator see: ready, status, watchdog, reload, drain, and the end."""

import json
import os
import signal
import subprocess
import time
import unittest

import herald

CONFIG = """
[herald]
templates = $templates
log_format = json
drain_timeout = 5s

[redis]
url = $redis

[source orders]
type = pubsub
channel = order:confirmed
id = orderId
notification = order-confirmed

[notification order-confirmed]
channels = email

[provider $provider]
channel = email
type = null
from = orders@shop.example
behaviour = $behaviour
connections = 2
$more
"""

CONNECT = """
[redis]
url = $redis

[source orders]
type = pubsub
channel = order:confirmed
notification = order-confirmed

[notification order-confirmed]
channels = email push

[provider mail]
channel = email
type = smtp
url = $smtp
from = orders@shop.example
user = shop
password_file = $password
starttls = never

[provider phone]
channel = push
type = http
url = $push/push
ca_file = $ca
"""


class Service(herald.TestCase):
    def setUp(self):
        super().setUp()
        self.redis = self.world.redis()
        self.client = self.redis.client()
        self.addCleanup(self.client.close)
        herald.store_user(self.client, "u-7", email="ada@example.org")

    def text(self, provider="sink", behaviour="ok", more="", redis=None):
        return self.world.config(CONFIG, redis=redis or self.redis.url, provider=provider, behaviour=behaviour, more=more)

    def start(self, start=True, environment=None, **options):
        return self.world.heraldd(self.text(**options), start=start, environment=environment)

    def test_ready_comes_once_redis_is_there_and_status_says_what_it_waits_for(self):
        self.redis.stop()
        daemon = self.start(start=False).start(wait_ready=False)
        daemon.log.wait_event("redis.unreachable")
        self.assertEqual(daemon.notify.count("READY=1"), 0)
        self.assertIn("waiting for Redis", daemon.notify.last("STATUS"))
        self.redis.start()
        daemon.wait_ready()
        self.assertIn("running", daemon.notify.last("STATUS"))

    def test_an_unfit_redis_is_named_and_asked_again(self):
        self.client.call("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru")
        daemon = self.start(start=False).start(wait_ready=False)
        [line] = daemon.log.wait_event("redis.unfit")
        self.assertIn("allkeys-lru", line["reason"])
        self.assertEqual(daemon.notify.count("READY=1"), 0)
        self.client.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
        daemon.wait_ready()

    def test_the_watchdog_is_fed_while_all_is_well_and_not_when_the_loop_stands(self):
        daemon = self.start(environment={"WATCHDOG_USEC": "3000000"})
        self.wait(lambda: daemon.notify.count("WATCHDOG=1") >= 2, 10, "two signs of life")
        daemon.process.signal(signal.SIGSTOP)
        time.sleep(1.5)
        before = daemon.notify.count("WATCHDOG=1")
        time.sleep(1.5)
        self.assertEqual(daemon.notify.count("WATCHDOG=1"), before)
        daemon.process.signal(signal.SIGCONT)

    def test_sigterm_gives_back_what_has_not_begun_and_ends(self):
        daemon = self.start(behaviour="ok:1000ms")
        self.client.publish_all("order:confirmed", (herald.order(n) for n in range(20)))
        self.wait(lambda: daemon.log.count("event.accepted") == 20, 10, "20 accepted")
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(daemon.notify.count("STOPPING=1"), 1)
        counts = herald.State(self.client).counts()
        sent = daemon.log.count("delivery.sent")
        self.assertEqual((counts["lease"], counts["due"]), (0, 20 - sent))
        self.assertLessEqual(sent, 4)
        self.assertEqual(daemon.log.count("service.stopped"), 1)

    def test_a_second_sigterm_hurries(self):
        daemon = self.start(behaviour="hang", more="")
        self.client.publish("order:confirmed", herald.order(1))
        daemon.log.wait_event("event.accepted")
        self.wait(lambda: herald.State(self.client).counts()["lease"] == 1, 5, "it is leased")
        started = time.monotonic()
        daemon.process.signal(signal.SIGTERM)
        daemon.log.wait_event("service.stopping")
        daemon.process.signal(signal.SIGTERM)
        self.assertEqual(daemon.process.wait(10), 0)
        self.assertLess(time.monotonic() - started, 4.5)
        self.assertEqual(herald.State(self.client).counts()["due"], 1)

    def test_events_published_while_it_drains_are_accepted(self):
        daemon = self.start(behaviour="ok:1500ms")
        self.client.publish("order:confirmed", herald.order(1))
        daemon.log.wait_event("event.accepted")
        daemon.process.signal(signal.SIGTERM)
        daemon.log.wait_event("service.stopping")
        self.client.publish("order:confirmed", herald.order(2))
        daemon.log.wait_event("event.accepted", n=2)
        self.assertEqual(daemon.process.wait(10), 0)
        self.assertEqual(herald.State(self.client).counts()["due"], 1)

    def test_a_reload_brings_new_templates_and_a_bad_file_keeps_the_old_ones(self):
        daemon = self.start()
        self.client.publish("order:confirmed", herald.order(1))
        daemon.log.wait_event("delivery.sent")
        daemon.reload(self.text(more="rate = 14/s/s"))
        [line] = daemon.log.wait_event("config.refused")
        self.assertIn("rate: '14/s/s'", line["reason"])
        self.assertIn("[provider sink]", line["reason"])
        self.client.publish("order:confirmed", herald.order(2))
        daemon.log.wait_event("delivery.sent", n=2)
        daemon.reload(self.text(more="rate = 14/1s"))
        daemon.log.wait_event("config.reloaded")
        self.assertEqual(daemon.notify.count("RELOADING=1"), 2)
        self.client.publish("order:confirmed", herald.order(3))
        daemon.log.wait_event("delivery.sent", n=3)

    def test_a_renamed_provider_brings_its_backlog_home(self):
        daemon = self.start(behaviour="hang")
        self.client.publish_all("order:confirmed", (herald.order(n) for n in range(30)))
        self.wait(lambda: daemon.log.count("event.accepted") == 30, 10, "30 accepted")
        daemon.reload(self.text(provider="better", more="was = sink"))
        daemon.log.wait_event("config.reloaded")
        lines = daemon.log.wait_event("delivery.sent", n=30, timeout=20, provider="better")
        self.assertEqual(len(lines), 30)

    def test_check_says_what_is_wrong_without_starting(self):
        daemon = self.start(start=False, behaviour="no-such-thing")
        done = subprocess.run([herald.HERALDD, "--config", daemon.config, "--check"], capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 78)
        self.assertIn("no-such-thing", done.stderr)
        daemon.config.write_text(self.text())
        done = subprocess.run([herald.HERALDD, "--config", daemon.config, "--check"], capture_output=True, text=True, timeout=20)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_check_warns_of_what_is_no_mistake_and_hardly_meant(self):
        config, templates = self.world.folder / "doubts.conf", self.world.folder / "doubts"
        config.write_text("")
        check = lambda: subprocess.run([herald.HERALDD, "--config", config, "--check"], capture_output=True, text=True, timeout=20)
        done = check()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("warning: there is no [source]: nothing is listened to", done.stdout)
        for name, text in (("mail/subject.txt", ""), ("mail/body.txt", "Hello\n"), ("mail/body.txt.orig", "Hello\n"),
                           ("mail/push.json", '{"title": "{{orderId}}",\n{{#total}}"total": {{total}}{{/total}}}')):
            (templates / name).parent.mkdir(parents=True, exist_ok=True)
            (templates / name).write_text(text)
        (self.world.folder / "secret").write_text("hunter2 \n")
        config.write_text("[herald]\ntemplates = doubts\n[redis]\npassword_file = secret\n[notification mail]\nchannels = email\n"
                          "[provider smtp]\nchannel = email\nurl = smtp://127.0.0.1\nfrom = a@example.org\n"
                          "user = shop\npassword_file = secret\n")
        done = check()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        warnings = [line for line in done.stdout.splitlines() if line.startswith("warning: ")]
        for expected in ("there is no [source]", "[notification mail] no source makes it",
                         "[redis] its password begins or ends with a space", "[provider smtp] its password begins",
                         f"{templates}/mail/body.txt.orig is not read: expected subject.txt, body.txt",
                         f"{templates}/mail/push.json makes no JSON of a sample, where every value is 1, with its sections left out: at byte 15",
                         f"{templates}/mail/subject.txt is empty"):
            self.assertTrue([line for line in warnings if expected in line], f"{expected}: {warnings}")
        self.assertEqual(len(warnings), 7, warnings)
        for n in range(60):
            (templates / f"stray-{n}").touch()
        self.assertIn(f"warning: {templates} has 13 more of these", check().stdout)

    def check_connections(self, **values):
        """`heraldd --check --connect` on a mail and a push provider: its exit status and its lines."""
        config = self.world.folder / "connect.conf"
        config.write_text(self.world.config(CONNECT, **values))
        done = subprocess.run([herald.HERALDD, "--config", config, "--check", "--connect"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout.splitlines()

    def test_check_connect_reaches_redis_and_every_provider_and_sends_nothing(self):
        smtp = self.world.smtp_script(arguments=["--auth", "shop:secret"])
        push = self.world.http2_receiver()
        good, bad = self.world.folder / "good", self.world.folder / "bad"
        good.write_text("secret")
        bad.write_text("wrong")
        values = {"redis": self.redis.url, "smtp": smtp.url, "push": push.url, "ca": push.certificate, "password": good}

        status, lines = self.check_connections(**values)
        self.assertEqual(status, 0, lines)
        self.assertRegex(lines[1], r"^redis: reached, version \d+\.\d+$")
        self.assertEqual(lines[-2:], ["provider mail: reached", "provider phone: reached"])
        self.assertEqual((smtp.mails(), push.count()), ([], 0))
        self.assertEqual(len(smtp.commands("AUTH")), 1)

        status, lines = self.check_connections(**{**values, "password": bad})
        self.assertEqual(status, 69)
        self.assertRegex(lines[-2], r"^provider mail: Login denied: 5\d\d ")
        self.assertEqual(lines[-1], "provider phone: reached")

        other = self.world.http2_receiver()
        port = herald.free_port()
        status, lines = self.check_connections(**{**values, "ca": other.certificate, "redis": f"redis://127.0.0.1:{port}/0"})
        self.assertEqual(status, 69)
        self.assertRegex(lines[1], r"^redis: FAILED: .*refused")
        self.assertRegex(lines[-1], r"^provider phone: .*certificate")

    @unittest.skipIf(os.environ.get("HERALD_SANITIZE"), "one checker at a time")
    def test_valgrind_finds_nothing_from_start_to_end(self):
        config = self.world.folder / "valgrind.conf"
        config.write_text(self.text())
        report = self.world.folder / "valgrind"
        with subprocess.Popen(["valgrind", "--leak-check=full", "--show-leak-kinds=definite,indirect", "--errors-for-leak-kinds=definite,indirect",
                               "--error-exitcode=9", f"--suppressions={herald.ROOT / 'tests/support/valgrind.supp'}",
                               f"--log-file={report}", herald.HERALDD, "--config", config],
                              stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL) as child:
            state = herald.State(self.client)
            self.wait(lambda: self.client.publish("order:confirmed", herald.order(1)) == 1, 60, "a subscriber")
            self.client.publish_all("order:confirmed", [herald.order(n) for n in range(2, 50)] + ["{"])
            self.wait(lambda: len(state.events()) == 49 and state.is_idle() and state.counts()["payloads"] == 0, 60, "all sent")
            child.send_signal(signal.SIGHUP)
            time.sleep(2)  # the reload is to be part of what is looked at; it has no line here to wait for
            child.terminate()
            self.assertEqual(child.wait(60), 0, report.read_text())
        self.assertIn("ERROR SUMMARY: 0 errors", report.read_text())

    def test_a_closed_stderr_does_no_harm(self):
        config = self.world.folder / "closed.conf"
        config.write_text(self.text())
        with subprocess.Popen([herald.HERALDD, "--config", config], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as child:
            child.stderr.readline()
            child.stderr.close()
            state = herald.State(self.client)
            self.wait(lambda: self.client.publish("order:confirmed", herald.order(1)) == 1, 10, "a subscriber")
            self.wait(lambda: state.events() and state.is_idle() and state.counts()["payloads"] == 0, 10, "it was sent")
            child.terminate()
            self.assertEqual(child.wait(20), 0)


class Ctl(herald.TestCase):
    """heraldctl's first words."""

    def setUp(self):
        super().setUp()
        self.redis = self.world.redis()
        self.client = self.redis.client()
        self.addCleanup(self.client.close)
        text = self.world.config(CONFIG, redis=self.redis.url, provider="sink", behaviour="ok", more="")
        self.daemon = self.world.heraldd(text)

    def ctl(self, *arguments, **options):
        return self.world.ctl(*arguments, config=self.daemon.config, **options)

    def test_users_import_stores_good_lines_and_names_bad_ones(self):
        file = self.world.folder / "users.jsonl"
        file.write_text('{"userId":"u-1","email":"ada@example.org","name":"Ada","locale":"pt-BR","push":[{"provider":"p","token":"t"}]}\n'
                        '{"userId":"u-2","email":"not an address"}\n'
                        '{"email":"bob@example.org"}\n'
                        '{"userId":"u-3","email":"bob@example.org"}\n')
        done = self.ctl("users", "import", file, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("line 2: email", done.stderr)
        self.assertIn("line 3: userId", done.stderr)
        self.assertIn("2 stored, 2 refused", done.stdout)
        self.assertEqual(self.client.call("HGET", "herald:user:u-1", "email"), b"ada@example.org")
        self.assertEqual(json.loads(self.client.call("HGET", "herald:user:u-1", "push")), [{"provider": "p", "token": "t"}])
        self.client.publish("order:confirmed", herald.order(1, "u-3"))
        [line] = self.daemon.log.wait_event("delivery.sent")
        self.assertEqual(line["to"], "b***@example.org")

    def test_users_import_takes_no_mistake_for_a_record_without_an_address(self):
        herald.store_user(self.client, "u-7", email="ada@example.org")
        file = self.world.folder / "users.jsonl"
        wrong = {'{"userId":"u-7","mail":"new@example.org"}': "at byte 17: expected userId, email, name, locale or push",
                 '{"userId":"u-7"}': "expected email or push",
                 '{"userId":7.5,"email":"a@example.org"}': "userId: expected",
                 '{"userId":true,"email":"a@example.org"}': "userId: expected",
                 '{"userId":["u-7"],"email":"a@example.org"}': "userId: expected",
                 '{"userId":"u-7","email":"a@example.org","name":5}': "name: expected a string",
                 '["u-7"]': "expected an object"}
        file.write_text("".join(line + "\n" for line in wrong) + '{"userId":8,"email":"eight@example.org"}\n')
        done = self.ctl("users", "import", file, check=False)
        self.assertIn(f"1 stored, {len(wrong)} refused", done.stdout)
        for number, reason in enumerate(wrong.values(), 1):
            self.assertIn(f"line {number}: {reason}", done.stderr)
        self.assertEqual(self.client.call("HGET", "herald:user:u-7", "email"), b"ada@example.org")
        self.assertEqual(self.client.call("HGET", "herald:user:8", "email"), b"eight@example.org")
        done = self.ctl("users", "import", self.world.folder, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("Is a directory", done.stderr)

    def test_render_shows_the_message_without_sending_it(self):
        event = self.world.folder / "event.json"
        event.write_text(herald.order(1, to={"email": "ada@example.org", "name": "Ada"}))
        text = self.ctl("render", "order-confirmed", event)
        self.assertIn("Subject: Order o-1 is confirmed", text)
        self.assertIn("To: Ada <ada@example.org>", text)
        self.assertEqual(self.ctl("render", "order-confirmed", event, "email").count("Subject:"), 1)
        done = self.ctl("render", "order-confirmed", event, "emial", check=False)
        self.assertEqual(done.returncode, 64)
        self.assertIn("'emial': notification 'order-confirmed' is not sent that way", done.stderr)
        self.assertEqual(herald.State(self.client).events(), [])

    def test_status_counts_and_explain_knows_what_it_does_not_know(self):
        herald.store_user(self.client, "u-7", email="ada@example.org")
        self.client.publish("order:confirmed", herald.order(1))
        self.daemon.log.wait_event("delivery.sent")
        status = lambda: json.loads(self.ctl("status", "--json"))
        self.wait(lambda: [i for i in status()["instances"].values() if i["sent"] == 1], 10, "a heartbeat with the count")
        self.assertEqual(status()["lanes"]["sink"]["due"], 0)
        self.assertIn("sent at", self.ctl("explain", "o-1"))
        done = self.ctl("explain", "o-99", check=False)
        self.assertEqual(done.returncode, 66)
        self.assertIn("never came", done.stderr)

    def test_dead_ones_can_be_dropped_and_waiting_ones_cancelled(self):
        self.client.publish("order:confirmed", herald.order(1, "stranger"))
        self.daemon.log.wait_event("delivery.dead")
        self.assertIn("no recipient", self.ctl("dead", "list"))
        self.assertNotEqual(self.ctl("dead", "drop", "o-1", check=False).returncode, 0, "it asks, and nobody answers")
        self.assertIn("1 dropped", self.ctl("dead", "drop", "o-1", "--yes"))
        self.assertEqual(herald.State(self.client).counts()["payloads"], 0)
        herald.store_user(self.client, "u-7", email="ada@example.org")
        self.client.publish("order:confirmed", herald.order(2, sendAt=herald.rfc3339(time.time() + 3600)))
        self.daemon.log.wait_event("event.accepted", order_id="o-2")
        self.assertIn("1 cancelled", self.ctl("cancel", "o-2"))
        self.assertIn("cancelled by an operator", self.ctl("explain", "o-2"))


if __name__ == "__main__":
    herald.main()
