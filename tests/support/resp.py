"""A small blocking Redis client: what the tests publish and look with. It shares nothing with the code under test."""

import socket


class RedisError(Exception):
    """An error reply."""


class Redis:
    """One connection. `address` is (host, port) or the path of a unix socket."""

    def __init__(self, address, password=None, user=None, timeout=30):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        if family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb", buffering=65536)
        if password is not None:
            self.call("AUTH", *([user] if user else []), password)

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, *args):
        self.socket.sendall(encode(args))

    def read(self):
        """The next reply; an error reply is returned, not raised."""
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return RedisError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if rest == b"-1":
                return None
            return self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        raise ConnectionError(f"not RESP: {line!r}")

    def call(self, *args):
        self.send(*args)
        reply = self.read()
        if isinstance(reply, RedisError):
            raise reply
        return reply

    def pipeline(self, commands, window=500):
        """The replies to many commands, `window` of them on the way at a time."""
        replies, waiting, chunk = [], 0, []
        for command in commands:
            chunk.append(encode(command))
            if len(chunk) == window:
                self.socket.sendall(b"".join(chunk))
                replies += [self.read() for _ in range(waiting)]
                waiting, chunk = len(chunk), []
        self.socket.sendall(b"".join(chunk))
        return replies + [self.read() for _ in range(waiting + len(chunk))]

    def publish(self, channel, body):
        """How many subscribers got it."""
        return self.call("PUBLISH", channel, body)

    def publish_all(self, channel, bodies):
        """Publishes many; how many were handed to a subscriber."""
        return sum(reply for reply in self.pipeline(("PUBLISH", channel, body) for body in bodies))

    def info(self, section="everything"):
        lines = self.call("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def keys(self, pattern):
        cursor, found = b"0", set()
        while True:
            cursor, some = self.call("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
            found.update(key.decode() for key in some)
            if cursor == b"0":
                return sorted(found)


def encode(args):
    parts = [arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]
    return b"".join([b"*%d\r\n" % len(parts)] + [b"$%d\r\n%s\r\n" % (len(part), part) for part in parts])
