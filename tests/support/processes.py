"""Processes of a test: started here, ended here by their own pid, whatever the test does meanwhile."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time


def wait_for(condition, timeout, what):
    """Returns the first true value of condition(); fails with `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    pause = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what() if callable(what) else what}")
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def free_port():
    """A port of 127.0.0.1 that nobody listens on. Below the range that outgoing connections get theirs from, so that a
    server that is stopped and started again finds it free."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def is_listening(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """One child. Its output goes to the file `output`."""

    def __init__(self, name, argv, output, **popen):
        self.name = name
        self.argv = [str(arg) for arg in argv]
        self.output = output
        with open(output, "ab") as file:
            self.child = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file, **popen)

    @property
    def pid(self):
        return self.child.pid

    def is_running(self):
        return self.child.poll() is None

    def signal(self, number):
        self.child.send_signal(number)

    def wait(self, timeout=40):
        """Its exit status; negative for the signal that ended it."""
        try:
            return self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {timeout} s\n{self.tail()}") from None

    def stop(self, timeout=40):
        """SIGTERM, and its exit status."""
        if self.is_running():
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self):
        """kill -9, and gone."""
        if self.is_running():
            self.child.kill()
        self.child.wait()

    def tail(self, lines=30):
        with contextlib.suppress(OSError), open(self.output, "rb") as file:
            text = file.read().decode(errors="replace").splitlines()[-lines:]
            return "\n".join(f"  {self.name}: {line}" for line in text)
        return ""

    def stat(self):
        """CPU seconds used so far, and memory in bytes, as /proc tells them."""
        with open(f"/proc/{self.pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        with open(f"/proc/{self.pid}/status", "r") as file:
            status = dict(line.split(":", 1) for line in file)
        return {
            "cpu_s": (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"),
            "rss": int(status["VmRSS"].split()[0]) * 1024,
            "rss_anon": int(status["RssAnon"].split()[0]) * 1024,
            "rss_peak": int(status["VmHWM"].split()[0]) * 1024,
            "threads": int(status["Threads"]),
        }

    def context_switches(self):
        """How often its threads have gone to sleep: every wake-up ends in one."""
        total = 0
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            with contextlib.suppress(FileNotFoundError):
                with open(f"/proc/{self.pid}/task/{thread}/status", "r") as file:
                    for line in file:
                        if line.startswith("voluntary_ctxt_switches:"):
                            total += int(line.split()[1])
        return total
