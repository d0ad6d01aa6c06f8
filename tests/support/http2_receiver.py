"""A TLS HTTP/2 server that answers 200 to every POST and keeps it: one JSON line {at, path, headers, body} each.

usage: http2_receiver.py PORT CERTIFICATE KEY FILE
"""

import asyncio
import json
import ssl
import sys
import time

import h2.config
import h2.connection
import h2.events
import h2.exceptions

WINDOW = 1 << 24  # bodies are small, and the sender shall not wait for us


class Receiver(asyncio.Protocol):
    def __init__(self, file):
        self.file = file
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.requests = {}

    def connection_made(self, transport):
        self.transport = transport
        self.h2.local_settings.initial_window_size = WINDOW
        self.h2.local_settings.max_concurrent_streams = 1000
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(WINDOW)
        transport.write(self.h2.data_to_send())

    def data_received(self, data):
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            self.transport.write(self.h2.data_to_send())
            self.transport.close()
            return
        for event in events:
            if isinstance(event, h2.events.RequestReceived):
                self.requests[event.stream_id] = (dict(event.headers), bytearray())
            elif isinstance(event, h2.events.DataReceived):
                self.requests[event.stream_id][1].extend(event.data)
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.answer(event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self.requests.pop(event.stream_id, None)
        self.transport.write(self.h2.data_to_send())

    def answer(self, stream_id):
        headers, body = self.requests.pop(stream_id)
        line = {"at": time.time(), "path": headers.get(":path"), "headers": headers,
                "body": body.decode(errors="replace")}
        # Kept first, answered second: what the sender believes delivered is in the file.
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()
        self.h2.send_headers(stream_id, [(":status", "200"), ("content-length", "0")], end_stream=True)


async def main():
    port, certificate, key, path = sys.argv[1:5]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2"])
    with open(path, "a", encoding="utf-8") as file:
        server = await asyncio.get_running_loop().create_server(
            lambda: Receiver(file), "127.0.0.1", int(port), ssl=context)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
