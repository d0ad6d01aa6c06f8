"""A scriptable SMTP receiver on 127.0.0.1: answers as told, misbehaves as told, and keeps what it accepts.

usage: smtp_script.py [OPTION ...]
  --script JSON      what to answer (below); default {}: accept everything
  --mails FILE       one JSON line per accepted mail: {at, connection, hello, user, tls, from, to, message}
  --commands FILE    one JSON line per command: {at, connection, command}; AUTH's secrets are left out
  --port N           default 0: any free one. The port is the first line on standard output
  --cert FILE --key FILE   for STARTTLS, which is then offered, or for TLS from the first byte with --implicit-tls
  --auth USER:PASSWORD     offers AUTH PLAIN and LOGIN, and wants it before MAIL

The script names replies by stage: greeting, ehlo, starttls, auth, mail, rcpt, data, final, quit.

  {"sequence": {"rcpt": ["451 4.7.1 later", "250 ok"]},                 one after the other, over all connections; then the usual one
   "always": {"final": "554 5.7.1 no"},                                  whenever the sequence has none (left)
   "recipients": {"bob@shop.example": {"rcpt": ["550 5.1.1 unknown"]}}}  this recipient's own sequence, which goes first: rcpt, data, final

A reply is a text ("554-first\\r\\n554 second" for several lines) or {"reply": text, "delay": seconds, "drop": true, "accept": true}:
after the delay it is sent, unless `drop` closes the connection instead (with a reply: behind it). A mail whose final reply
is not 2xx is not kept, except with `accept`: it was taken, and the answer is a lie or lost."""

import argparse
import base64
import json
import socket
import ssl
import threading
import time

USUAL = {
    "greeting": "220 script ESMTP", "starttls": "220 2.0.0 go ahead", "auth": "235 2.7.0 welcome", "mail": "250 2.1.0 ok",
    "rcpt": "250 2.1.5 ok", "data": "354 go ahead", "final": "250 2.0.0 queued", "quit": "221 2.0.0 bye",
}


class Script:
    def __init__(self, script):
        self.sequence = {stage: list(replies) for stage, replies in script.get("sequence", {}).items()}
        self.always = script.get("always", {})
        self.recipients = {to: {stage: list(replies) for stage, replies in stages.items()}
                           for to, stages in script.get("recipients", {}).items()}
        self.lock = threading.Lock()

    def next(self, stage, recipient, usual):
        with self.lock:
            own = self.recipients.get(recipient, {}).get(stage)
            queue = own or self.sequence.get(stage)
            reply = queue.pop(0) if queue else self.always.get(stage, usual)
        return {"reply": reply} if isinstance(reply, str) else reply


class Record:
    """A file of JSON lines, each flushed before the next thing is said."""

    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8") if path else None
        self.lock = threading.Lock()

    def add(self, **fields):
        if self.file:
            with self.lock:
                self.file.write(json.dumps({"at": time.time(), **fields}) + "\n")
                self.file.flush()


class Dropped(Exception):
    """The connection is over."""


class Connection:
    def __init__(self, server, sock, number):
        self.server, self.sock, self.number = server, sock, number
        self.file = sock.makefile("rb")
        self.hello = self.user = self.sender = self.recipient = None
        self.is_tls = False

    def say(self, text):
        self.sock.sendall(text.encode() + b"\r\n")

    def line(self):
        line = self.file.readline(65536)
        if not line.endswith(b"\n"):
            raise Dropped
        return line.rstrip(b"\r\n").decode(errors="replace")

    def answer(self, stage, usual=None):
        """Says what the script has for the stage; the reply's text."""
        reply = self.server.script.next(stage, self.recipient, usual or USUAL.get(stage))
        time.sleep(reply.get("delay", 0))
        self.is_taken = reply.get("accept", False)
        if stage == "final" and (self.is_taken or (reply.get("reply", "").startswith("2") and not reply.get("drop"))):
            self.keep()
        if reply.get("reply"):
            self.say(reply["reply"])
        if reply.get("drop"):
            raise Dropped
        return reply["reply"]

    def keep(self):
        self.server.mails.add(connection=self.number, hello=self.hello, user=self.user, tls=self.is_tls, to=self.recipient,
                              message=self.message, **{"from": self.sender})

    def secure(self):
        self.sock = self.server.tls.wrap_socket(self.sock, server_side=True)
        self.file = self.sock.makefile("rb")
        self.is_tls = True

    def capabilities(self):
        lines = ["script", "SIZE 100000000", "ENHANCEDSTATUSCODES"]
        if self.server.tls and not self.is_tls:
            lines.append("STARTTLS")
        if self.server.auth:
            lines.append("AUTH PLAIN LOGIN")
        return "\r\n".join(f"250{'-' if line is not lines[-1] else ' '}{line}" for line in lines)

    def authenticate(self, argument):
        def ask(prompt):
            self.say("334 " + base64.b64encode(prompt).decode())
            return base64.b64decode(self.line())

        kind, _, initial = argument.partition(" ")
        if kind.upper() == "PLAIN":
            _, user, password = (base64.b64decode(initial) if initial else ask(b"")).split(b"\0")
        else:
            user = base64.b64decode(initial) if initial else ask(b"Username:")
            password = ask(b"Password:")
        if f"{user.decode()}:{password.decode()}" != self.server.auth:
            self.say("535 5.7.8 bad credentials")
        elif self.answer("auth").startswith("235"):
            self.user = user.decode()

    def read_message(self):
        lines = []
        while True:
            line = self.file.readline(65536)
            if not line.endswith(b"\n"):
                raise Dropped
            if line == b".\r\n":
                return b"".join(lines).decode(errors="surrogateescape")
            lines.append(line[1:] if line.startswith(b".") else line)

    def obey(self, command):
        verb, _, argument = command.partition(" ")
        verb = verb.upper()
        self.server.commands.add(connection=self.number, command=verb if verb == "AUTH" else command)
        if verb in ("EHLO", "HELO"):
            self.hello = argument
            self.answer("ehlo", self.capabilities() if verb == "EHLO" else "250 script")
        elif verb == "STARTTLS" and self.server.tls:
            if self.answer("starttls").startswith("220"):
                self.secure()
        elif verb == "AUTH" and self.server.auth:
            self.authenticate(argument)
        elif verb == "MAIL":
            if self.server.auth and not self.user:
                self.say("530 5.7.0 log in first")
            elif self.answer("mail").startswith("2"):
                self.sender = argument.partition("<")[2].partition(">")[0]
        elif verb == "RCPT":
            self.recipient = argument.partition("<")[2].partition(">")[0]
            self.answer("rcpt")
        elif verb == "DATA":
            if self.answer("data").startswith("354"):
                self.message = self.read_message()
                self.answer("final")
                self.recipient = None
        elif verb == "QUIT":
            self.answer("quit")
            raise Dropped
        elif verb in ("RSET", "NOOP"):
            self.say("250 2.0.0 ok")
        else:
            self.say("502 5.5.1 not here")

    def run(self):
        try:
            if self.server.is_tls_first:
                self.secure()
            self.answer("greeting")
            while True:
                self.obey(self.line())
        except (Dropped, OSError, ValueError):
            pass
        finally:
            self.file.close()
            self.sock.close()


class Server:
    def __init__(self, options):
        self.script = Script(json.loads(options.script))
        self.mails, self.commands = Record(options.mails), Record(options.commands)
        self.auth, self.is_tls_first, self.tls = options.auth, options.implicit_tls, None
        if options.cert:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(options.cert, options.key)
        self.listener = socket.create_server(("127.0.0.1", options.port), backlog=128)

    def run(self):
        print(self.listener.getsockname()[1], flush=True)
        number = 0
        while True:
            sock, _ = self.listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            number += 1
            threading.Thread(target=Connection(self, sock, number).run, daemon=True).start()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--script", default="{}")
    for name in ("--mails", "--commands", "--cert", "--key", "--auth"):
        parser.add_argument(name)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--implicit-tls", action="store_true")
    Server(parser.parse_args()).run()


if __name__ == "__main__":
    main()
