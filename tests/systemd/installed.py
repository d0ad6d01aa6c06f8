"""What the tests in a container share: a Debian with our package in it, and heraldd as its users see it."""

import email
import email.policy
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import herald
from container import Container, can_boot
from processes import wait_for

ROOT = pathlib.Path(os.environ.get("HERALD_ROOT", "no-root"))
DEB = pathlib.Path(os.environ.get("HERALD_DEB", "no-package"))
PACKAGE = "/var/cache/herald.deb"


def next_version(folder):
    """The package again, under the version that a release after it would have."""
    tree, deb = folder / "next", folder / "next.deb"
    subprocess.run(["dpkg-deb", "-R", DEB, tree], check=True)
    control = tree / "DEBIAN/control"
    lines = [line + ".1" if line.startswith("Version: ") else line for line in control.read_text().splitlines()]
    control.write_text("\n".join(lines) + "\n")
    subprocess.run(["dpkg-deb", "-b", tree, deb], check=True, stdout=subprocess.DEVNULL)
    return deb


class TestCase(unittest.TestCase):
    """One booted Debian for the class, with the package's file in it."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        reason = can_boot(ROOT)
        if reason:
            raise unittest.SkipTest(reason)
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="herald-systemd-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.debian = Container(ROOT, cls.folder)
        cls.addClassCleanup(cls.debian.close)
        cls.bring(DEB, PACKAGE)
        cls.systemd_version = int(cls.debian.systemctl("--version").split()[1])

    @classmethod
    def bring(cls, file, path):
        shutil.copyfile(file, cls.debian.path(path))

    @classmethod
    def install(cls, *options, path=PACKAGE):
        return cls.debian.run("apt-get", "-q", "-y", *options, "install", path, timeout=300).stdout

    def wait(self, condition, timeout=30, what="condition"):
        return wait_for(condition, timeout, lambda: f"{what() if callable(what) else what}\n{self.last_words()}")

    def last_words(self):
        return self.debian.run("journalctl", "--no-pager", "--lines=40", "--unit=heraldd", check=False).stdout

    def wait_event(self, event, n=1, timeout=30, unit="heraldd.service", **fields):
        """Waits until `event` is n times in the journal with these fields."""
        def found():
            lines = self.debian.journal(unit, HERALD_EVENT=event, **fields)
            return lines if len(lines) >= n else None
        return self.wait(found, timeout, f"{n} × {event} {fields or ''}")

    def mails(self, folder="/var/lib/herald/mail"):
        """The mails in a maildir, parsed."""
        files = self.debian.path(folder).glob("new/*")
        return [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]

    def count_mails(self, folder="/var/lib/herald/mail"):
        return sum(1 for _ in self.debian.path(folder).glob("new/*"))

    def main_pid(self, unit="heraldd"):
        """In the container, and the same process as this machine's kernel numbers it."""
        return int(self.debian.show(unit, "MainPID"))

    def pid_here(self, unit="heraldd"):
        inside = self.main_pid(unit)
        for process in pathlib.Path("/proc").glob("[0-9]*/status"):
            try:
                lines = process.read_text().splitlines()
            except OSError:
                continue
            numbers = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
            if numbers[-1:] == [str(inside)] and len(numbers) > 1 and lines[0].split()[1] == "heraldd":
                return int(numbers[0])
        raise AssertionError(f"no process of this machine is {inside} in the container")


def customer(client, user_id="u-7"):
    herald.store_user(client, user_id, email="ada@example.org", name="Ada", push=[{"provider": "app", "token": "t-1"}])
