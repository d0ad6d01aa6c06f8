"""heraldctl test: one real message through one provider, and what the provider says to it."""

import email
import email.policy
import json

import herald
from processes import free_port

CONFIG = """
[herald]
templates = $templates
instance = host-1
$herald

[redis]
url = redis://127.0.0.1:1

[source orders]
type = pubsub
channel = order:confirmed
id = orderId
notification = order-confirmed

[notification order-confirmed]
channels = email:mail push webhook

[provider mail]
channel = email
type = smtp
url = $smtp
from = "Example Shop" <orders@shop.example>
$mail

[provider phone]
channel = push
type = http
url = $push
ca_file = $certificate

[provider hook]
channel = webhook
type = http
url = $push
ca_file = $certificate

[provider box]
channel = email
type = maildir
path = $folder/box

[provider told]
channel = email
type = null
behaviour = $told
"""


class Trial(herald.TestCase):
    """Redis is nowhere in all of this."""

    def configure(self, smtp="smtp://127.0.0.1:1", push="https://127.0.0.1:1/push", certificate="", told="ok", mail="", more=""):
        self.config = self.world.folder / "herald.conf"
        text = self.world.config(CONFIG, smtp=smtp, push=push, certificate=certificate, told=told, mail=mail, herald=more)
        self.config.write_text(text if certificate else text.replace("ca_file = \n", ""))

    def trial(self, provider, *arguments):
        """(exit status, its answer, what it said besides)."""
        done = self.world.ctl("test", provider, "--json", *arguments, config=self.config, check=False)
        return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr

    def test_a_mail_arrives_and_the_servers_answer_is_shown(self):
        smtp = self.world.smtp_script({"always": {"final": "250 2.0.0 queued as A1"}})
        self.configure(smtp.url)
        done = self.world.ctl("test", "mail", "--to", "ada@example.org", config=self.config)
        self.assertRegex(done, r"^mail: accepted in \d+ ms: 250 2.0.0 queued as A1\n$")
        status, answer, errors = self.trial("mail", "--to", "ada@example.org")
        self.assertEqual((status, errors), (0, ""))
        self.assertEqual((answer["verdict"], answer["code"], answer["reply"], answer["reason"]), ("accepted", 250, "2.0.0 queued as A1", ""))
        one, other = smtp.mails()
        self.assertEqual((one["from"], one["to"]), ("orders@shop.example", "ada@example.org"))
        mail, second = (email.message_from_string(each["message"], policy=email.policy.default) for each in (one, other))
        self.assertEqual(mail["Subject"], "Test message from herald on host-1")
        self.assertIn("through the provider mail", mail.get_content())
        self.assertNotEqual(mail["Message-ID"], second["Message-ID"])  # each is a message of its own

    def test_an_answer_is_an_exit_status(self):
        answers = [
            ({"always": {"rcpt": "550 5.1.1 unknown"}}, 1, "permanent", 550, "5.1.1 unknown"),
            ({"always": {"rcpt": "451 4.7.1 later"}}, 69, "temporary", 451, "4.7.1 later"),
            ({"always": {"greeting": "554 not you"}}, 69, "temporary", 554, "not you"),
            ({"always": {"final": {"reply": "", "drop": True}}}, 76, "unknown", None, None),
        ]
        for script, status, verdict, code, reply in answers:
            self.configure(self.world.smtp_script(script).url)
            found, answer, errors = self.trial("mail", "--to", "ada@example.org")
            self.assertEqual((found, answer["verdict"]), (status, verdict), answer)
            self.assertIn(f"heraldctl: {verdict}", errors)
            if code:
                self.assertEqual((answer["code"], answer["reply"]), (code, reply))
            self.assertNotEqual(answer["reason"], "")
        self.configure(f"smtp://127.0.0.1:{free_port()}")
        status, answer, _ = self.trial("mail", "--to", "ada@example.org")
        self.assertEqual((status, answer["verdict"], answer["reason"]), (69, "temporary", "connect"))

    def test_a_push_and_a_webhook_reach_their_server(self):
        server = self.world.http2_receiver()
        self.configure(push=f"{server.url}/push", certificate=server.certificate)
        for arguments in (("phone", "--to", "token-7"), ("phone", "--to", '{"provider":"phone","token":"token-7"}'), ("hook",)):
            status, answer, errors = self.trial(*arguments)
            self.assertEqual((status, answer["verdict"], answer["code"]), (0, "accepted", 200), errors)
        one, other, hook = (json.loads(each["body"]) for each in server.received())
        self.assertEqual((one["token"], other["token"]), ("token-7", "token-7"))
        self.assertTrue(hook["test"])
        self.assertEqual(hook["provider"], "hook")

    def test_a_refusing_http_server_is_heard(self):
        server = self.world.nghttpd()
        self.configure(push=f"{server.url}/elsewhere", certificate=server.certificate)
        status, answer, _ = self.trial("hook")
        self.assertEqual((status, answer["verdict"], answer["code"]), (1, "permanent", 404))

    def test_a_maildir_gets_a_file_and_is_said_to_deliver_to_nobody(self):
        self.configure()
        status, answer, errors = self.trial("box", "--to", "ada@example.org")
        self.assertEqual((status, answer["verdict"]), (0, "accepted"))
        self.assertIn("box delivers to nobody", errors)
        [file] = (self.world.folder / "box/new").iterdir()
        self.assertIn("To: ada@example.org", file.read_text().replace("<", "").replace(">", ""))

    def test_a_notifications_own_mail_can_be_sent(self):
        smtp = self.world.smtp_script()
        self.configure(smtp.url)
        status, answer, _ = self.trial("mail", "--to", "ada@example.org", "--notification", "order-confirmed")
        self.assertEqual(status, 0)
        [mail] = smtp.mails()
        self.assertIn(f"Subject: Order {answer['id']} is confirmed", mail["message"])

    def test_staging_sends_its_tests_where_it_sends_all_mail(self):
        smtp = self.world.smtp_script()
        self.configure(smtp.url, more="redirect_to = staging@shop.example")
        status, _, errors = self.trial("mail", "--to", "ada@example.org")
        self.assertEqual(status, 0)
        self.assertIn("it goes to staging@shop.example instead", errors)
        self.assertEqual([mail["to"] for mail in smtp.mails()], ["staging@shop.example"])
        self.configure(smtp.url, more="allow_domains = shop.example")
        self.assertEqual(self.trial("mail", "--to", "ada@example.org")[0], 66)
        self.assertEqual(self.trial("mail", "--to", "ada@SHOP.example")[0], 0)
        self.assertEqual(len(smtp.mails()), 2)

    def test_what_can_not_be_sent_is_said_and_nothing_is_sent(self):
        smtp = self.world.smtp_script()
        self.configure(smtp.url)
        for arguments, status, said in ((("post", "--to", "a@example.org"), 66, "no provider 'post'"),
                                        (("mail",), 64, "needs --to"),
                                        (("mail", "--to", "a@example.org>\r\nRCPT TO:<b@example.org"), 66, "--to: "),
                                        (("hook", "--to", "a@example.org"), 64, "a webhook goes to its provider's url"),
                                        (("phone", "--to", "{"), 66, "--to: at byte 1"),
                                        (("mail", "--to", "a@example.org", "--notification", "other"), 66, "no notification 'other'")):
            code, answer, errors = self.trial(*arguments)
            self.assertEqual((code, answer), (status, None), errors)
            self.assertIn(said, errors)
        self.assertEqual(smtp.mails(), [])


if __name__ == "__main__":
    herald.main()
