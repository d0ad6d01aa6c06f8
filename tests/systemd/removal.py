"""The package comes and goes: what an installation starts (nothing), and what a removal and a purge leave."""

import unittest

from installed import TestCase, customer

CONF = "/etc/herald/herald.conf"


class Removal(TestCase):
    def found(self):
        """Files of that name, but for the package itself and what apt and systemd have written down about it."""
        return self.debian.shell(
            "find / -xdev \\( -path /proc -o -path /var/log -o -path /var/cache -o -path /var/lib/apt -o -path /run/log \\) -prune -o"
            " -iname '*herald*' -print | sort").stdout.split()

    def test_an_installation_starts_nothing_and_a_purge_leaves_nothing(self):
        before = self.found()
        self.install()
        self.assertEqual(self.debian.show("heraldd", "ActiveState"), "inactive")
        self.assertEqual(self.debian.run("systemctl", "is-enabled", "heraldd", check=False).stdout.strip(), "disabled")
        self.assertEqual(self.debian.shell("stat -c '%U %a' /etc/herald/credentials").stdout.split(), ["root", "700"])
        self.debian.run("heraldd", "--check", "--connect")

        self.debian.systemctl("enable", "--now", "heraldd")
        with self.debian.redis() as client:
            customer(client)
            self.assertEqual(client.publish("order:confirmed", '{"orderId":"o-1","userId":"u-7"}'), 1)
            self.wait(self.count_mails, 20, "a mail")
            self.debian.write(CONF, self.debian.path(CONF).read_text() + "# ours\n")

            self.debian.run("apt-get", "-q", "-y", "remove", "herald")
            self.assertEqual(client.publish("order:confirmed", '{"orderId":"o-2","userId":"u-7"}'), 0)
        self.assertEqual(self.debian.run("pgrep", "heraldd", check=False).stdout, "")
        self.wait_event("service.stopped")
        self.assertTrue(self.debian.path(CONF).read_text().endswith("# ours\n"))
        self.assertEqual(self.count_mails(), 1)

        # It comes back as it was: enabled, with its configuration.
        self.install()
        self.assertTrue(self.debian.path(CONF).read_text().endswith("# ours\n"))
        self.assertEqual(self.debian.run("systemctl", "is-enabled", "heraldd", check=False).stdout.strip(), "enabled")

        self.debian.run("apt-get", "-q", "-y", "purge", "herald")
        self.assertEqual(self.found(), before)
        self.assertEqual(self.debian.systemctl("--failed", "--no-legend").strip(), "")
        self.assertEqual(self.debian.run("systemctl", "status", "heraldd", check=False).returncode, 4)  # no such unit


if __name__ == "__main__":
    unittest.main(verbosity=2)
