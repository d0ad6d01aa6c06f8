"""Looks at every process and at Redis twice a second while a family runs: what must hold at any time, not only at its end."""

import contextlib
import json
import os
import threading

import judge
from resp import RedisError

EVERY_S = 0.5
REDIS_TIMEOUT_S = 1  # it may be frozen; then the daemons are looked at less often, and Redis not at all


class Watch(threading.Thread):
    def __init__(self, rig):
        super().__init__(daemon=True)
        self.rig, self.peaks, self.sums, self.keys = rig, {}, {}, 0
        self.is_over = threading.Event()

    def run(self):
        while not self.is_over.wait(EVERY_S):
            self.look()

    def look(self):
        for daemon in self.rig.daemons:
            with contextlib.suppress(OSError, KeyError, IndexError, ValueError):  # it may die meanwhile
                self.look_at_process(daemon)
        # Some families put something else in the place of our keys.
        with contextlib.suppress(OSError, ConnectionError, RedisError), self.rig.redis.client(timeout=REDIS_TIMEOUT_S) as client:
            self.look_at_redis(client)

    def look_at_process(self, daemon):
        pid = daemon.process.pid
        stat, descriptors = daemon.process.stat(), len(os.listdir(f"/proc/{pid}/fd"))
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            if file.read().strip() != "heraldd":
                return  # not yet: still the test's own copy that becomes it
        peak = self.peaks.setdefault(daemon.name, judge.Peak(daemon.name))
        peak.rss = max(peak.rss, stat["rss_peak"])
        peak.descriptors = max(peak.descriptors, descriptors)
        peak.threads = max(peak.threads, stat["threads"])

    def look_at_redis(self, client):
        self.keys = max(self.keys, client.call("DBSIZE"))
        for daemon in self.rig.daemons:
            text = client.call("HGET", "herald:{0}:status", daemon.name)
            status = json.loads(text) if isinstance(text, bytes) else None
            if status:
                # Each incarnation begins anew: the last look at each is kept, and any that does not add up.
                known = self.sums.get(status["incarnation"])
                if known is None or judge.adds_up(known):
                    self.sums[status["incarnation"]] = status

    def end(self):
        self.is_over.set()
        self.join(30)
