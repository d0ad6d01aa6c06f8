"""The log as its readers have it: each line as herald-log(7) says, and the page's jq recipes run."""

import json
import shutil
import re
import subprocess
import urllib.request

import herald
import processes

CONFIG = """
[herald]
templates = $templates
log_format = json
log_level = debug
$herald

[redis]
url = $redis
connect_timeout = 1s

[source orders]
type = pubsub
channel = order:confirmed
id = orderId
notification = order-confirmed

[notification order-confirmed]
channels = email push

[limit recipient]
rate = 4/1h
channels = email

[provider mail]
channel = email
type = null
from = orders@shop.example

[provider shaky]
channel = push
type = null
behaviour = temporary,temporary,ok
backoff_base = 1s

[provider gone]
channel = push
type = null
behaviour = permanent

[provider lost]
channel = push
type = null
behaviour = unknown
on_unknown = hold

[provider down]
channel = push
type = null
behaviour = refused
"""

# What a run without a crash can be made to log.
WANTED = {
    "config.refused", "config.reloaded", "delivery.dead", "delivery.limited", "delivery.retry", "delivery.sent", "delivery.unknown",
    "event.accepted", "event.conflict", "event.duplicate", "event.received", "event.rejected", "lane.closed", "redis.connected",
    "redis.lost", "redis.subscribed", "redis.unreachable", "redis.warning", "service.ready", "service.stopped",
    "service.stopping", "source.gap",
}


class Logs(herald.TestCase):
    def setUp(self):
        super().setUp()
        self.redis = self.world.redis(appendonly="yes")  # what it knows is there again after a restart
        self.client = self.redis.client()
        self.addCleanup(lambda: self.client.close())  # the one it has by then

    def publish(self, number, user, **more):
        self.client.call("PUBLISH", "order:confirmed", herald.order(number, user, **more))

    def write_a_log(self):
        """A day of a shop in seconds; the daemon has stopped."""
        herald.store_user(self.client, "u-7", email="ada@example.org", name="Ada")
        for provider in ("shaky", "gone", "lost", "down"):
            herald.store_user(self.client, f"u-{provider}", push=[{"provider": provider, "token": f"token-of-{provider}"}])
        text = self.world.config(CONFIG, redis=self.redis.url, herald="")
        daemon = self.world.heraldd(text)
        for number in range(5):
            self.publish(number, "u-7")
        self.publish(1, "u-7")
        self.publish(2, "u-7", other="content")
        self.client.call("PUBLISH", "order:confirmed", "not JSON")
        self.publish(10, "u-shaky")
        self.publish(11, "u-gone")
        self.publish(12, "u-lost")
        self.publish(13, "u-nobody")
        for number in range(20, 30):
            self.publish(number, "u-down")
        daemon.log.wait_event("delivery.sent", 4, provider="mail")
        daemon.log.wait_event("delivery.sent", provider="shaky", timeout=20)
        daemon.log.wait_event("delivery.dead", 2)
        daemon.log.wait_event("delivery.unknown")
        daemon.log.wait_event("lane.closed", provider="down")
        daemon.reload(text.replace("backoff_base = 1s", "backoff_base = 2s"))
        daemon.log.wait_event("config.reloaded")
        daemon.reload(text.replace("backoff_base = 1s", "backoff_base = soon"))
        daemon.log.wait_event("config.refused")
        self.client.close()
        self.redis.stop()
        daemon.log.wait_event("redis.unreachable", 2)
        self.redis.start()
        self.client = self.redis.client()
        daemon.log.wait_event("source.gap", timeout=20)
        self.assertEqual(daemon.stop(), 0)
        return daemon

    def test_each_line_is_as_the_page_says(self):
        daemon = self.write_a_log()
        lines = daemon.log.read()
        self.assertEqual(daemon.log.other_lines, [])
        self.assertEqual([complaint for complaint in map(herald.LOG_PAGE.complaint, lines) if complaint], [])
        self.assertEqual(WANTED - {line["event"] for line in lines}, set())
        self.assertNotIn("ada@example.org", daemon.log_path.read_text())
        self.assertNotIn("token-of", daemon.log_path.read_text())

    def test_the_recipes_of_the_page_run(self):
        if not shutil.which("jq"):
            self.skipTest("jq is not installed (./dev deps)")
        daemon = self.write_a_log()
        lines = daemon.log.read()
        shutil.copy(daemon.log_path, self.world.folder / "herald.log")
        said = {}
        for title, recipe in herald.LOG_PAGE.recipes.items():
            recipe = recipe.replace("o-1001", "o-10")  # an order that this log knows
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", recipe], cwd=self.world.folder, capture_output=True, text=True,
                                  timeout=60)
            self.assertEqual((done.returncode, done.stderr), (0, ""), recipe)
            said[title] = done.stdout.splitlines()

        story = said.pop("What became of an order")
        self.assertEqual([line.split(" ", 1)[1].rstrip() for line in story], [
            "event.received", "event.accepted", "delivery.retry push smtp 450", "delivery.retry push smtp 450",
            "delivery.sent push"])
        urgent = said.pop("What an operator should look at")
        self.assertEqual([json.loads(line) for line in urgent],
                         [line for line in lines if line["level"] in ("error", "warning")])
        counts = said.pop("How many lines of each event")
        self.assertEqual({line.split()[1]: int(line.split()[0]) for line in counts},
                         {event: daemon.log.count(event) for event in {line["event"] for line in lines}})
        self.assertEqual(counts, sorted(counts, key=lambda line: -int(line.split()[0])))
        self.assertEqual(sorted(said.pop("How many events there were, with those left out")), sorted(counts), "none were left out")
        paces = {line["provider"]: line for line in map(json.loads, said.pop("How fast each provider takes what is sent"))}
        self.assertEqual({name: pace["sent"] for name, pace in paces.items()}, {name: daemon.log.count("delivery.sent", provider=name) for name in ("mail", "shaky")})
        self.assertTrue(all(0 <= pace["p50"] <= pace["p99"] for pace in paces.values()), paces)
        failures = [json.loads(line) for line in said.pop("Why deliveries fail")]
        self.assertIn({"provider": "gone", "reason": "smtp 550", "lines": 1}, failures)
        self.assertEqual(sum(line["lines"] for line in failures),
                         daemon.log.count("delivery.retry") + daemon.log.count("delivery.dead"))
        minutes = said.pop("Deliveries sent in each minute")
        self.assertEqual(sum(int(line.split()[0]) for line in minutes), daemon.log.count("delivery.sent"))
        waiting = said.pop("What was tried again and has not been settled")
        self.assertEqual({line.split()[1] for line in waiting}, {line["order_id"] for line in daemon.log.select("delivery.retry", provider="down")})
        self.assertEqual(said, {}, "a recipe whose output this test does not know")

    def test_a_flood_is_sampled_and_all_of_it_is_counted(self):
        herald.store_user(self.client, "u-7", email="ada@example.org")
        port, events, refused = processes.free_port(), 1000, 200
        text = self.world.config(CONFIG, redis=self.redis.url, herald=f"log_rate = 20\nmetrics = 127.0.0.1:{port}")
        daemon = self.world.heraldd(text.replace("rate = 4/1h", ""))
        self.client.pipeline([("PUBLISH", "order:confirmed", herald.order(number)) for number in range(events)]
                             + [("PUBLISH", "order:confirmed", "not JSON")] * refused)

        def metrics():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                text = answer.read().decode()
            return {name: float(value) for name, value in re.findall(r"^(herald_\S+) (\S+)$", text, re.M)}

        def counted(event):
            return metrics().get(f'herald_log_events_total{{event="{event}"}}', 0)

        self.wait(lambda: counted("delivery.sent") == events, 60, "all are sent and counted")
        self.assertEqual((counted("event.accepted"), counted("event.rejected"), counted("event.received")),
                         (events, refused, events + refused))
        self.assertEqual(metrics()['herald_events_accepted_total{source="orders",notification="order-confirmed"}'], events)
        # It is said while the daemon runs, not at the end alone.
        daemon.log.wait_event("log.sampled", of="delivery.sent")
        sampled = metrics()["herald_log_lines_sampled_total"]
        self.assertEqual(daemon.stop(), 0)
        lines = daemon.log.read()
        self.assertGreater(sampled, events)
        for event, count in (("event.accepted", events), ("delivery.sent", events), ("event.received", events + refused)):
            said = sum(line["count"] for line in lines if line["event"] == "log.sampled" and line["of"] == event)
            self.assertGreater(said, 0, event)
            self.assertEqual(daemon.log.count(event) + said, count, event)
        self.assertEqual(daemon.log.count("event.rejected"), refused, "warnings are never left out")

    def test_the_rate_is_taken_up_by_a_reload(self):
        herald.store_user(self.client, "u-7", email="ada@example.org")
        text = self.world.config(CONFIG, redis=self.redis.url, herald="log_rate = 20").replace("rate = 4/1h", "")
        daemon = self.world.heraldd(text)
        daemon.reload(text.replace("log_rate = 20", "log_rate = 0"))
        daemon.log.wait_event("config.reloaded")
        self.client.pipeline([("PUBLISH", "order:confirmed", herald.order(number)) for number in range(300)])
        daemon.log.wait_event("delivery.sent", 300, timeout=30)
        self.assertEqual(daemon.log.count("log.sampled"), 0)


if __name__ == "__main__":
    herald.main()
