"""The harness of the system tests: real servers, the built heraldd, and its log to wait on.

    class Order(herald.TestCase):
        def test_one_event_is_one_mail(self):
            redis, sink = self.world.redis(), self.world.smtp_sink()
            daemon = self.world.heraldd(CONFIG, redis=redis.url, smtp=sink.url)
            with redis.client() as client:
                client.publish("order:confirmed", '{"orderId":"o-1", …}')
            daemon.log.wait_event("delivery.sent", n=1)

Everything lives in one temporary directory and ends with the test. HERALD_KEEP=1 in the environment keeps the directory.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import string
import subprocess
import sys
import tempfile
import time
import unittest

from log_page import Page
from notify import Notify
from processes import Process, free_port, wait_for
from servers import Http2Receiver, Nghttpd, RedisServer, SmtpScript, SmtpSink

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERALDD = pathlib.Path(os.environ.get("HERALDD", ROOT / "build/dev/src/app/heraldd"))
LOG_PAGE = Page()
HERALDCTL = pathlib.Path(os.environ.get("HERALDCTL", ROOT / "build/dev/src/ctl/heraldctl"))

# The design's first event and what its templates may say, for tests that don't care.
TEMPLATES = {
    "order-confirmed/subject.txt": "Order {{orderId}} is confirmed\n",
    "order-confirmed/body.txt": "Dear {{recipient.name}},\n\nthank you for order {{orderId}}.\n",
    "order-confirmed/body.html": "<p>Dear {{recipient.name}},</p><p>thank you for order <b>{{orderId}}</b>.</p>\n",
    "order-confirmed/push.json": '{"token": "{{device.token}}", "title": "Order {{orderId}}"}\n',
}


class Log:
    """heraldd's JSON lines, read as they come. Safe to use from one thread."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.touch()
        self.events = []
        self.other_lines = []  # what is not a JSON line: a sanitizer's report
        self._file = open(self.path, "rb")
        self._rest = b""

    def close(self):
        self._file.close()

    def read(self):
        """Takes in what was written since the last time."""
        lines = (self._rest + self._file.read()).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            try:
                self.events.append(json.loads(line))
            except ValueError:
                self.other_lines.append(line.decode(errors="replace"))
        return self.events

    def select(self, event, **fields):
        """The lines of that event whose fields have these values."""
        return [line for line in self.read() if line.get("event") == event
                and all(line.get(name) == value for name, value in fields.items())]

    def count(self, event, **fields):
        return len(self.select(event, **fields))

    def count_past(self, n, event, **fields):
        """How many there are once n are: a line is written a moment after what it says, and more than n would be too many."""
        self.wait_event(event, n=n, **fields)
        return self.count(event, **fields)

    def mark(self):
        """For `after=`: what is logged from here on."""
        return len(self.read())

    def wait_event(self, event, n=1, timeout=10, after=0, **fields):
        """Waits until `event` was logged n times with these fields; the n lines."""
        def found():
            lines = [line for line in self.read()[after:] if line.get("event") == event
                     and all(line.get(name) == value for name, value in fields.items())]
            return lines if len(lines) >= n else None

        def what():
            there = len(self.select(event, **fields))
            last = "\n".join(f"  {line}" for line in self.events[-15:])
            return f"{n} × {event} {fields or ''} (there are {there})\n{last}\n" + "\n".join(self.other_lines[-30:])

        return wait_for(found, timeout, what)

    def raw_count(self, event):
        """How many lines of an event, without parsing them: for loads of many thousands."""
        needle = f'"event":"{event}"'.encode()
        with open(self.path, "rb") as file:
            return sum(line.replace(b'": "', b'":"').count(needle) for line in file)


class Heraldd:
    """The daemon, with systemd's part played by `notify`."""

    def __init__(self, world, name, config, environment=None, arguments=()):
        self.world = world
        self.name = name
        self.folder = world.folder / name
        self.folder.mkdir(exist_ok=True)
        self.config = self.folder / "herald.conf"
        self.config.write_text(config)
        self.environment = environment or {}
        self.arguments = list(arguments)
        self.notify = Notify(self.folder / "notify")
        self.log_path = self.folder / "log"
        self.log = Log(self.log_path)
        self.process = None

    def start(self, wait_ready=True, timeout=20, keep_store=False):
        """Starts it (again). keep_store: hand in what the last one stored, as systemd does on a restart."""
        ready = self.notify.count("READY=1")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("REDIS_")},
            "NOTIFY_SOCKET": self.notify.path,
            "STATE_DIRECTORY": str(self.state_folder()),
            # A report ends the process at once, and its text (in our log) fails the test.
            "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0",
            "TSAN_OPTIONS": "halt_on_error=0:exitcode=66",
            **self.environment,
        }
        argv = [HERALDD, "--config", self.config, *self.arguments]
        names, pass_fds = self.notify.hand_out() if keep_store else ([], [])
        if names:
            environment["LISTEN_FDS"] = str(len(names))
            environment["LISTEN_FDNAMES"] = ":".join(names)
            # LISTEN_PID is the daemon's own: a shell that becomes it knows it.
            moves = " ".join(f"{3 + index}<&{descriptor}-" for index, descriptor in enumerate(pass_fds))
            argv = ["bash", "-c", f'LISTEN_PID=$$ exec "$@" {moves}', "heraldd", *argv]
        self.started_at = time.monotonic()
        self.process = Process(self.name, argv, self.log_path, env=environment, cwd=self.folder, pass_fds=pass_fds)
        for descriptor in pass_fds:
            os.close(descriptor)
        if wait_ready:
            self.wait_ready(ready + 1, timeout)
        return self

    @contextlib.contextmanager
    def started_unread(self):
        """Starts it with its output in a full pipe that nobody reads, as a stopped journald is. End it in there."""
        pipe, log_path = self.folder / "pipe", self.log_path
        if not pipe.exists():
            os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4096)
        self.log_path = pipe
        try:
            self.start()
        finally:
            self.log_path = self.process.output = log_path
        yield
        os.close(reader)
        os.close(writer)

    def state_folder(self):
        folder = self.folder / "state"
        folder.mkdir(exist_ok=True)
        return folder

    def wait_ready(self, times=1, timeout=20):
        def is_ready():
            if not self.process.is_running():
                raise AssertionError(f"{self.name} ended with {self.process.child.returncode}\n{self.process.tail()}")
            return self.notify.count("READY=1") >= times
        wait_for(is_ready, timeout, lambda: f"READY=1 from {self.name}\n{self.process.tail()}")

    def reload(self, config=None):
        """SIGHUP, after writing a new configuration if one is given. Wait for its event yourself."""
        if config is not None:
            self.config.write_text(config)
        self.process.signal(signal.SIGHUP)

    def stop(self, timeout=60):
        return self.process.stop(timeout)

    def kill(self):
        self.process.kill()

    def check_clean(self):
        """Nothing from a sanitizer, no line that herald-log(7) does not know: what every test may expect of the output."""
        self.log.read()
        reports = [line for line in self.log.other_lines if "Sanitizer" in line or "runtime error" in line]
        if reports:
            print("\n".join(self.log.other_lines[-80:]), file=sys.stderr)
            raise AssertionError(f"{self.name}: {reports[0]}")
        complaint = next(filter(None, map(LOG_PAGE.complaint, self.log.events)), None)
        if complaint:
            raise AssertionError(f"{self.name} logged what herald-log(7) does not have: {complaint}")

    def close(self):
        if self.process:
            self.process.kill()
        self.notify.close()
        self.log.close()


class World:
    """One temporary directory, and all that runs in it."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="herald-test-"))
        self.running = []   # in order of their start
        self.numbers = {}
        self.templates = self.write_templates(TEMPLATES)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _folder(self, kind):
        self.numbers[kind] = self.numbers.get(kind, 0) + 1
        return self.folder / f"{kind}-{self.numbers[kind]}"

    def _add(self, server):
        self.running.append(server)
        return server

    def write_templates(self, files, folder="templates"):
        top = self.folder / folder
        for name, text in files.items():
            path = top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return top

    def redis(self, **options):
        return self._add(RedisServer(self._folder("redis"), {k.replace("_", "-"): v for k, v in options.items()}))

    def smtp_sink(self, **options):
        return self._add(SmtpSink(self._folder("smtp"), **options))

    def smtp_script(self, script=None, **options):
        return self._add(SmtpScript(self._folder("smtp-script"), script, **options))

    def nghttpd(self, **options):
        return self._add(Nghttpd(self._folder("nghttpd"), **options))

    def http2_receiver(self):
        return self._add(Http2Receiver(self._folder("http2")))

    def process(self, name, argv, **popen):
        """Any other program; it is ended with the world."""
        return self._add(Process(name, argv, self._folder(name), **popen))

    def config(self, text, **values):
        """Fills in $name; $templates, $folder and $certificates are known. A [herald] section with what every test wants
        is put in front of a text that has none. Tests count lines, so all of them are written (log_rate) unless it says
        otherwise."""
        values = {"templates": self.templates, "folder": self.folder, **values}
        text = string.Template(text).substitute({name: str(value) for name, value in values.items()})
        if not re.search(r"^\[herald\]", text, re.M):
            text = f"[herald]\ntemplates = {self.templates}\nlog_format = json\nallow_unfit_redis = yes\n\n{text}"
        if not re.search(r"^log_rate\b", text, re.M):
            text = re.sub(r"^\[herald\]\n", "[herald]\nlog_rate = 0\n", text, count=1, flags=re.M)
        return text

    def heraldd(self, text, name=None, start=True, environment=None, arguments=(), **values):
        """A heraldd on that configuration, ready (unless start=False)."""
        self.numbers["heraldd"] = self.numbers.get("heraldd", 0) + 1
        name = name or f"heraldd-{self.numbers['heraldd']}"
        daemon = self._add(Heraldd(self, name, self.config(text, **values), environment, arguments))
        return daemon.start() if start else daemon

    def ctl(self, *arguments, config=None, check=True, **run):
        """Runs heraldctl; its standard output. check=False: the finished process."""
        options = ["-c", str(self.operators(config))] if config else []
        done = subprocess.run([HERALDCTL, *options, *map(str, arguments)], capture_output=True, text=True, timeout=60,
                              **{"stdin": subprocess.DEVNULL, **run})
        if not check:
            return done
        if done.returncode != 0:
            raise AssertionError(f"heraldctl {' '.join(map(str, arguments))}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def operators(self, config):
        """The same configuration with the operator's Redis user in place of the daemon's, where there are users."""
        path = pathlib.Path(config)
        for redis in self.running:
            if isinstance(redis, RedisServer) and redis.users and path.exists():
                text = path.read_text().replace(f"//{redis.login()}", f"//{redis.login('herald-operator')}")
                path = path.with_name("operator.conf")
                path.write_text(text)
                break  # all have the same users
        return path

    def daemons(self):
        return [thing for thing in self.running if isinstance(thing, Heraldd)]

    def output(self):
        """The last words of everything, for a test that failed."""
        return "\n".join(text for text in (
            (thing if isinstance(thing, Process) else thing.process).tail() for thing in self.running
            if isinstance(thing, Process) or thing.process) if text)

    def close(self):
        for thing in reversed(self.running):
            if isinstance(thing, Heraldd):
                thing.close()
            else:
                thing.kill()
        if os.environ.get("HERALD_KEEP"):
            print(f"kept: {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


class State:
    """What heraldd keeps in Redis, read from outside."""

    def __init__(self, client, prefix="herald", shard=0):
        self.client = client
        self.prefix = f"{prefix}:{{{shard}}}:"

    def key(self, name):
        return self.prefix + name

    def record(self, eid):
        """The fields of one event's record."""
        flat = self.client.call("HGETALL", self.key(f"e:{eid}"))
        return {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}

    def events(self):
        """The eids of all records."""
        return [key.rsplit(":", 1)[1] for key in self.client.keys(self.key("e:*").replace("{", "\\{"))]

    def counts(self):
        """How many deliveries stand where; due and again over all lanes, and payloads that are still kept."""
        client = self.client

        def members(pattern):
            return sum(client.call("ZCARD", key) for key in client.keys(self.key(pattern).replace("{", "\\{")))

        return {
            "due": members("due:*"),
            "again": members("again:*"),
            "lease": client.call("ZCARD", self.key("lease")),
            "dead": client.call("ZCARD", self.key("dead")),
            "unknown": client.call("ZCARD", self.key("unknown")),
            "payloads": len(client.keys(self.key("p:*").replace("{", "\\{"))),
            "records": len(client.keys(self.key("e:*").replace("{", "\\{"))),
        }

    def is_idle(self):
        """Nothing is due, deferred or leased."""
        counts = self.counts()
        return counts["due"] == counts["again"] == counts["lease"] == 0

    def rejected(self):
        """The entries of the stream of refused events, oldest first."""
        return [dict(zip(fields[::2], fields[1::2]))
                for _, fields in self.client.call("XRANGE", self.key("rejected"), "-", "+")]


def store_user(client, user_id, email=None, name=None, locale=None, push=None):
    """A recipient's record, as an application keeps it. `push` is a list of {provider, …}."""
    fields = {"email": email, "name": name, "locale": locale, "push": json.dumps(push) if push is not None else None}
    flat = [item for name, value in fields.items() if value is not None for item in (name, value)]
    client.call("HSET", f"herald:user:{user_id}", *flat)


def order(number, user_id="u-7", **more):
    """The body shops publish today."""
    return json.dumps({"orderId": f"o-{number}", "userId": user_id, "confirmedAt": "2026-01-01T10:00:00Z", **more},
                      separators=(",", ":"), ensure_ascii=False)


def rfc3339(seconds):
    """Seconds since the epoch as an event writes a time."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def without_example_users(reason):
    """For a test that does what the users of etc/redis-acl.example may not."""
    return unittest.skipIf(os.environ.get("HERALD_RIGHTS") == "1", reason)


class TestCase(unittest.TestCase):
    """A world per test, ended whatever happens; when a test fails, the last words of all that ran are printed."""

    maxDiff = None

    def setUp(self):
        self.world = World()
        self.addCleanup(self._end)

    def _end(self):
        failed = not self._outcome.success
        try:
            for daemon in self.world.daemons():
                daemon.check_clean()
            for server in self.world.running:
                if isinstance(server, RedisServer):
                    self.assertEqual(server.denied(), set())
        finally:
            if failed:
                print(self.world.output(), file=sys.stderr)
            self.world.close()

    def wait(self, condition, timeout=10, what="condition"):
        return wait_for(condition, timeout, what)


def main():
    unittest.main(verbosity=2)
