"""Everything at once, under load: reloads, flushed scripts, cut connections, a paused Redis. Nothing lost, nothing twice."""

import threading
import time

import herald

CONFIG = """
[redis]
url = $redis

[source orders]
type = pubsub
channel = order:confirmed
id = orderId
notification = order-confirmed

[notification order-confirmed]
channels = email push webhook

[provider mail]
channel = email
type = smtp
url = $smtp
from = orders@shop.example

[provider phone]
channel = push
type = http
url = $push/push
ca_file = $certificate
streams = 20

[provider erp]
channel = webhook
type = http
url = $push/orders
ca_file = $certificate
"""


class Storm(herald.TestCase):
    def setUp(self):
        super().setUp()
        self.redis = self.world.redis()
        self.smtp = self.world.smtp_sink()
        self.push = self.world.http2_receiver()
        self.client = self.redis.client()
        self.addCleanup(self.client.close)
        herald.store_user(self.client, "u-7", email="ada@example.org", push=[{"provider": "phone", "token": "token-7"}])
        self.daemon = self.world.heraldd(CONFIG, redis=self.redis.url, smtp=self.smtp.url, push=self.push.url,
                                         certificate=self.push.certificate)

    def run_storm(self, trouble, orders=3000, seconds=6):
        """Publishes evenly for so long, while trouble() comes again and again."""
        stop = threading.Event()

        def make_trouble():
            with self.redis.client() as client:
                while not stop.wait(0.05):
                    trouble(client)

        thread = threading.Thread(target=make_trouble)
        thread.start()
        begun, number = time.monotonic(), 0
        while number < orders:
            due = min(orders, int((time.monotonic() - begun) / seconds * orders) + 1)
            self.client.publish_all("order:confirmed", [herald.order(n) for n in range(number, due)])
            number = due
        stop.set()
        thread.join()

    def check(self, orders):
        state = herald.State(self.client)
        self.wait(lambda: len(state.events()) == orders and state.is_idle(), 40,
                  lambda: f"{orders} events and nothing under way: {state.counts()}")
        subjects = [mail["Subject"] for mail in self.smtp.mails()]
        self.assertEqual((len(subjects), len(set(subjects))), (orders, orders))
        bodies = [(line["path"], line["body"]) for line in self.push.received()]
        self.assertEqual((len(bodies), len(set(bodies))), (2 * orders, 2 * orders))
        # A webhook without a template of its own carries the event as it came.
        self.assertIn(("/orders", herald.order(0)), bodies)
        self.assertEqual(self.daemon.log.raw_count("delivery.dead"), 0)
        self.assertEqual(self.daemon.stop(), 0)

    def test_scripts_that_are_flushed_all_the_time(self):
        self.run_storm(lambda client: client.call("SCRIPT", "FLUSH"))
        self.check(3000)

    def test_reloads_all_the_time(self):
        self.run_storm(lambda client: self.daemon.reload())
        self.assertGreater(self.daemon.log.count("config.reloaded"), 5)
        self.check(3000)

    def test_a_reload_that_must_be_refused_is_refused_however_busy_it_is(self):
        text = self.daemon.config.read_text()
        self.daemon.reload(text.replace("[herald]\n", "[herald]\nlease = 17s\n", 1))
        orders, asked = 0, time.monotonic() + 4
        while time.monotonic() < asked:
            self.client.publish_all("order:confirmed", [herald.order(n) for n in range(orders, orders + 3)])
            orders += 3
            self.daemon.reload()
            time.sleep(0.003)  # how close together they come is what is tested
        self.check(orders)
        self.assertEqual(self.daemon.log.count("config.reloaded"), 0)
        refused = [line["reason"] for line in self.daemon.log.wait_event("config.refused")]
        self.assertEqual(set(refused), {"needs a restart: [herald] lease"})

    def test_what_is_asked_for_while_a_reload_waits_is_done_after_it(self):
        text = self.daemon.config.read_text()
        self.client.pipeline([("MULTI",), ("PUBLISH", "order:confirmed", herald.order(1)), ("CLIENT", "PAUSE", 1500, "WRITE"), ("EXEC",)])
        first = text.replace("from = orders@", "from = first@")
        self.daemon.reload(first)
        time.sleep(0.5)  # until it is read, and waits for the batch: nothing tells
        self.daemon.reload(text.replace("from = orders@", "from = second@"))
        self.daemon.log.wait_event("config.reloaded", n=2)
        self.client.publish("order:confirmed", herald.order(2))
        self.wait(lambda: [mail for mail in self.smtp.mails() if "second@" in mail["From"]], 10, "a mail from the second")

    def test_a_command_connection_that_is_cut_all_the_time(self):
        """What is published meanwhile waits in the socket; leases whose answer was cut off are given back at once."""
        def cut(client):
            for line in client.call("CLIENT", "LIST").decode().splitlines():
                fields = dict(word.split("=", 1) for word in line.split())
                if fields["name"].startswith("herald-commands"):
                    client.call("CLIENT", "KILL", "ID", fields["id"])
            time.sleep(0.4)
        self.run_storm(cut)
        self.check(3000)

    def test_a_redis_that_pauses(self):
        def pause(client):
            client.call("CLIENT", "PAUSE", 300, "WRITE")
            time.sleep(0.6)
        self.run_storm(pause)
        self.check(3000)


if __name__ == "__main__":
    herald.main()
