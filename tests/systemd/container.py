"""A small Debian, booted with its systemd in a container that has no network but its own loopback.

    with Container(root) as debian:
        debian.run("apt-get", "-y", "install", "/var/cache/herald.deb")
        debian.journal(HERALD_EVENT="service.ready")

What it writes is in memory and gone with it; the directory that it is booted from stays as it was. It ends with the test,
also when the test is killed. Needs root, and a kernel that lets systemd-nspawn work: can_boot says.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess

from processes import Process, wait_for
from resp import Redis

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1
CLONE_NEWNET = 0x40000000
CGROUPS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", "TERM": "dumb",
               "DEBIAN_FRONTEND": "noninteractive", "SYSTEMD_PAGER": "cat", "SYSTEMD_COLORS": "0"}


def nspawn(root, *arguments):
    """The command. Where no systemd runs on this machine, there is nobody to be registered with."""
    unit = [] if os.path.isdir("/run/systemd/system") else ["--keep-unit"]
    return ["systemd-nspawn", "--quiet", f"--directory={root}", "--register=no", *unit, "--private-network",
            "--volatile=overlay", f"--machine=herald-test-{os.getpid()}", "--console=pipe", *arguments]


# Containers get the one cgroup tree that every systemd boots with, whatever this machine has.
NSPAWN_ENVIRONMENT = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}


def can_boot(root):
    """None, or why not."""
    if os.geteuid() != 0:
        return "needs root"
    if not shutil.which("systemd-nspawn"):
        return "systemd-nspawn is not installed"
    before = cgroup_folders()
    tried = subprocess.run(nspawn(root, "/bin/true"), env=NSPAWN_ENVIRONMENT, stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=60)
    remove_cgroups(before)
    return None if tried.returncode == 0 else f"systemd-nspawn can't run here: {tried.stderr.strip()}"


def cgroup_folders():
    """What nspawn leaves behind where no systemd looks after it."""
    return {path for top in CGROUPS for name in ("payload", "supervisor") if (path := pathlib.Path(top, name)).is_dir()}


def remove_cgroups(before):
    """Those that were not there before, once the last of their processes is gone."""
    def remove(top):
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        return not top.exists()

    for top in cgroup_folders() - before:
        wait_for(lambda: remove(top), 10, f"an empty {top}")


class Container:
    def __init__(self, root, folder):
        self.journal_from = 0
        self.cgroups_before = cgroup_folders()
        self.process = Process("container", nspawn(root, "--boot"), pathlib.Path(folder) / "console",
                               env=NSPAWN_ENVIRONMENT,
                               preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM))
        self.leader = None
        try:
            self.leader = wait_for(self._find_leader, 30, lambda: f"a booting systemd\n{self.process.tail()}")
            wait_for(self._is_up, 60, lambda: f"a booted systemd\n{self.process.tail()}")
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _find_leader(self):
        if not self.process.is_running():
            raise AssertionError(f"systemd-nspawn ended\n{self.process.tail()}")
        with contextlib.suppress(OSError, ValueError):
            pid = int(pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text())
            return pid if pathlib.Path(f"/proc/{pid}/comm").read_text() == "systemd\n" else None
        return None

    def _is_up(self):
        said = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return said in ("running", "degraded")

    def close(self):
        """Powered off; where that takes too long, gone. Its first process has to go first: it would outlive nspawn."""
        if self.process.is_running():
            self.process.signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except AssertionError:
                if self.leader:
                    os.kill(self.leader, signal.SIGKILL)
        with contextlib.suppress(AssertionError):
            self.process.wait(10)
        self.process.kill()
        remove_cgroups(self.cgroups_before)

    # What a person at its console does.

    def run(self, *argv, check=True, timeout=120, **options):
        """Runs a command in it; the finished process, with its output as text."""
        done = subprocess.run(["nsenter", "--all", f"--target={self.leader}", *map(str, argv)], env=ENVIRONMENT,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, **options)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, argv))}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def shell(self, text, **options):
        return self.run("bash", "-euo", "pipefail", "-c", text, **options)

    def systemctl(self, *arguments, **options):
        return self.run("systemctl", *arguments, **options).stdout

    def show(self, unit, name):
        """A property of a unit."""
        return self.systemctl("show", "--value", f"--property={name}", unit).strip()

    def path(self, path):
        """Where a file of it is, seen from here."""
        return pathlib.Path(f"/proc/{self.leader}/root{path}")

    def write(self, path, text, mode=0o644):
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def mark(self):
        """The journal is read from here on."""
        last = json.loads(self.run("journalctl", "--output=json", "--quiet", "--lines=1").stdout)
        self.journal_from = int(last["__REALTIME_TIMESTAMP"]) + 1

    def journal(self, unit="heraldd.service", **fields):
        """The lines of a unit, or those about it by systemd itself, whose fields have these values; oldest first."""
        whose = [f"_SYSTEMD_UNIT={unit}"] if unit else []
        self.run("journalctl", "--sync")
        said = self.run("journalctl", "--output=json", "--quiet", *whose,
                        *(f"{name}={value}" for name, value in fields.items())).stdout
        # Chosen here: journalctl 252 with --after-cursor and a field leaves out the first line that has it.
        return [line for line in map(json.loads, said.splitlines())
                if int(line["__REALTIME_TIMESTAMP"]) >= self.journal_from]

    @contextlib.contextmanager
    def network(self):
        """This thread is in its network: connections that it makes are within, and processes that it starts stay there."""
        ours = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        theirs = os.open(f"/proc/{self.leader}/ns/net", os.O_RDONLY)
        try:
            self._enter_network(theirs)
            try:
                yield
            finally:
                self._enter_network(ours)
        finally:
            os.close(ours)
            os.close(theirs)

    def redis(self, **options):
        """A client of the Redis in it."""
        with self.network():
            return Redis(("127.0.0.1", 6379), **options)

    @staticmethod
    def _enter_network(descriptor):
        """This thread, from here on."""
        if LIBC.setns(descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
