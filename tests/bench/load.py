"""What every benchmark is made of: the shop's configuration and users, a publisher, and a reader of the log."""

import json
import os
import re
import threading

import herald
from processes import wait_for
from resp import encode

USERS = 100
CHANNEL = "order:confirmed"
CONFIG = """
[herald]
templates = $templates
log_format = json
allow_unfit_redis = yes
$head

[redis]
url = $redis

[source orders]
type = pubsub
channel = order:confirmed
id = orderId
notification = order-confirmed

[notification order-confirmed]
channels = $channels

[provider mail]
channel = email
$mail
from = "Example Shop" <orders@shop.example>

$push
"""
MAIL = "type = smtp\nurl = {url}\nconnections = 16"
NULL = "type = null\nbehaviour = {behaviour}\nconnections = {connections}"
PUSH = "[provider phone]\nchannel = push\ntype = http\nurl = {url}/push\nca_file = {ca}\nconnections = 1\nstreams = 100"
# About 2 KiB as a mail: a short confirmation in text and HTML.
LINE = "Thank you for your order {{orderId}}. We will tell you when it leaves our warehouse.\n"
TEMPLATES = {
    "order-confirmed/subject.txt": "Order {{orderId}} is confirmed\n",
    "order-confirmed/body.txt": LINE * 6,
    "order-confirmed/body.html": f"<p>{LINE}</p>" * 6,
    "order-confirmed/push.json": '{"token": "{{device.token}}", "title": "Order {{orderId}}", "body": "It is confirmed."}\n',
}


class Tail:
    """Counts lines of one event in a log that grows; parsing them would cost more than sending did."""

    def __init__(self, daemon, event):
        self.file = open(daemon.log_path, "rb")
        self.file.seek(0, os.SEEK_END)
        self.pattern = re.compile(rb'"event": ?"%s"' % re.escape(event.encode()))
        self.rest = b""
        self.count = 0

    def reaches(self, n):
        *lines, self.rest = (self.rest + self.file.read()).split(b"\n")
        self.count += sum(1 for line in lines if self.pattern.search(line))
        return self.count >= n

    def wait(self, n, timeout):
        wait_for(lambda: self.reaches(n), timeout, lambda: f"{n} lines (there are {self.count})")

    def close(self):
        self.file.close()


class Publisher:
    """Publishes many events at Redis's speed: the commands are made beforehand, the replies are not looked at."""

    def __init__(self, redis):
        self.client = redis.client(timeout=300)
        self.number = 0

    def prepare(self, n, **more):
        first, self.number = self.number, self.number + n
        return b"".join(encode(("PUBLISH", CHANNEL, herald.order(i, f"u-{i % USERS}", **more)))
                        for i in range(first, first + n))

    def publish(self, commands):
        """In the background, so that the caller can watch; join() the thread."""
        thread = threading.Thread(target=self.send_all, args=(commands,))
        thread.start()
        return thread

    def send_all(self, commands):
        self.client.socket.sendall(commands + encode(("ECHO", "published")))
        wanted, seen = b"$9\r\npublished\r\n", b""
        while not seen.endswith(wanted):
            seen = (seen + self.client.socket.recv(1 << 16))[-64:]

    def close(self):
        self.client.close()


def store_users(redis):
    with redis.client() as client:
        client.pipeline(
            ("HSET", f"herald:user:u-{i}", "email", f"user-{i}@shop.example", "name", f"User {i}",
             "push", json.dumps([{"provider": "phone", "token": f"token-{i:032x}"}])) for i in range(USERS))


def start(world, redis, channels, mail=None, push="", head="", begin=True, **more):
    world.templates = world.write_templates(TEMPLATES)
    # The mail provider is always there, for without one heraldd would put a maildir in its place.
    return world.heraldd(CONFIG, redis=redis.url, channels=channels, push=push, head=head, start=begin,
                         mail=mail or NULL.format(behaviour="ok", connections=1), **more)
