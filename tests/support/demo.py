"""The demonstration: an order published on Redis becomes one mail and one push, before your eyes.

Starts a private redis-server, an SMTP receiver (Postfix's smtp-sink) and a TLS HTTP/2 receiver on 127.0.0.1, heraldd on a
configuration written for the occasion, and publishes with redis-cli: the design's first event, the same again, a broken one,
and a burst of 1,000 orders. All of it lives in one temporary directory and ends with this program.

usage: demo.py --build DIR; exit status 0 only if every count is what it should be.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import textwrap
import time

options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("--build", default="build/dev", help="directory of the build to show")
options = options.parse_args()
build = pathlib.Path(options.build).resolve()
os.environ["HERALDD"] = str(build / "src/app/heraldd")
os.environ["HERALDCTL"] = str(build / "src/ctl/heraldctl")

import herald  # noqa: E402  the environment above is read when it is imported
from processes import wait_for  # noqa: E402
from servers import program  # noqa: E402

BURST = 1000
FIRST = '{"orderId":"o-1001","userId":"u-7","confirmedAt":"2026-01-01T10:00:00Z"}'
BROKEN = '{"orderId":"o-1002","userId":'
USERS = {
    "u-7": ("ana@shop.example", "Ana Müller"),
    **{f"u-{i}": (f"customer-{i}@shop.example", f"Customer {i}") for i in range(100, 150)},
}
CONFIG = """
[redis]
url = $redis

[source orders]
type = pubsub
channel = order:confirmed
id = orderId
notification = order-confirmed

[notification order-confirmed]
channels = email push

[provider mail]
channel = email
type = smtp
url = $smtp
from = "Example Shop" <orders@shop.example>
connections = 16

[provider phone]
channel = push
type = http
url = $push/push
ca_file = $certificate
"""


def section(title):
    print(f"\n\033[1m── {title} {'─' * max(0, 100 - len(title))}\033[0m" if sys.stdout.isatty() else f"\n── {title}")


def show(text):
    print(textwrap.indent(text.rstrip(), "   "), flush=True)


def redis_cli(redis, *arguments, **run):
    done = subprocess.run([program("redis-cli"), "-p", str(redis.port), *arguments], capture_output=True, text=True,
                          check=True, **run)
    return done.stdout.strip()


def percentiles(values):
    values = sorted(values)
    return values[len(values) // 2] * 1000, values[min(len(values) * 99 // 100, len(values) - 1)] * 1000


def order_of_mail(mail):
    """The order that a mail's subject speaks of, or None."""
    return next((word for word in str(mail["Subject"]).split() if word.startswith("o-")), None)


def store_recipients(redis):
    for user, (address, name) in USERS.items():
        push = json.dumps([{"provider": "phone", "token": f"token-of-{user}"}])
        arguments = ["HSET", f"herald:user:{user}", "email", address, "name", name, "push", push]
        redis_cli(redis, *arguments)
        if user == "u-7":
            show("redis-cli " + " ".join(arguments[:-1]) + f" '{push}'")
    show(f"… and {len(USERS) - 1} more")


def publish(redis, body):
    show(f"redis-cli PUBLISH order:confirmed '{body}'")
    redis_cli(redis, "PUBLISH", "order:confirmed", body)


def publish_burst(redis):
    """One redis-cli reading commands; returns when each order was written to it, by the order's id."""
    written = {}
    users = [user for user in USERS if user != "u-7"]
    with subprocess.Popen([program("redis-cli"), "-p", str(redis.port)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                          text=True) as client:
        for number in range(2000, 2000 + BURST):
            body = json.dumps({"orderId": f"o-{number}", "userId": users[number % len(users)],
                               "confirmedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}, separators=(",", ":"))
            written[f"o-{number}"] = time.time()
            client.stdin.write(f"PUBLISH order:confirmed '{body}'\n")
            client.stdin.flush()
        client.stdin.close()
        if client.wait() != 0:
            raise AssertionError("redis-cli failed")
    return written


def show_mail(mail):
    for name in ("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type"):
        if mail[name]:
            show(f"{name}: {mail[name]}")
    for part in mail.walk():
        if not part.is_multipart():
            show(f"[{part.get_content_type()}]")
            show(textwrap.indent(part.get_content().strip(), "  "))


def run(world):
    redis, sink, receiver = world.redis(), world.smtp_sink(), world.http2_receiver()
    daemon = world.heraldd(CONFIG, redis=redis.url, smtp=sink.url, push=receiver.url, certificate=receiver.certificate,
                           name="heraldd")
    log = daemon.log
    section("running, all of it private to this demonstration")
    show(f"redis-server on port {redis.port}, smtp-sink on {sink.port}, TLS HTTP/2 receiver on {receiver.port}, "
         f"heraldd (pid {daemon.process.pid})\nin {world.folder}")

    section("a recipient is stored")
    store_recipients(redis)

    section("an order is published: once, once more, and one that is broken")
    publish(redis, FIRST)
    log.wait_event("delivery.sent", n=2, order_id="o-1001", timeout=20)
    publish(redis, FIRST)
    log.wait_event("event.duplicate", n=1, timeout=20)
    publish(redis, BROKEN)
    log.wait_event("event.rejected", n=1, timeout=20)

    section("the mail that arrived (as Python's email parser reads it)")
    wait_for(lambda: sink.mails(), 10, "the mail")
    show_mail(sink.mails()[0])

    section("the push that arrived")
    push = json.loads(receiver.log.read_text(encoding="utf-8").splitlines()[0])
    show(f"POST {push['path']} over HTTP/2 and TLS")
    for name, value in push["headers"].items():
        if not name.startswith(":"):
            show(f"{name}: {value}")
    show(push["body"])

    section(f"a burst of {BURST:,} orders, each a mail and a push")
    written = publish_burst(redis)
    log.wait_event("delivery.sent", n=2 * BURST + 2, timeout=120)
    burst_mails = [mail for mail in sink.mails() if order_of_mail(mail) in written]
    pushes = [json.loads(line) for line in receiver.log.read_text(encoding="utf-8").splitlines()]

    # Nothing more may come: once heraldd has stopped, what is counted is final.
    status = daemon.stop()
    log.read()

    section("what heraldd logged (its first lines, and of the burst three)")
    burst_lines = log.select("delivery.sent")[-3:]
    for line in log.events:
        if line.get("order_id", "o-1001") != "o-1001" and line not in burst_lines:
            continue
        fields = " ".join(f"{name}={value}" for name, value in line.items() if name not in ("ts", "level", "event", "message"))
        show(f"{line.get('level', ''):8}{line.get('event', ''):18}{line.get('message', '')}  {fields}"[:200])

    mails = sink.mails()
    orders = BURST + 1
    with redis.client() as client:
        left = herald.State(client).counts()
    # heraldd's own counters, as it told them to systemd when it began to stop; then what others say.
    said = dict(re.findall(r"([a-z]+) (\d+)", daemon.notify.last("STATUS") or ""))
    counted = {name: int(said.get(name, -1)) for name in ("received", "accepted", "duplicate", "rejected", "sent")}
    rows = [
        ("received", counted["received"], orders + 2),
        ("accepted", counted["accepted"], orders),
        ("duplicate", counted["duplicate"], 1),
        ("rejected", counted["rejected"], 1),
        ("sent", counted["sent"], 2 * orders),
        ("records in Redis", left["records"], orders),
        ("mails at the receiver", len(mails), orders),
        ("of different orders", len({order_of_mail(mail) for mail in mails}), orders),
        ("to their own customers", sum(is_for_its_customer(mail) for mail in mails), orders),
        ("pushes at the receiver", len(pushes), orders),
        ("of different orders", len({push["body"] for push in pushes}), orders),
        ("dead, unknown, waiting", left["dead"] + left["unknown"] + left["due"] + left["again"] + left["lease"], 0),
        ("heraldd's exit status", status, 0),
    ]
    section("summary")
    for name, found, expected in rows:
        show(f"{name:26}{found:>7,}   {'as it should be' if found == expected else f'WRONG: should be {expected:,}'}")
    if burst_mails:
        p50, p99 = percentiles([mail.received_at - written[order_of_mail(mail)] for mail in burst_mails])
        show(f"publish to accepted by the receiver, in the burst: p50 {p50:,.0f} ms, p99 {p99:,.0f} ms (mails)")
    burst_pushes = [(push["at"], order) for push in pushes for order in [order_of_push(push)] if order in written]
    if burst_pushes:
        p50, p99 = percentiles([at - written[order] for at, order in burst_pushes])
        show(f"                                                   p50 {p50:,.0f} ms, p99 {p99:,.0f} ms (pushes)")
    return all(found == expected for _, found, expected in rows)


def is_for_its_customer(mail):
    order = order_of_mail(mail)
    users = [user for user in USERS if user != "u-7"]
    user = "u-7" if order == "o-1001" else users[int(order.removeprefix("o-")) % len(users)] if order else None
    return user is not None and mail.envelope_to == USERS[user][0]


def order_of_push(push):
    return next((word for word in json.loads(push["body"]).get("title", "").split() if word.startswith("o-")), None)


def main():
    sys.stdout.reconfigure(errors="replace")
    with herald.World() as world:
        try:
            good = run(world)
        except AssertionError as error:
            print(f"\n{error}\n{world.output()}", file=sys.stderr)
            good = False
    print(f"\n{'All counts are as they should be.' if good else 'NOT as it should be: see above.'}"
          " Everything that was started is stopped.")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
