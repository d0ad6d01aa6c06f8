"""The README's chapters on installing and operating, run word for word by somebody who has just this machine."""

import pathlib
import re
import shutil
import unittest

import herald
from installed import DEB, PACKAGE, TestCase, customer
from servers import SmtpScript

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"
CHAPTER = "Installing it as a service"
HOME = "/root/herald"
CONF = "/etc/herald/herald.conf"
# What a container has not, or what a person does at a terminal: here, to end what would go on for ever.
STAND_INS = {
    f"{HOME}/dev": 'test "$1" = package # and there it is',
    "/usr/local/bin/sudo": 'exec "$@"',
    "/usr/local/bin/sudoedit": 'test -f "$1"',
}

TAIL = """case $1 in
tail) exec timeout --signal=INT --preserve-status 3 /usr/bin/heraldctl "$@" ;;
*) exec /usr/bin/heraldctl "$@" ;;
esac"""


def blocks(chapter):
    """The chapter's blocks of commands, in their order."""
    text = README.read_text()
    body = text.split(f"\n## {chapter}\n", 1)[1].split("\n## ", 1)[0]
    found = re.findall(r"(?:^    .*\n(?:\n(?=    ))?)+", body, re.M)
    return [re.sub(r"^    ", "", block, flags=re.M) for block in found]


class Readme(TestCase):
    def setUp(self):
        for path, text in STAND_INS.items():
            self.debian.write(path, f"#!/bin/sh\n{text}\n", mode=0o755)
        self.debian.write("/etc/apt/apt.conf.d/90yes", 'APT::Get::Assume-Yes "true";\n')
        self.debian.path(f"{HOME}/build").mkdir()
        shutil.copyfile(DEB, self.debian.path(f"{HOME}/build/{DEB.name}"))
        self.debian.path(PACKAGE).unlink()

    def test_the_chapter_on_installing_can_be_followed_word_for_word(self):
        # What must be true after a block that says this.
        outcomes = {
            "apt-get install": lambda: self.debian.path("/usr/bin/heraldd").exists(),
            "enable --now heraldd ": lambda: self.debian.show("heraldd", "ActiveState") == "active",
            "LoadCredential": lambda: self.debian.path("/run/credentials/heraldd.service/mail-password").exists(),
            "heraldd@shop2": lambda: "running" in self.debian.show("heraldd@shop2", "StatusText"),
            "apt-get purge": lambda: not self.debian.path("/usr/bin/heraldd").exists(),
        }
        seen = set()
        for block in blocks(CHAPTER):
            self.debian.shell(f"cd {HOME}\n{block}", timeout=300)
            for words in [words for words in outcomes if words in block]:
                self.wait(outcomes[words], 20, f"what is promised by\n{block}")
                seen.add(words)
        self.assertEqual(seen, set(outcomes))


class Operating(TestCase):
    """The chapter's commands in their order, with what happens between them to whom they are of use."""

    def setUp(self):
        self.install()
        self.debian.write("/usr/local/bin/heraldctl", f"#!/bin/sh\n{TAIL}\n", mode=0o755)
        with self.debian.network():
            self.mail = SmtpScript(self.folder / "smtp", {"recipients": {"ada@example.org": {"rcpt": ["550 5.1.1 no such user"]}}})
        self.addCleanup(self.mail.kill)
        text = self.debian.path(CONF).read_text()
        self.debian.write(CONF, f"{text}\n[provider mail]\nchannel = email\nurl = {self.mail.url}\nfrom = orders@shop.example\nrate = 50/1s\n")
        self.debian.systemctl("enable", "--now", "heraldd")
        self.client = self.debian.redis()
        self.addCleanup(self.client.close)
        customer(self.client)

    def publish(self, order_id):
        self.assertEqual(self.client.publish("order:confirmed", herald.order(order_id)), 1)
        self.wait_event("event.accepted", HERALD_ORDER_ID=f"o-{order_id}")

    def wait_mails(self, *recipients):
        self.wait(lambda: [mail["to"] for mail in self.mail.mails()] == list(recipients), 20, lambda: f"{recipients}: {self.mail.mails()}")

    def after_pause(self, _):
        self.publish("1002")
        self.wait(lambda: "paused" in self.debian.run("heraldctl", "explain", "o-1002").stdout, 10, "o-1002 to wait")
        self.assertEqual(self.mail.mails(), [])

    def test_the_chapter_on_operating_can_be_followed_word_for_word(self):
        ada, me = "ada@example.org", "me@example.org"
        steps = {  # what a line says, and what must have come of it
            "heraldctl status ": lambda said: self.assertIn("lane mail\n", said),
            "heraldctl doctor ": lambda said: self.assertIn("warn", said),
            "heraldctl explain o-1001 ": lambda said: self.assertIn("550 at RCPT: 5.1.1 no such user", said),
            "heraldctl limits ": lambda said: self.assertRegex(said, "mail.*50/1s"),
            "heraldctl pause mail ": self.after_pause,
            "heraldctl resume mail ": lambda _: self.wait_mails(ada),
            "heraldctl test mail --to me@example.org ": lambda said: (self.wait_mails(ada, me), self.assertIn("accepted", said)),
            "heraldctl tail --level warning ": lambda said: self.assertRegex(said, r"delivery\.dead.*o-1001"),
            "heraldctl dead list ": lambda said: self.assertRegex(said, "o-1001 .*no such user"),
            "heraldctl dead replay o-1001 ": lambda said: (self.assertIn("1 replayed", said), self.wait_mails(ada, me, ada)),
            "heraldctl fsck ": lambda said: self.assertIn("0", said),
            "journalctl -u heraldd HERALD_ORDER_ID=o-1001": lambda said: self.assertRegex(said, r"(?s)event\.accepted .*delivery\.dead .*5\.1\.1 no such user.*delivery\.sent .*provider=mail"),
            "ACL SETUSER": lambda _: self.assertIsNotNone(self.client.call("ACL", "GETUSER", "herald")),
            "CONFIG REWRITE": lambda _: self.assertIn("user herald-operator", self.debian.shell("cat /etc/redis/redis.conf").stdout),
        }
        self.publish("1001")
        self.wait_event("delivery.dead", HERALD_ORDER_ID="o-1001")
        left = dict(steps)
        for line in [line for block in blocks("Operating it") for line in block.splitlines() if not line.startswith("#")]:
            done = self.debian.run("bash", "-c", f"cd /etc/herald\n{line}", check="doctor" not in line)
            [words] = [words for words in left if words in line + " "]
            print(f"\n$ {line}\n{done.stdout}{done.stderr}", end="")
            left.pop(words)(done.stdout)
        self.assertEqual(list(left), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
