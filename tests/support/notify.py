"""What systemd is to a service, as far as heraldd asks: NOTIFY_SOCKET, and a store for descriptors."""

import array
import os
import socket
import threading
import time


class Notify:
    """Listens on a datagram socket and keeps what was said. `stored` maps FDNAME to a descriptor of ours."""

    def __init__(self, path):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.lock = threading.Lock()
        self.said = []
        self.ready_at = None  # time.monotonic() of the last READY=1
        self.stored = {}
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self):
        while True:
            size = socket.CMSG_SPACE(16 * array.array("i").itemsize)
            try:
                text, ancillary, _, _ = self.socket.recvmsg(65536, size)
            except OSError:
                return
            if text == b"\0":
                return
            descriptors = array.array("i")
            for level, kind, data in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
            lines = text.decode(errors="replace").splitlines()
            values = dict(line.split("=", 1) for line in lines if "=" in line)
            with self.lock:
                self.said += lines
                if "READY=1" in lines:
                    self.ready_at = time.monotonic()
                name = values.get("FDNAME", "stored")
                if values.get("FDSTOREREMOVE") == "1":
                    self._drop(name)
                for descriptor in descriptors:
                    if values.get("FDSTORE") == "1":
                        self._drop(name)
                        self.stored[name] = descriptor
                    else:
                        os.close(descriptor)

    def _drop(self, name):
        descriptor = self.stored.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)

    def count(self, line):
        """How often exactly this line was said ("READY=1")."""
        with self.lock:
            return self.said.count(line)

    def last(self, key):
        """The newest value of KEY= ("STATUS"), or None."""
        with self.lock:
            for line in reversed(self.said):
                if line.startswith(key + "="):
                    return line.split("=", 1)[1]
        return None

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as goodbye:
            goodbye.sendto(b"\0", self.path)
        self.thread.join(5)
        self.socket.close()
        with self.lock:
            for name in list(self.stored):
                self._drop(name)
