"""Numbered orders, published evenly by a thread while a test does something to heraldd."""

import threading
import time

import herald


class Publisher(threading.Thread):
    """Publishes numbered orders evenly until told to stop. `connect` makes a Redis client, in this thread. `deaf` counts
    those that Redis handed to nobody."""

    def __init__(self, connect, pace):
        super().__init__(daemon=True)
        self.connect, self.pace, self.count, self.deaf = connect, pace, 0, 0
        self.is_over = threading.Event()
        self.start()

    def run(self):
        began = time.monotonic()
        with self.connect() as client:
            while not self.is_over.wait(0.01):
                due = int((time.monotonic() - began) * self.pace)
                bodies = [herald.order(number) for number in range(self.count, due)]
                heard = client.pipeline([("PUBLISH", "order:confirmed", body) for body in bodies])
                self.deaf += sum(1 for reply in heard if reply == 0)
                self.count = due

    def end(self):
        """How many were published."""
        self.is_over.set()
        self.join(30)
        return self.count
