"""A scriptable HTTP receiver on 127.0.0.1: reads each request whole, then answers or misbehaves as told.

usage: http_script.py [OPTION ...]
  --script JSON      a list of answers, one after the other over all connections; then 200. Default []
  --always JSON      the answer after the list, instead of 200
  --requests FILE    one JSON line per request that was read whole: {at, connection, version, method, path, headers, body}
  --port N           default 0: any free one. The port is the first line on standard output
  --cert FILE --key FILE   TLS; else cleartext HTTP/1.1
  --http2            offers h2 by ALPN, and http/1.1 to who wants that

An answer is a status (503) or {"status": 503, "headers": {"Retry-After": "7"}, "body": "text", "body_bytes": 100000, "delay": seconds,
"drop": true, "cut": true, "refuse": true, "reset": 2, "goaway": true}:
  drop     closes the connection instead of answering       cut     sends the head and part of the body, then closes
  refuse   HTTP/2: RST_STREAM with REFUSED_STREAM           reset   HTTP/2: RST_STREAM with that code
  goaway   HTTP/2: GOAWAY that excludes this stream"""

import argparse
import json
import socket
import ssl
import struct
import threading
import time

import h2.config
import h2.connection
import h2.errors
import h2.events


class Closed(Exception):
    """The connection is over."""


class Http1:
    def __init__(self, server, sock, number):
        self.server, self.sock, self.number = server, sock, number
        self.file = sock.makefile("rb")

    def run(self):
        while True:
            start = self.file.readline(65536).decode().split()
            if len(start) != 3:
                raise Closed
            headers = {}
            while (line := self.file.readline(65536)) not in (b"\r\n", b""):
                name, _, value = line.decode().partition(":")
                headers[name.strip().lower()] = value.strip()
            length = int(headers.get("content-length", 0))
            body = self.file.read(length)
            if len(body) < length:
                raise Closed
            self.server.keep(self.number, "1.1", start[0], start[1], headers, body)
            self.answer(self.server.next())

    def answer(self, answer):
        time.sleep(answer.get("delay", 0))
        if answer.get("drop"):
            raise Closed
        body = answer.get("body", "").encode() or b"x" * answer.get("body_bytes", 0)
        head = [f"HTTP/1.1 {answer.get('status', 200)} scripted", f"Content-Length: {len(body)}"]
        head += [f"{name}: {value}" for name, value in answer.get("headers", {}).items()]
        self.sock.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + (body[: len(body) // 2] if answer.get("cut") else body))
        if answer.get("cut"):
            raise Closed


class Http2:
    def __init__(self, server, sock, number):
        self.server, self.sock, self.number = server, sock, number
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.requests = {}

    def run(self):
        self.h2.initiate_connection()
        self.flush()
        while True:
            data = self.sock.recv(65536)
            if not data:
                raise Closed
            for event in self.h2.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    self.requests[event.stream_id] = (dict(event.headers), bytearray())
                elif isinstance(event, h2.events.DataReceived):
                    self.requests[event.stream_id][1].extend(event.data)
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    headers, body = self.requests.pop(event.stream_id)
                    self.server.keep(self.number, "2", headers[":method"], headers[":path"], headers, bytes(body))
                    self.answer(event.stream_id, self.server.next())
            self.flush()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.sock.sendall(data)

    def answer(self, stream, answer):
        time.sleep(answer.get("delay", 0))
        if answer.get("drop"):
            raise Closed
        if answer.get("refuse"):
            self.h2.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
        elif "reset" in answer:
            self.h2.reset_stream(stream, answer["reset"])
        elif answer.get("goaway"):
            # By hand: h2 would close its own side, and the client shall have time to read it.
            self.flush()
            self.sock.sendall(struct.pack(">I", 8)[1:] + bytes([7, 0]) + struct.pack(">III", 0, stream - 2 if stream > 1 else 0, 0))
        else:
            body = answer.get("body", "").encode() or b"x" * answer.get("body_bytes", 0)
            headers = [(":status", str(answer.get("status", 200)))]
            headers += [(name.lower(), value) for name, value in answer.get("headers", {}).items()]
            self.h2.send_headers(stream, headers, end_stream=not body)
            if body:
                # A prompt client's window of 64 KiB is more than scripts send.
                for at in range(0, len(body), 16000):
                    self.h2.send_data(stream, body[at : at + 16000], end_stream=at + 16000 >= len(body))


class Server:
    def __init__(self, options):
        self.lock = threading.Lock()
        self.script = json.loads(options.script)
        self.always = json.loads(options.always)
        self.file = open(options.requests, "a", encoding="utf-8") if options.requests else None
        self.is_http2, self.tls = options.http2, None
        if options.cert:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(options.cert, options.key)
            self.tls.set_alpn_protocols(["h2", "http/1.1"] if options.http2 else ["http/1.1"])
        self.listener = socket.create_server(("127.0.0.1", options.port), backlog=128)

    def next(self):
        with self.lock:
            answer = self.script.pop(0) if self.script else self.always
        return {"status": answer} if isinstance(answer, int) else answer

    def keep(self, connection, version, method, path, headers, body):
        if self.file:
            with self.lock:
                self.file.write(json.dumps({"at": time.time(), "connection": connection, "version": version, "method": method,
                                            "path": path, "headers": headers, "body": body.decode(errors="replace")}) + "\n")
                self.file.flush()

    def serve(self, sock, number):
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            is_http2 = self.is_http2 and sock.selected_alpn_protocol() == "h2"
            (Http2 if is_http2 else Http1)(self, sock, number).run()
        except (Closed, OSError, ValueError):
            pass
        finally:
            sock.close()

    def run(self):
        print(self.listener.getsockname()[1], flush=True)
        number = 0
        while True:
            sock, _ = self.listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            number += 1
            threading.Thread(target=self.serve, args=(sock, number), daemon=True).start()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--script", default="[]")
    parser.add_argument("--always", default="200")
    for name in ("--requests", "--cert", "--key"):
        parser.add_argument(name)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--http2", action="store_true")
    Server(parser.parse_args()).run()


if __name__ == "__main__":
    main()
