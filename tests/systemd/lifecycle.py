"""heraldd from its Debian package under a real systemd: what survives restarts, kills, hangs and upgrades."""

import re
import socket
import time
import unittest

import herald
from frozen import Frozen, thread_of
from installed import TestCase, customer, next_version
from publisher import Publisher
from servers import Http2Receiver, SmtpScript, make_certificate

CONF = "/etc/herald/herald.conf"
PACE = 300  # events a second
SUPPRESSED = "a596d6fe7bfa4994828e72309e95d61e"  # journald left lines out, as `journalctl --catalog` names it
# Short, so that what a killed one had on its way is soon taken over.
TIMES = "[herald]\nlease = 3s\nlease_margin = 500ms\ncanary_interval = 1s\nlog_rate = 0\n"
# As the one that is there without being named, with room for a load on a slow machine.
ROOMY = "\n[provider maildir]\nchannel = email\ntype = maildir\nmax_messages = 100000\n"


class Lifecycle(TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.install()
        cls.as_installed = cls.debian.path(CONF).read_text()

    def setUp(self):
        """As after the installation: the file as it came, no state, an empty Redis with one customer."""
        self.debian.systemctl("stop", "heraldd")
        if self.systemd_version >= 254:
            self.debian.systemctl("clean", "--what=fdstore", "heraldd", check=False)
        self.debian.shell("rm -rf /var/lib/herald/* /etc/systemd/system/heraldd*.d")
        self.debian.systemctl("daemon-reload")
        self.debian.systemctl("reset-failed")
        self.bring_redis_back()
        self.client = self.debian.redis()
        self.addCleanup(self.client.close)
        self.client.call("FLUSHALL")
        customer(self.client)
        self.debian.write(CONF, self.as_installed)
        self.debian.mark()

    def start(self, text=None):
        if text is not None:
            self.debian.write(CONF, text)
        self.debian.systemctl("start", "heraldd")

    def with_times(self):
        return self.as_installed.replace("[herald]\n", TIMES, 1) + ROOMY

    def drop_in(self, text):
        self.debian.write("/etc/systemd/system/heraldd.service.d/test.conf", text)
        self.debian.systemctl("daemon-reload")

    def take_redis_away(self):
        """So that nobody starts it either: the unit wants it."""
        self.debian.systemctl("mask", "--runtime", "--now", "redis-server")

    def bring_redis_back(self):
        self.debian.systemctl("unmask", "--runtime", "redis-server")
        self.debian.systemctl("start", "redis-server")

    def metrics(self, path):
        """What a scraper in herald's group is told on that socket."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.debian.path(path)))
            sock.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: sock.recv(65536), b"")).decode()

    def publisher(self):
        publisher = Publisher(self.debian.redis, PACE)
        self.addCleanup(publisher.end)
        return publisher

    def wait_published(self, publisher, more):
        goal = publisher.count + more
        self.wait(lambda: publisher.count >= goal, 30, f"{more} more published")

    def check_none_lost(self, publisher):
        """Every event that was published was handed to our subscription, is on record once, and became a mail."""
        count = publisher.end()
        state = herald.State(self.client)
        self.wait(lambda: state.counts()["records"] >= count and state.is_idle() and self.count_mails() >= count, 60,
                  lambda: f"{count} events accepted and sent; {self.count_mails()} mails, {state.counts()}")
        self.assertEqual(publisher.deaf, 0)
        self.assertEqual((state.counts()["records"], self.count_mails()), (count, count))
        self.assertEqual(self.debian.journal(HERALD_EVENT="source.gap"), [])
        return count

    def test_as_installed_an_event_becomes_a_mail_in_the_maildir(self):
        self.start()
        self.assertEqual(self.client.publish("order:confirmed", herald.order("1001")), 1)
        [line] = self.wait_event("delivery.sent", HERALD_CHANNEL="email", HERALD_ORDER_ID="o-1001")
        self.assertEqual((line["PRIORITY"], line["_COMM"]), ("6", "heraldd"))
        self.assertNotIn("ada@example.org", str(line))
        [mail] = self.mails()
        self.assertEqual(mail["To"].addresses[0].addr_spec, "ada@example.org")
        self.assertIn("o-1001", mail["Subject"])
        self.assertIn("running", self.debian.show("heraldd", "StatusText"))
        self.assertIn("lane maildir", self.debian.run("heraldctl", "explain", "o-1001").stdout)
        owners = self.debian.shell("stat -c '%U %a' /var/lib/herald /var/lib/herald/mail/new/*").stdout.splitlines()
        self.assertEqual(owners, ["herald 700", "herald 600"])

    def test_every_kind_of_source_and_provider_works_in_the_sandbox(self):
        secrets = {"mail-password": "m41l", "push-token": "t0ken"}
        for name, secret in secrets.items():
            self.debian.write(f"/etc/herald/credentials/{name}", secret + "\n", mode=0o600)
        self.drop_in("[Service]\nRuntimeDirectory=herald\n" + "".join(
            f"LoadCredential={name}:/etc/herald/credentials/{name}\n" for name in secrets))
        with self.debian.network():
            certificate, key = make_certificate(self.folder)
            mail = SmtpScript(self.folder / "smtp", arguments=["--cert", certificate, "--key", key, "--auth", "shop:m41l"])
            self.addCleanup(mail.kill)
            push = Http2Receiver(self.folder)
            self.addCleanup(push.kill)
        self.debian.write("/etc/herald/ca.pem", certificate.read_text())
        text = self.as_installed.replace("#metrics = 127.0.0.1:9464", "metrics = unix:/run/herald/metrics.sock")
        push_options = f"type = http\nurl = {push.url}/send\ntoken_file = push-token\nca_file = ca.pem\n"
        self.start(text.replace("type = null\n", push_options, 1) + f"""
[source kept-orders]
type = stream
stream = orders
notification = order-confirmed
id = orderId

[provider mail]
channel = email
url = {mail.url}
user = shop
password_file = mail-password
ca_file = ca.pem
from = orders@shop.example
""")
        self.client.publish("order:confirmed", herald.order("1"))
        self.client.call("XADD", "orders", "*", "event", herald.order("2"))
        for channel, provider in (("email", "mail"), ("push", "app")):
            self.wait_event("delivery.sent", n=2, HERALD_CHANNEL=channel, HERALD_PROVIDER=provider)
        self.assertEqual([(line["user"], line["tls"]) for line in mail.mails()], [("shop", True)] * 2)
        self.assertEqual(push.count(), 2)
        self.assertIn("herald_deliveries_sent_total", self.metrics("/run/herald/metrics.sock"))
        self.assertEqual(self.debian.journal(HERALD_EVENT="journal.off"), [])

    def test_the_unit_is_as_closed_as_it_claims(self):
        said = self.debian.run("systemd-analyze", "security", "--no-pager", "heraldd").stdout
        self.assertLessEqual(float(re.search(r"Overall exposure level.*: ([0-9.]+)", said).group(1)), 1.3)
        for unit in ("heraldd.service", "heraldd@two.service"):
            done = self.debian.run("systemd-analyze", "verify", "--man=no", unit)
            self.assertEqual(done.stdout + done.stderr, "")

    def test_ready_comes_with_redis_and_not_before(self):
        self.take_redis_away()
        self.debian.systemctl("start", "--no-block", "heraldd")
        self.wait_event("redis.unreachable")
        self.assertEqual(self.debian.show("heraldd", "ActiveState"), "activating")
        self.assertIn("waiting for Redis", self.debian.show("heraldd", "StatusText"))
        self.bring_redis_back()
        self.wait(lambda: self.debian.show("heraldd", "ActiveState") == "active", 30, "active")

    def test_a_burst_of_lines_is_whole_in_the_journal(self):
        """With a journal whose own limit is far below the burst, also after it has multiplied that by what space is free."""
        self.debian.write("/etc/systemd/journald.conf.d/few.conf", "[Journal]\nRateLimitIntervalSec=30s\nRateLimitBurst=100\n")
        self.debian.systemctl("restart", "systemd-journald")
        self.addCleanup(self.debian.shell, "rm /etc/systemd/journald.conf.d/few.conf; systemctl restart systemd-journald")
        self.start(self.with_times().replace(ROOMY, "\n[provider null]\nchannel = email\ntype = null\nfrom = orders@shop.example\n"))
        self.client.publish_all("order:confirmed", [herald.order(n) for n in range(3000)])
        state = herald.State(self.client)
        self.wait(lambda: state.counts()["records"] >= 3000 and state.is_idle(), 60, "all sent")
        for event in ("event.accepted", "delivery.sent"):
            self.wait(lambda: len(self.debian.journal(HERALD_EVENT=event)) >= 3000, 20,
                      lambda: f"3000 × {event}: {len(self.debian.journal(HERALD_EVENT=event))}")
        self.assertEqual(self.debian.journal(None, MESSAGE_ID=SUPPRESSED), [])

    def test_a_restart_of_redis_leaves_the_unit_running(self):
        self.start()
        pid = self.main_pid()
        self.debian.systemctl("restart", "redis-server")
        self.wait_event("redis.subscribed", n=2)
        self.assertEqual(self.main_pid(), pid)

    def test_a_reload_takes_new_words_and_a_bad_file_changes_nothing(self):
        self.start()
        pid = self.main_pid()
        subject = "/etc/herald/templates/order-confirmed/subject.txt"
        old = self.debian.path(subject).read_text()
        self.addCleanup(self.debian.write, subject, old)
        self.debian.write(subject, "Thank you for {{orderId}}\n")
        self.debian.systemctl("reload", "heraldd")
        self.wait_event("config.reloaded")

        self.debian.write(CONF, self.as_installed + "\n[provider app]\ntypo = yes\n")
        self.debian.systemctl("reload", "heraldd")
        [line] = self.wait_event("config.refused")
        self.assertRegex(str(line), r"herald\.conf:\d+")
        self.assertEqual(line["PRIORITY"], "3")

        self.client.publish("order:confirmed", herald.order("1"))
        self.wait_event("delivery.sent", HERALD_CHANNEL="email")
        self.assertEqual([mail["Subject"] for mail in self.mails()], ["Thank you for o-1"])
        self.assertEqual(self.main_pid(), pid)

    def test_a_start_with_a_bad_file_says_so_by_its_status(self):
        self.debian.write(CONF, "[nonsense]\n")
        self.debian.systemctl("start", "--no-block", "heraldd")
        self.wait(lambda: self.debian.show("heraldd", "ExecMainStatus") == "78", 20, "status 78")
        self.assertTrue([line for line in self.debian.journal() if "herald.conf:1" in line["MESSAGE"]])

    def test_kill_9_and_restart_under_load_lose_nothing(self):
        self.start(self.with_times())
        publisher = self.publisher()
        for round_number in range(3):
            self.wait_published(publisher, PACE)
            pid = self.main_pid()
            self.debian.systemctl("kill", "--kill-whom=main", "--signal=KILL", "heraldd")
            self.wait_event("redis.inherited", n=2 * round_number + 1)
            self.assertNotEqual(self.main_pid(), pid)
            self.wait_published(publisher, PACE)
            self.debian.systemctl("restart", "heraldd")
            self.wait_event("redis.inherited", n=2 * round_number + 2)
        print(f"{self.check_none_lost(publisher)} events", end=" ", flush=True)

    def test_a_hung_lane_is_ended_by_the_watchdog_and_nothing_is_lost(self):
        text = self.with_times().replace(ROOMY, "") + ("\n[provider slow]\nchannel = email\ntype = null\nbehaviour = ok:4000ms\n"
                                    "from = orders@shop.example\n")
        self.drop_in("[Service]\nWatchdogSec=4s\n")
        self.start(text)
        pid = self.main_pid()
        self.client.publish("order:confirmed", herald.order("slow"))
        self.wait_event("event.accepted")
        frozen = Frozen(thread_of(self.pid_here(), "lane-slow"))
        publisher = self.publisher()
        self.wait(frozen.has_ended, 30, "the end of a hung process")
        self.wait_event("redis.inherited")
        count = publisher.end()
        state = herald.State(self.client)
        self.wait(lambda: state.counts()["records"] == count + 1, 30, lambda: f"{count} + 1 accepted: {state.counts()}")
        self.assertNotEqual(self.main_pid(), pid)
        self.assertEqual(self.debian.show("heraldd", "NRestarts"), "1")
        about = self.debian.journal(None, UNIT="heraldd.service")
        self.assertTrue([line for line in about if "Watchdog timeout" in line["MESSAGE"]], about)

    def test_an_upgrade_under_load_is_one_restart_and_loses_nothing(self):
        keep = "--option=Dpkg::Options::=--force-confold"  # the file is changed: dpkg asks, and is told to keep it
        self.bring(next_version(self.folder), "/var/cache/next.deb")
        self.addCleanup(self.install, "--allow-downgrades", keep)
        self.start(self.with_times())
        publisher = self.publisher()
        self.wait_published(publisher, PACE)
        pid, version = self.main_pid(), self.version()
        self.install(keep, path="/var/cache/next.deb")
        self.assertEqual(self.version(), version + ".1")
        self.wait_event("redis.inherited")
        self.assertNotEqual(self.main_pid(), pid)
        self.wait_published(publisher, PACE)
        print(f"{self.check_none_lost(publisher)} events", end=" ", flush=True)
        self.assertEqual(len(self.debian.journal(HERALD_EVENT="service.stopping")), 1)
        self.assertIn("lease = 3s", self.debian.path(CONF).read_text())

    def test_an_upgrade_while_redis_is_away_ends(self):
        self.start()
        pid = self.main_pid()
        self.take_redis_away()
        self.debian.run("apt-get", "-q", "-y", "--reinstall", "install", "/var/cache/herald.deb", timeout=60)
        self.wait(lambda: self.main_pid() not in (0, pid), 30, "a new heraldd")
        self.assertEqual(self.debian.show("heraldd", "ActiveState"), "activating")
        self.bring_redis_back()
        self.wait(lambda: self.debian.show("heraldd", "ActiveState") == "active", 30, "active")

    def version(self):
        return self.debian.run("dpkg-query", "-W", "-f=${Version}", "herald").stdout

    def test_what_a_stop_does_to_the_subscription_is_what_the_readme_says(self):
        # Enabled: systemd forgets a stopped unit that nothing names, and its store with it.
        self.debian.systemctl("enable", "heraldd")
        self.addCleanup(self.debian.systemctl, "disable", "heraldd")
        self.start(self.with_times())
        self.wait(lambda: self.client.call("HGET", "herald:{0}:proved", "orders"), 10, "a canary")
        self.debian.systemctl("stop", "heraldd")
        time.sleep(3)  # longer than a canary's interval: shorter outages can't be told from none
        heard = self.client.publish("order:confirmed", herald.order("1"))
        self.start()
        if self.systemd_version < 254:
            self.assertEqual(heard, 0)
            self.wait_event("source.gap")
        else:
            self.assertEqual(heard, 1)
            self.wait_event("event.accepted", HERALD_ORDER_ID="o-1")

    def test_a_secret_is_read_as_a_credential_that_the_daemon_itself_cannot_open(self):
        self.client.call("CONFIG", "SET", "requirepass", "s3cret")
        self.addCleanup(self.client.call, "CONFIG", "SET", "requirepass", "")
        self.debian.write("/etc/herald/credentials/redis-password", "s3cret\n", mode=0o600)
        self.drop_in("[Service]\nLoadCredential=redis-password:/etc/herald/credentials/redis-password\n")
        self.start(self.as_installed.replace("#password_file = redis-password", "password_file = redis-password"))
        self.wait_event("redis.subscribed")
        as_herald = self.debian.run("setpriv", "--reuid=herald", "--clear-groups", "cat",
                                    "/etc/herald/credentials/redis-password", check=False)
        self.assertIn("Permission denied", as_herald.stderr)
        self.assertNotIn("s3cret", str(self.debian.journal()))

    def test_several_instances_have_their_own_files_and_state(self):
        for name in ("one", "two"):
            text = self.as_installed.replace("#instance = shop-1", f"instance = {name}")
            text = text.replace("channel = order:confirmed", f"channel = {name}:confirmed")
            self.debian.write(f"/etc/herald/{name}.conf", text.replace("#prefix = herald", f"prefix = {name}"))
            herald.store_user(self.client, "u-7", email="ada@example.org")
            self.client.call("HSET", f"{name}:user:u-7", "email", f"{name}@example.org")
        self.addCleanup(self.debian.shell, "systemctl stop 'heraldd@*'; rm -rf /var/lib/herald@* /etc/herald/{one,two}.conf")
        self.debian.systemctl("start", "heraldd@one", "heraldd@two")
        self.client.publish("two:confirmed", herald.order("1"))
        self.wait_event("delivery.sent", unit="heraldd@two.service", HERALD_CHANNEL="email")
        [mail] = self.mails("/var/lib/herald@two/mail")
        self.assertEqual(mail["To"].addresses[0].addr_spec, "two@example.org")
        self.assertEqual(self.mails("/var/lib/herald@one/mail"), [])
        pids = {name: self.main_pid(f"heraldd@{name}") for name in ("one", "two")}
        self.debian.run("apt-get", "-q", "-y", "--reinstall", "install", "/var/cache/herald.deb")
        for name, pid in pids.items():
            self.wait(lambda: self.main_pid(f"heraldd@{name}") not in (0, pid), 30, f"a new heraldd@{name}")

    def test_a_stop_is_an_orderly_end(self):
        self.start()
        self.debian.systemctl("stop", "heraldd")
        self.assertEqual(self.debian.show("heraldd", "Result"), "success")
        self.wait_event("service.stopped")


if __name__ == "__main__":
    unittest.main(verbosity=2)
