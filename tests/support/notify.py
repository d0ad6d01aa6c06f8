"""What systemd is to a service, as far as heraldd asks: NOTIFY_SOCKET, and a store for descriptors that is as particular as
systemd's: no socket is stored twice, a name is removed with all that bear it, the store has a size, and without FDPOLL=0 a
socket whose other end is closed is thrown away."""

import array
import fcntl
import os
import select
import socket
import threading
import time


class Notify:
    """Listens on a datagram socket and keeps what was said. `store_max` is FileDescriptorStoreMax=, of the unit."""

    def __init__(self, path, store_max=4):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.lock = threading.Lock()
        self.said = []
        self.caught_up = threading.Event()
        self.ready_at = None  # time.monotonic() of the last READY=1
        self.store_max = store_max
        self.stored = []  # (FDNAME, a descriptor of ours, is it polled)
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
            if text == b"\1":
                self.caught_up.set()
                continue
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
                    self._drop(lambda entry: entry[0] == name)
                for descriptor in descriptors:
                    if values.get("FDSTORE") == "1":
                        self._store(name, descriptor, values.get("FDPOLL") != "0")
                    else:
                        os.close(descriptor)

    def _store(self, name, descriptor, is_polled):
        same = [entry for entry in self.stored if os.path.sameopenfile(entry[1], descriptor)]
        if same or len(self.stored) >= self.store_max:
            os.close(descriptor)
        else:
            self.stored.append((name, descriptor, is_polled))

    def _drop(self, is_meant):
        for entry in [entry for entry in self.stored if is_meant(entry)]:
            self.stored.remove(entry)
            os.close(entry[1])

    def catch_up(self):
        """Until all that was said so far is heard, as systemd hears it before it sees a process's death."""
        self.caught_up.clear()
        self._say(b"\1")
        assert self.caught_up.wait(10)

    def _say(self, text):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
            ours.sendto(text, self.path)

    def store(self, name, descriptor):
        """Puts a descriptor there as another program might; ours from here on."""
        with self.lock:
            self.stored.append((name, descriptor, False))

    def names(self):
        """What is in the store."""
        self.catch_up()
        with self.lock:
            return [name for name, _, _ in self.stored]

    def hand_out(self):
        """The store as a new process gets it: names, and copies of the descriptors with high numbers."""
        def is_dead(entry):
            poll = select.poll()
            poll.register(entry[1], 0)
            return entry[2] and poll.poll(0)

        self.catch_up()
        with self.lock:
            self._drop(is_dead)
            return ([name for name, _, _ in self.stored],
                    [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 200) for _, descriptor, _ in self.stored])

    def empty(self):
        """What `systemctl stop` does to the store."""
        self.catch_up()
        with self.lock:
            self._drop(lambda entry: True)

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
        self.empty()
        self._say(b"\0")
        self.thread.join(5)
        self.socket.close()
