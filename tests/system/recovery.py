"""What Redis or we have forgotten: answers noted on disk, a Redis that comes back without its last writes, or empty."""

import pathlib
import re
import signal
import time

import herald

CONFIG = """
[herald]
templates = $templates
log_format = json
instance = $instance
lease = $lease
lease_margin = 1s

[redis]
url = $redis

[source orders]
type = pubsub
channel = order:confirmed
id = orderId
notification = order-confirmed

[notification order-confirmed]
channels = email

[provider mail]
channel = email
type = smtp
url = $smtp
from = orders@shop.example
$more
"""


class Recovery(herald.TestCase):
    def setUp(self):
        super().setUp()
        self.redis = self.world.redis()
        self.client = self.redis.client()
        self.addCleanup(lambda: self.client.close())  # the one it has by then
        self.store_user()

    def store_user(self):
        herald.store_user(self.client, "u-7", email="ada@example.org")

    def start(self, smtp, lease="5s", instance="one", more="connections = 4", **options):
        return self.world.heraldd(CONFIG, redis=self.redis.url, smtp=smtp.url, lease=lease, instance=instance,
                                  more=more, **options)

    def publish(self, first, last):
        self.client.publish_all("order:confirmed", [herald.order(number) for number in range(first, last)])

    def wait_idle(self, records, timeout=30):
        state = herald.State(self.client)
        self.wait(lambda: len(state.events()) == records and state.is_idle(), timeout,
                  lambda: f"{records} records and nothing under way: {state.counts()}")

    def check_each_once(self, smtp, orders):
        self.assertEqual(self.counts(smtp), (orders, orders))

    @staticmethod
    def counts(smtp):
        """How many mails, and how many different orders they are about."""
        subjects = [re.search(r"^Subject: (.*)", mail["message"], re.M).group(1) for mail in smtp.mails()]
        return len(subjects), len(set(subjects))

    def sent_and_not_told(self):
        """Twelve mails whose 250 came while Redis stood still."""
        smtp = self.world.smtp_script({"sequence": {"final": [{"reply": "250 ok", "delay": 1}] * 4}})
        daemon = self.start(smtp)
        self.publish(0, 12)
        self.wait(lambda: len(smtp.commands("DATA")) == 4, 10, "four mails on their way")
        self.redis.process.signal(signal.SIGSTOP)
        self.wait(lambda: len(smtp.mails()) == 12, 10, "all taken")
        return smtp, daemon

    def test_an_answer_that_redis_never_heard_is_told_by_the_next_process(self):
        smtp, daemon = self.sent_and_not_told()
        self.wait(lambda: self.noted(daemon) == 12, 5, "all answers noted")
        daemon.kill()
        self.redis.process.signal(signal.SIGCONT)
        daemon.start()
        self.wait_idle(12)
        self.check_each_once(smtp, 12)
        self.assertEqual(daemon.stop(), 0)

    def test_without_what_was_noted_it_would_be_sent_again(self):
        """The control: the same with the journal taken away."""
        smtp, daemon = self.sent_and_not_told()
        daemon.kill()
        for path in daemon.state_folder().glob("outcomes.*"):
            path.unlink()
        self.redis.process.signal(signal.SIGCONT)
        daemon.start()
        self.wait_idle(12)
        self.assertEqual(self.counts(smtp), (24, 12))

    @staticmethod
    def noted(daemon):
        return sum(path.stat().st_size for path in daemon.state_folder().glob("outcomes.*")) // 32

    def test_a_damaged_journal_is_used_up_to_there_and_said(self):
        smtp, daemon = self.sent_and_not_told()
        self.wait(lambda: self.noted(daemon) == 12, 5, "all answers noted")
        daemon.kill()
        [path] = [path for path in daemon.state_folder().glob("outcomes.*") if path.stat().st_size]
        path.write_bytes(path.read_bytes()[:11 * 32 + 7])
        self.redis.process.signal(signal.SIGCONT)
        daemon.start()
        [line] = daemon.log.wait_event("journal.damaged")
        self.assertEqual(line["count"], 7)
        self.wait_idle(12)
        self.assertEqual(self.counts(smtp), (13, 12))

    def test_a_second_daemon_with_the_same_state_directory_is_refused(self):
        smtp = self.world.smtp_script()
        one = self.start(smtp)
        two = self.world.heraldd(CONFIG, redis=self.redis.url, smtp=smtp.url, lease="10s", instance="two", more="",
                                 start=False, environment={"STATE_DIRECTORY": str(one.state_folder())})
        two.start(wait_ready=False)
        self.assertNotEqual(two.process.wait(), 0)
        self.assertIn("another heraldd uses it", pathlib.Path(two.log_path).read_text())

    def test_a_redis_that_comes_back_empty_is_told_what_it_had_accepted(self):
        """No persistence at all: what is in a lane or was accepted in the last seconds is told again, and what was sent is
        not sent again."""
        smtp = self.world.smtp_script({"always": {"final": {"reply": "250 ok", "delay": 0.05}}})
        daemon = self.start(smtp)
        self.publish(0, 300)
        daemon.log.wait_event("event.accepted", n=300)
        self.wait(lambda: daemon.log.count("delivery.sent") >= 40, 20, "40 sent")
        self.restart_redis_empty()
        [line] = daemon.log.wait_event("redis.epoch", timeout=20)
        self.assertEqual(line["count"], 300)
        self.wait_idle(300)
        self.check_each_once(smtp, 300)
        self.assertEqual(daemon.stop(), 0)

    def test_what_redis_was_told_again_it_is_told_again_when_it_forgets_that_too(self):
        smtp = self.world.smtp_script({"always": {"final": {"reply": "250 ok", "delay": 0.2}}})
        daemon = self.start(smtp)
        self.publish(0, 200)
        daemon.log.wait_event("event.accepted", n=200)
        self.restart_redis_empty(away_s=5.5)  # longer than an event stays in the ring
        daemon.log.wait_event("redis.epoch", timeout=20)
        self.store_user()
        self.publish(200, 201)
        daemon.log.wait_event("event.accepted", n=201)
        self.restart_redis_empty()
        daemon.log.wait_event("redis.epoch", n=2, timeout=20)
        self.wait_idle(201, timeout=60)
        self.check_each_once(smtp, 201)

    def test_flushall_under_load_is_noticed_and_mended(self):
        smtp = self.world.smtp_script({"always": {"final": {"reply": "250 ok", "delay": 0.05}}})
        daemon = self.start(smtp)
        self.publish(0, 600)
        daemon.log.wait_event("event.accepted", n=600)
        self.wait(lambda: daemon.log.count("delivery.sent") >= 40, 20, "40 sent")
        self.client.call("FLUSHALL")
        daemon.log.wait_event("redis.epoch", timeout=20)
        self.store_user()
        self.publish(600, 610)
        self.wait(lambda: len(smtp.mails()) >= 610, 30, "all sent")
        self.wait_idle(610)
        self.check_each_once(smtp, 610)

    def test_a_second_flushall_while_the_first_is_mended_is_noticed_too(self):
        smtp = self.world.smtp_script({"always": {"final": {"reply": "250 ok", "delay": 0.05}}})
        daemon = self.start(smtp)
        self.publish(0, 600)
        daemon.log.wait_event("event.accepted", n=600)
        self.client.call("FLUSHALL")
        self.wait(lambda: len(herald.State(self.client).events()) >= 500, 20, "told again")
        self.assertEqual(daemon.log.count("redis.epoch"), 0, "not yet mended")
        self.client.call("FLUSHALL")
        daemon.log.wait_event("redis.epoch", n=2, timeout=20)
        self.wait(lambda: len(smtp.mails()) >= 600, 30, "all sent")
        self.wait_idle(600)
        self.check_each_once(smtp, 600)

    def test_a_claim_whose_answer_was_lost_does_not_wait_for_its_lease(self):
        smtp = self.world.smtp_script({"always": {"final": {"reply": "250 ok", "delay": 0.02}}})
        daemon = self.start(smtp, lease="60s")
        self.publish(0, 400)
        for _ in range(15):
            daemon.log.read()
            self.kill_command_connection()
            daemon.log.wait_event("redis.connected", after=daemon.log.mark())
        self.wait_idle(400, timeout=40)
        self.check_each_once(smtp, 400)

    def test_a_key_of_ours_that_holds_something_foreign_makes_us_forget_no_answer(self):
        """The outcomes of 32 mails that end together meet a broken index: each is written all the same."""
        smtp = self.world.smtp_script({"always": {"final": {"reply": "250 ok", "delay": 1}}})
        daemon = self.start(smtp, more="connections = 32", lease="60s")
        self.publish(0, 32)
        self.wait(lambda: len(smtp.commands("DATA")) == 32, 20, "32 mails on their way")
        self.client.call("SET", "herald:{0}:lease", "foreign")
        state = herald.State(self.client)
        self.wait(lambda: all(state.record(eid)["0"].startswith(b"S ") for eid in state.events()), 10, "all noted as sent")
        refused = daemon.log.count("redis.refused", level="error")
        self.assertGreater(refused, 0, "and what is wrong is said")
        self.client.call("DEL", "herald:{0}:lease")
        self.check_each_once(smtp, 32)

    @herald.without_example_users("takes rights from the default user")
    def test_a_redis_that_refuses_our_scripts_is_said_until_it_takes_them(self):
        self.client.call("ACL", "SETUSER", "default", "-evalsha", "-eval")
        smtp = self.world.smtp_script()
        daemon = self.start(smtp, start=False)
        daemon.start(wait_ready=False)
        line = daemon.log.wait_event("redis.refused", timeout=20)[0]
        self.assertIn("NOPERM", line["reason"])
        self.assertEqual(daemon.log.count("service.ready"), 0)
        self.client.call("ACL", "SETUSER", "default", "+evalsha", "+eval")
        daemon.log.wait_event("service.ready")
        self.publish(0, 1)
        self.wait_idle(1)
        self.check_each_once(smtp, 1)

    def restart_redis_empty(self, away_s=0):
        self.client.close()
        self.redis.process.signal(signal.SIGKILL)
        self.redis.process.wait()
        time.sleep(away_s)  # for how long is what is tested
        self.redis.start()
        self.client = self.redis.client()

    def kill_command_connection(self):
        for line in self.client.call("CLIENT", "LIST").decode().splitlines():
            fields = dict(word.split("=", 1) for word in line.split())
            if fields["name"].startswith("herald-commands"):
                self.client.call("CLIENT", "KILL", "ID", fields["id"])

    def test_an_answer_is_told_before_its_event_and_is_not_forgotten(self):
        """One accepts, the other sends and is the first to come back to a Redis that is empty."""
        smtp = self.world.smtp_script({"always": {"final": {"reply": "250 ok", "delay": 0.05}}})
        accepts = self.start(smtp, more="connections = 1")
        sends = self.world.heraldd(CONFIG.replace("order:confirmed", "another"), redis=self.redis.url, smtp=smtp.url,
                                   lease="5s", instance="two", more="connections = 4")
        self.publish(0, 300)
        accepts.log.wait_event("event.accepted", n=300)
        self.wait(lambda: sends.log.count("delivery.sent") >= 40, 20, "the other has sent 40")
        accepts.process.signal(signal.SIGSTOP)
        self.restart_redis_empty()
        sends.log.wait_event("redis.connected", n=2)
        accepts.process.signal(signal.SIGCONT)
        self.wait_idle(300)
        self.check_each_once(smtp, 300)

    def test_nothing_is_sent_again_by_an_instance_that_has_not_yet_seen_that_redis_was_emptied(self):
        """One accepts, the other sends; the connections stand, so that each sees it by itself, and at its own time."""
        smtp = self.world.smtp_script({"always": {"final": {"reply": "250 ok", "delay": 0.05}}})
        accepts = self.start(smtp, more="connections = 1")
        time.sleep(2.5)  # so far apart are the moments at which they look
        sends = self.world.heraldd(CONFIG.replace("order:confirmed", "another"), redis=self.redis.url, smtp=smtp.url,
                                   lease="5s", instance="two", more="connections = 4")
        self.publish(0, 300)
        accepts.log.wait_event("event.accepted", n=300)
        self.wait(lambda: sends.log.count("delivery.sent") >= 40, 20, "the other has sent 40")
        self.client.call("FLUSHALL")
        for daemon in (accepts, sends):
            daemon.log.wait_event("redis.epoch", timeout=20)
        self.wait_idle(300)
        self.check_each_once(smtp, 300)

    def test_a_redis_that_was_emptied_while_the_connection_was_cut_is_told_too(self):
        smtp = self.world.smtp_script({"always": {"final": {"reply": "250 ok", "delay": 0.05}}})
        daemon = self.start(smtp)
        self.publish(0, 200)
        daemon.log.wait_event("event.accepted", n=200)
        self.wait(lambda: daemon.log.count("delivery.sent") >= 20, 20, "20 sent")
        self.client.pipeline([("MULTI",), ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"), ("FLUSHALL",), ("EXEC",)])
        daemon.log.wait_event("redis.epoch", timeout=20)
        self.wait_idle(200)
        self.check_each_once(smtp, 200)

    def test_two_instances_lose_and_repeat_nothing_when_redis_forgets(self):
        smtp = self.world.smtp_script({"always": {"final": {"reply": "250 ok", "delay": 0.05}}})
        daemons = [self.start(smtp), self.start(smtp, instance="two")]
        self.publish(0, 300)
        self.wait(lambda: sum(daemon.log.count("event.accepted") for daemon in daemons) == 300, 20, "all accepted")
        self.restart_redis_empty()
        self.wait_idle(300)
        self.check_each_once(smtp, 300)


if __name__ == "__main__":
    herald.main()
