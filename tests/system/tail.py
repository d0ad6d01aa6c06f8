"""heraldctl tail: the log as it is written, from a file that is rotated under it or from what journalctl says."""

import contextlib
import json
import os
import pathlib
import select
import signal
import subprocess
import time

import herald

CONFIG = """
[redis]
url = $redis

[source orders]
type = pubsub
channel = order:confirmed
id = orderId
notification = order-confirmed

[notification order-confirmed]
channels = email

[provider mail]
channel = email
type = null
"""

# In place of journalctl, which has nothing to say where no systemd runs: notes how it was called, says what lies in a file, and
# follows as long as it is not ended.
JOURNALCTL = """#!/bin/sh
printf '%s\\n' "$@" >{folder}/called
echo $$ >{folder}/pid
cat {folder}/journal
[ -e {folder}/fails ] && exit 3
exec sleep 1000
"""


def line(event, number, level="info", **fields):
    return json.dumps({"ts": f"2026-01-01T10:00:00.{number:03}Z", "level": level, "event": event, "message": f"line {number}", **fields},
                      separators=(",", ":"))


def as_journal(text):
    """The same as `journalctl -o json` has it."""
    entry = json.loads(text)
    moment = entry.pop("ts")
    seconds = time.mktime(time.strptime(moment[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    own = {"__REALTIME_TIMESTAMP": str(int(seconds) * 1000000 + int(moment[20:23]) * 1000), "_PID": "7", "_SYSTEMD_UNIT": "heraldd.service",
           "PRIORITY": {"error": "3", "warning": "4", "notice": "5", "info": "6", "debug": "7"}[entry.pop("level")],
           "MESSAGE": f"{entry['event']}  {entry['message']}"}
    return json.dumps(own | {f"HERALD_{name.upper()}": value if isinstance(value, str) else json.dumps(value) for name, value in entry.items()})


class Tail(herald.TestCase):
    def setUp(self):
        super().setUp()
        self.file = self.world.folder / "herald.log"
        self.file.touch()

    def write(self, *lines, mode="a", end="\n"):
        with open(self.file, mode, encoding="utf-8") as file:
            file.write("".join(one + end for one in lines))

    def start(self, *arguments, **options):
        """Follows, with nothing to read a configuration from: it needs none."""
        child = subprocess.Popen([herald.HERALDCTL, "-c", "/nonexistent", "tail", *arguments], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        self.addCleanup(self.end, child)
        return child

    def end(self, child):
        if child.poll() is None:
            child.kill()
        child.communicate()

    def next(self, child, count=1):
        """Lines as they come."""
        text = b""
        while text.count(b"\n") < count:
            self.assertTrue(select.select([child.stdout], [], [], 30)[0], f"{count} lines, there is {text}")
            got = os.read(child.stdout.fileno(), 65536)
            self.assertNotEqual(got, b"", f"{count} lines, and the end came behind {text}")
            text += got
        return text.decode().splitlines()

    def place(self, child):
        """Up to where it has read the file; None: it is not open."""
        folder = pathlib.Path(f"/proc/{child.pid}")
        for descriptor in (folder / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed since it was listed
                if descriptor.readlink() == self.file:
                    return int((folder / "fdinfo" / descriptor.name).read_text().split()[1])
        return None

    def finish(self, child):
        output, errors = child.communicate(timeout=30)
        return child.returncode, output.decode(), errors.decode()

    def pour(self, text, *arguments):
        """(standard output, standard error) where the whole log comes by a pipe."""
        done = subprocess.run([herald.HERALDCTL, "-c", "/nonexistent", "tail", "--file", "-", *arguments],
                              input=text if isinstance(text, bytes) else text.encode(), capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode(), done.stderr.decode()

    def journal(self, *lines, fails=False):
        """An environment in which journalctl has these to say."""
        folder = self.world.folder / "bin"
        folder.mkdir()
        (folder / "journal").write_text("".join(one + "\n" for one in lines))
        if fails:
            (folder / "fails").touch()
        (folder / "journalctl").write_text(JOURNALCTL.format(folder=folder))
        (folder / "journalctl").chmod(0o755)
        return {"env": {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}}

    def test_what_a_daemon_writes_is_shown_while_it_runs(self):
        redis = self.world.redis()
        daemon = self.world.heraldd(CONFIG, redis=redis.url)
        child = self.start("--json", "--file", daemon.log_path, "--event", "delivery.sent", "--limit", "2")
        with redis.client() as client:
            herald.store_user(client, "u-7", email="ada@example.org")
            for number in range(3):
                client.publish("order:confirmed", herald.order(number))
        status, output, errors = self.finish(child)
        self.assertEqual((status, errors), (0, ""))
        shown = [json.loads(one) for one in output.splitlines()]
        self.assertEqual(shown, daemon.log.wait_event("delivery.sent", n=3)[:2])

    def test_a_file_is_followed_when_it_is_renamed_cut_or_gone_for_a_while(self):
        child = self.start("--json", "--file", self.file)
        self.write(line("a", 1))
        self.assertEqual(self.next(child), [line("a", 1)])
        self.file.rename(self.file.with_suffix(".1"))
        with open(self.file.with_suffix(".1"), "a") as old:
            old.write(line("a", 2) + "\n")
            old.flush()
            self.assertEqual(self.next(child), [line("a", 2)])
            old.write(line("a", 3) + "\n")
        self.write(line("a", 4), line("a", 4))
        self.assertEqual(self.next(child, 3), [line("a", 3), line("a", 4), line("a", 4)])
        self.write(line("b", 5), mode="w")
        self.assertEqual(self.next(child), [line("b", 5)])
        self.write(line("a", 6)[:20], end="")
        self.write(line("a", 6)[20:])
        self.assertEqual(self.next(child), [line("a", 6)])

    def test_it_begins_with_the_last_ten_lines_or_as_many_as_are_asked_for(self):
        lines = [line("a", number, reply="x" * 1500) for number in range(40)]
        self.write(*lines)
        for arguments, expected in (((), 10), (("--lines", "1"), 1), (("--lines", "25"), 25), (("--lines", "1000"), 40)):
            child = self.start("--json", "--file", self.file, *arguments)
            self.assertEqual(self.next(child, expected), lines[-expected:])
            self.end(child)
        child = self.start("--json", "--file", self.file, "--lines", "0", "--limit", "1")
        self.wait(lambda: self.place(child) == self.file.stat().st_size, 30, "the file's end to be reached")
        self.write(line("b", 1))
        self.assertEqual(self.finish(child), (0, line("b", 1) + "\n", ""))

    def test_filters_choose_by_event_order_provider_and_level(self):
        log = "\n".join([
            line("delivery.sent", 1, order_id="o-1", event_id="aa", provider="mail"),
            line("delivery.dead", 2, "warning", order_id="o-2", event_id="bb", provider="mail"),
            line("delivery.sent", 3, order_id="o-2", event_id="bb", provider="push"),
            line("deliveryman", 4, "debug"),
            line("lane.closed", 5, "error", provider="mail"),
        ])
        for arguments, numbers in (((), [1, 2, 3, 4, 5]), (("--event", "delivery"), [1, 2, 3]), (("--event", "delivery.sent"), [1, 3]),
                                   (("--order", "o-2"), [2, 3]), (("--order", "aa"), [1]), (("--provider", "mail"), [1, 2, 5]),
                                   (("--level", "warning"), [2, 5]), (("--level", "error"), [5]), (("--level", "debug"), [1, 2, 3, 4, 5]),
                                   (("--level", "info"), [1, 2, 3, 5]), (("--provider", "mail", "--order", "o-2"), [2]),
                                   (("--limit", "2"), [1, 2])):
            for text in (log, "\n".join(as_journal(one) for one in log.splitlines())):
                output, _ = self.pour(text, "--json", *arguments)
                self.assertEqual([json.loads(one)["message"] for one in output.splitlines()], [f"line {n}" for n in numbers], arguments)

    def test_people_read_one_line_of_plain_text(self):
        text = line("delivery.retry", 1, "warning", order_id="o-1", reply="451 4.3.0 \u001b[2Jlater \u202e", attempt=2, cut=True)
        shown = ('2026-01-01T10:00:00.001Z warning delivery.retry  line 1  order_id=o-1 reply="451 4.3.0 \\x1b[2Jlater \\xe2\\x80\\xae" '
                 "attempt=2 cut=true\n")
        self.assertEqual(self.pour(text), (shown, ""))

    def test_what_is_no_log_line_is_passed_over_and_counted(self):
        good = line("a", 1)
        others = ["==ERROR: AddressSanitizer", '{"ts":"2026"', "[1]", '{"event":"a"}', '"x"', "x" * 70000, '{"ts":1,"event":"a"}']
        log = "\n\n".join([good, *others, good])
        output, errors = self.pour(log, "--json")
        self.assertEqual(output, f"{good}\n{good}\n")
        self.assertEqual(errors, "7 passed over: 6 no log lines, 1 longer than 65536 bytes\n")
        # A line that is never ended is kept to its bound.
        self.assertEqual(self.pour(b"\xff" * 10_000_000)[1], "1 passed over: 0 no log lines, 1 longer than 65536 bytes\n")

    def test_the_journal_is_said_as_the_daemon_says_it(self):
        lines = [line("delivery.retry", 1, "warning", order_id="o-1", reply="451 later", attempt=2, ms=31, code=451, wait_ms=5, limit="20/1h"),
                 line("delivery.sent", 2, order_id="17", to="a***@example.org", count=-1)]
        systemds = {"__REALTIME_TIMESTAMP": "1767261600003000", "MESSAGE": "heraldd.service: Main process exited", "PRIORITY": "5",
                    "UNIT": "heraldd.service"}
        bytes_of = {**systemds, "HERALD_EVENT": "a", "MESSAGE": [104, 105, 27], "HERALD_REPLY": ["one", "two"], "HERALD_REASON": None}
        environment = self.journal(*map(as_journal, lines), json.dumps(systemds), json.dumps(bytes_of))
        child = self.start("--json", "--lines", "70", **environment)
        self.assertEqual(self.next(child, 4), [
            *lines, '{"ts":"2026-01-01T10:00:00.003Z","level":"notice","event":null,"message":"heraldd.service: Main process exited"}',
            '{"ts":"2026-01-01T10:00:00.003Z","level":"notice","event":"a","message":"hi\\u001b","reply":"one"}'])
        folder = self.world.folder / "bin"
        called = (folder / "called").read_text().split()
        self.assertEqual(called, ["--output=json", "--all", "--follow", "--lines", "70", "--unit", "heraldd"])
        # It ends with us.
        pid = int((folder / "pid").read_text())
        child.send_signal(signal.SIGTERM)
        self.assertEqual(self.finish(child), (0, "", ""))
        self.assertFalse(pathlib.Path(f"/proc/{pid}").exists())

    def test_another_unit_can_be_named_and_a_journalctl_that_fails_is_said(self):
        environment = self.journal(as_journal(line("a", 1)), fails=True)
        status, output, errors = self.finish(self.start("--json", "--unit", "heraldd@shop", **environment))
        self.assertEqual((status, output), (1, line("a", 1) + "\n"))
        self.assertIn("journalctl ended with status 3", errors)
        self.assertIn("heraldd@shop", (self.world.folder / "bin/called").read_text())
        status, _, errors = self.finish(self.start(env={"PATH": "/nonexistent"}))
        self.assertEqual(status, 1)
        self.assertIn("a file can, with --file): journalctl: No such file", errors)

    def test_it_ends_with_ctrl_c_and_when_nobody_reads_it(self):
        self.write(line("a", 1), "no log line")
        child = self.start("--json", "--file", self.file)
        self.next(child)
        child.send_signal(signal.SIGINT)
        self.assertEqual(self.finish(child), (0, "", "1 passed over: 1 no log lines, 0 longer than 65536 bytes\n"))
        child = self.start("--json", "--file", self.file)
        self.next(child)
        child.stdout.close()
        child.wait(30)
        child.stdout = None

    def test_what_can_not_be_followed_is_said(self):
        for arguments, status, said in ((["--file", "/nonexistent"], 66, "/nonexistent: No such file"),
                                        (["--file", "/"], 66, "/: Is a directory"),
                                        (["--file", "x", "--unit", "y"], 64, "either --file or --unit"),
                                        (["--level", "bad"], 64, "expected error, warning"),
                                        (["--lines", "-1"], 64, "expected a number from 0"),
                                        (["--source", "x"], 64, "tail does not take --source")):
            code, output, errors = self.finish(self.start(*arguments))
            self.assertEqual((code, output), (status, ""), arguments)
            self.assertIn(said, errors)


if __name__ == "__main__":
    herald.main()
