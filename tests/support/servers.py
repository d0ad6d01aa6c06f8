"""The real servers that tests run against, all on 127.0.0.1 and inside one directory."""

import contextlib
import email
import email.policy
import json
import os
import pathlib
import pwd
import shutil
import subprocess

from processes import Process, free_port, is_listening, wait_for
from resp import Redis


def program(name):
    """Debian keeps servers in sbin, which an ordinary user's PATH leaves out."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin")
    if path is None:
        raise FileNotFoundError(f"{name} is not installed (./dev deps)")
    return path


class Server:
    """A process that listens on a port it was given. Another try with another port if somebody was quicker."""

    name = "server"

    def __init__(self, folder, port=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process = None
        self.port = port
        for attempt in range(5):
            self.port = port or free_port()
            if self.start(may_fail=port is None and attempt < 4):
                return

    def argv(self):
        raise NotImplementedError

    def is_up(self):
        return is_listening(self.port)

    def start(self, may_fail=False):
        """Starts it (again), and waits until it serves."""
        self.process = Process(self.name, self.argv(), self.folder / "output")
        wait_for(lambda: self.is_up() or not self.process.is_running(), 20, lambda: f"{self.name}\n{self.process.tail()}")
        if self.process.is_running():
            return True
        if not may_fail:
            raise AssertionError(f"{self.name} did not start\n{self.process.tail()}")
        return False

    def stop(self):
        return self.process.stop()

    def kill(self):
        self.process.kill()


TESTER = "tester"
RIGHTS = pathlib.Path(__file__).resolve().parents[2] / "etc/redis-acl.example"


def example_users():
    """The users of etc/redis-acl.example: name → (password, rules)."""
    lines = [line.split() for line in RIGHTS.read_text().splitlines() if line.startswith("user ")]
    return {name: (next(rule[1:] for rule in rules if rule.startswith(">")), rules) for _, name, *rules in lines}


class RedisServer(Server):
    """A private redis-server, on TCP and on a unix socket, that saves nothing unless asked to.

    `options` are lines of redis.conf: {"appendonly": "yes", "maxmemory": "20mb"}. With HERALD_RIGHTS=1 in the environment nobody
    gets in without a password, and there are the users of etc/redis-acl.example besides the test's own, who may do all."""

    name = "redis-server"

    def __init__(self, folder, options=None, port=None):
        self.users = example_users() if os.environ.get("HERALD_RIGHTS") == "1" else {}
        self.options = {
            "bind": "127.0.0.1",
            "dir": str(folder),
            "unixsocket": str(pathlib.Path(folder) / "socket"),
            "save": '""',
            "daemonize": "no",
            # Else a flood of a test's size would be cut off while heraldd is held up on purpose.
            "client-output-buffer-limit": "pubsub 512mb 512mb 60",
            **(options or {}),
        }
        super().__init__(folder, port)

    @property
    def socket_path(self):
        return self.options["unixsocket"]

    def login(self, user="herald"):
        """What stands before the host in a URL."""
        return f"{user}:{self.users[user][0]}@" if self.users else ""

    @property
    def url(self):
        return f"redis://{self.login()}127.0.0.1:{self.port}/0"

    @property
    def unix_url(self):
        return f"unix://{self.login()}{self.socket_path}"

    def argv(self):
        lines = [f"{name} {value}" for name, value in {**self.options, "port": self.port}.items()]
        if self.users:
            lines += ["user default off", f"user {TESTER} on >{TESTER} ~* &* +@all", RIGHTS.read_text()]
        conf = self.folder / "redis.conf"
        conf.write_text("\n".join(lines) + "\n")
        return [program("redis-server"), conf]

    def is_up(self):
        try:
            with self.client() as client:
                return client.info("persistence")["loading"] == "0"
        except (OSError, ConnectionError):
            return False

    def denied(self):
        """What a user of the example was not allowed to do: (user, "command", "key" or "channel", which). Not whether a subscriber can fall
        behind: that is asked for a warning, and by a command which shows secrets, so the example doesn't allow it. And not what
        heraldctl doctor tries, to find out whose user it has."""
        if not self.users or not self.process.is_running():
            return set()
        with self.client() as client:
            lines = [dict(zip(line[::2], line[1::2])) for line in client.call("ACL", "LOG", 100)]
        return {(line[b"username"].decode(), line[b"reason"].decode(), line[b"object"].decode()) for line in lines
                if line[b"username"].decode() in self.users and line[b"object"] not in (b"config|get", b"herald:canary:doctor")}

    def client(self, user=None, **options):
        """As the test itself, or as one of the users of the example."""
        if self.users:
            options |= {"user": user or TESTER, "password": self.users[user][0] if user else TESTER}
        return Redis(("127.0.0.1", self.port), **{"password": self.options.get("requirepass"), **options})


class SmtpSink(Server):
    """Postfix's smtp-sink. With keep=True every mail becomes a file; what it is asked to refuse, `arguments` say."""

    name = "smtp-sink"

    def __init__(self, folder, keep=True, arguments=(), port=None):
        self.mail_folder = pathlib.Path(folder) / "mail"
        self.mail_folder.mkdir(parents=True, exist_ok=True)
        self.keep = keep
        self.arguments = list(arguments)
        super().__init__(folder, port)

    @property
    def url(self):
        return f"smtp://127.0.0.1:{self.port}"

    def argv(self):
        # As root it insists on a user to become, who has to be able to write here: the one we are.
        user = pwd.getpwuid(os.getuid()).pw_name
        keep = ["-d", f"{self.mail_folder}/m."] if self.keep else []
        return [program("smtp-sink"), "-u", user, "-h", "sink.test", "-m", "1024", *keep, *self.arguments,
                f"127.0.0.1:{self.port}", "1024"]

    def count(self):
        """How many mails are there; the file is there from the moment that DATA begins."""
        return len(os.listdir(self.mail_folder))

    def mails(self):
        """All that have come whole, read by Python's email parser, oldest first. `envelope_to` and `received_at` (of the
        file's last byte, to about 4 ms) are added."""
        paths = list(self.mail_folder.iterdir())
        unfinished = self._open_files()  # after the list: what is closed now was whole when it was listed
        found = []
        for path in paths:
            if str(path) in unfinished:
                continue
            mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            mail.envelope_to = str(mail["X-Rcpt-Args"] or "").split(">")[0].lstrip("<")
            mail.received_at = path.stat().st_mtime_ns / 1e9
            found.append(mail)
        return sorted(found, key=lambda mail: mail.received_at)

    def _open_files(self):
        links = set()
        with contextlib.suppress(FileNotFoundError):  # it has ended, and has none
            for number in os.listdir(f"/proc/{self.process.pid}/fd"):
                with contextlib.suppress(FileNotFoundError):
                    links.add(os.readlink(f"/proc/{self.process.pid}/fd/{number}"))
        return links


def make_certificate(folder):
    """A certificate for 127.0.0.1 and localhost that is its own authority: (certificate, key)."""
    certificate, key = pathlib.Path(folder) / "server.pem", pathlib.Path(folder) / "server.key"
    if not certificate.exists():
        subprocess.run(
            [program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=127.0.0.1",
             "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"],
            check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return certificate, key


class Nghttpd(Server):
    """nghttp2's server: TLS and HTTP/2, answers 200 to a POST on any of `paths` and 404 to others. Bodies are dropped."""

    name = "nghttpd"

    def __init__(self, folder, paths=("push",), workers=1, port=None):
        self.workers = workers
        documents = pathlib.Path(folder) / "documents"
        documents.mkdir(parents=True, exist_ok=True)
        for path in paths:
            (documents / path).parent.mkdir(parents=True, exist_ok=True)
            (documents / path).write_text("ok\n")
        self.certificate, self.key = make_certificate(folder)
        super().__init__(folder, port)

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def argv(self):
        return [program("nghttpd"), "-a", "127.0.0.1", "-n", str(self.workers), "-d", self.folder / "documents",
                self.port, self.key, self.certificate]


class Http2Receiver(Server):
    """http2_receiver.py: TLS and HTTP/2, keeps every body with the time it was answered."""

    name = "http2-receiver"

    def __init__(self, folder, port=None):
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        self.certificate, self.key = make_certificate(folder)
        self.log = pathlib.Path(folder) / "received"
        super().__init__(folder, port)

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def argv(self):
        script = pathlib.Path(__file__).with_name("http2_receiver.py")
        return ["/usr/bin/python3", "-B", script, self.port, self.certificate, self.key, self.log]

    def received(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def count(self):
        try:
            with open(self.log, "rb") as file:
                return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
        except FileNotFoundError:
            return 0


class SmtpScript:
    """smtp_script.py: a receiver that answers as its script says. `mails` and `commands` are what it kept."""

    def __init__(self, folder, script=None, port=0, arguments=()):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.script = script or {}
        self.arguments = list(arguments)
        self.port = port
        self.start()

    @property
    def url(self):
        return f"smtp://127.0.0.1:{self.port}"

    def start(self):
        """Starts it (again) on the same port, its script from the beginning."""
        output = self.folder / "output"
        output.unlink(missing_ok=True)
        self.process = Process("smtp-script", [
            "/usr/bin/python3", "-B", "-u", pathlib.Path(__file__).with_name("smtp_script.py"), "--script", json.dumps(self.script),
            "--mails", self.folder / "mails", "--commands", self.folder / "commands", "--port", self.port, *self.arguments], output)
        wait_for(lambda: output.exists() and output.read_text().strip(), 20, "smtp_script.py's port")
        self.port = int(output.read_text().split()[0])

    def stop(self):
        return self.process.stop()

    def kill(self):
        self.process.kill()

    def _lines(self, name):
        path = self.folder / name
        # A line is written in more than one piece when it is long: what has no end yet is not there yet.
        return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []

    def mails(self):
        return self._lines("mails")

    def commands(self, verb=""):
        return [line for line in self._lines("commands") if line["command"].upper().startswith(verb)]
