#!/usr/bin/python3
"""Messages in many scripts, read back by a parser that isn't ours and compared with what was meant.

Usage: message_python.py PROGRAM, where PROGRAM is message_samples.
"""
import datetime
import email
import email.header
import email.policy
import itertools
import json
import re
import subprocess
import sys
import traceback

LATIN = "Übergrößenträger, façade, naïve, Ærøskøbing, smörgåsbord, žluťoučký kůň"
CHINESE = "您的订单已确认，感谢您的购买。我们将尽快为您发货，请留意物流信息。"
ARABIC = "تم تأكيد طلبك، شكرا لك على التسوق معنا. سنرسل لك تحديثا عند الشحن."
EMOJI = "🎉📦👩‍👩‍👧‍👦🇩🇪❤️🧑🏽‍🚀👍🏿"
HEBREW_HINDI = "ההזמנה שלך אושרה आपका ऑर्डर कन्फर्म हो गया है"

NAMES = [
    None, "", "Ann", "Ann Lee", "Dr. Ann Lee, Jr.", 'Ann "Nan" \\ Lee', "O'Neil & Söhne", "a@b", "=?utf-8?Q?x?=",
    "Ann  Lee", " Ann ", "x" * 200, "word " * 40 + "end", "José Núñez", "李小龙", "محمد بن عبد الله", EMOJI, EMOJI * 3,
    (LATIN * 4)[:120], CHINESE * 2, "Ann 李 (mobile) <x>", "ÄÖÜ" * 10,
]
SUBJECTS = [
    "", "Order o-1001 confirmed", "a" * 69, "a" * 70, "a" * 300, "word " * 40 + "end", "=?utf-8?B?SGFja2Vk?=",
    "1 + 1 = 2?", "tab\there, line\r\nbreak, \x01\x7f\x85\u2028 controls ", "  blanks  around  ", LATIN, LATIN * 5,
    CHINESE, CHINESE * 4, ARABIC, ARABIC * 4, EMOJI, EMOJI * 12, HEBREW_HINDI * 3, "é" * 80, "x" * 60 + "é" + "y" * 60,
    "🎉" * 70, "mixed 李 words é and 🎉 plain ones " * 8, "back\\slash \"quoted\" <angle> _under_ =equal=",
]
BODIES = [
    "", "\n", "x", "Hello,\n\nplain.\n", "bare LF\nCRLF\r\nbare CR\rend", "no newline at the end",
    "blanks at the end \nand tabs\t\n \n\t\n", "=3D = =\n==\n", ".\n..\n.dot\nFrom here\n-- \n--=_0123456789abcdef\n",
    "\n\n\n\n", "x" * 75 + "\n", "x" * 76 + "\n", "x" * 77 + "\n", "x" * 75 + " \n" + "x" * 74 + " \n", "x" * 5000,
    ("x" * 74 + "é\n") * 3, ("x" * 73 + "=\n") * 3, "é" * 1000, LATIN * 50, (LATIN + "\n") * 20, CHINESE * 60,
    (CHINESE + "\r\n") * 20, ARABIC * 60, EMOJI * 100, "\0\x01\x7f\x0b\x0c\n", "\ufeffbom\u2028separator\n",
    "<p>" + CHINESE + "</p>\n" + "<div style=\"color:#123\">" * 30 + LATIN + "\n", " " * 300 + "\n", "\t" * 300,
    "".join(chr(c) for c in range(1, 256)),
]
ADDRESSES = [
    "ann@shop.example", "a.b+c=d!e#f$g%h&i'j*k/l?m^n_o`p{q|r}s~t@mail.shop.example", "ann@bücher.example",
    "x" * 64 + "@" + ".".join(["y" * 60] * 2 + ["y" * 59]) + ".example", "ann@Σίσυφος-例え.テスト",
]


def samples():
    plain = {
        "from": "orders@shop.example", "from_name": "Example Shop", "to": "ann@shop.example", "to_name": "Ann",
        "subject": "Order", "text": "text\n", "key": "0123456789abcdef01234567", "domain": "shop.example",
        "date_ms": 1767261600000,
    }
    yield dict(plain)
    for name in NAMES:
        yield dict(plain, to_name=name, from_name=name, reply_to="help@shop.example", reply_to_name=name)
    for address in ADDRESSES:
        for name in (None, "Ann", "x" * 50, CHINESE):
            yield dict(plain, to=address, to_name=name)
    for subject in SUBJECTS:
        yield dict(plain, subject=subject)
    for length in range(1, 90):  # every place a fold can fall on
        yield dict(plain, subject="é" * length, to_name="n" * length, from_name="ü" + "n" * length, text="t" * length)
        yield dict(plain, subject="漢" * length, to_name="漢" * min(length, 85), text="t" * length + " ", html="é" + "t" * length)
        yield dict(plain, subject="a bc" * length, to_name="a b," * min(length, 60), text="=" * length)
    for body in BODIES:
        yield dict(plain, text=body)
        yield {k: v for k, v in dict(plain, html=body).items() if k != "text"}
        yield dict(plain, text=body, html="<b>" + body, key="f" * 64, domain="a.example", trace_id="4bf92f3577b34da6a3ce929d0e0e4736")
    for ms in (0, 951782400000, 1767225599999, 4102444799000, 253402300799000):
        yield dict(plain, date_ms=ms, key="0", domain="localhost")


def a_label(domain):
    """The domain's ASCII form; only ASCII is put in lower case, as the program does."""
    labels = []
    for label in domain.split("."):
        lower = "".join(c.lower() if c.isascii() else c for c in label)
        labels.append(lower if lower.isascii() else "xn--" + lower.encode("punycode").decode())
    return ".".join(labels)


def meant_address(address):
    local, domain = address.split("@")
    return local + "@" + a_label(domain)


def meant_subject(subject):
    return re.sub("[\x00-\x20\x7f-\xa0\u2028\u2029]+", " ", subject).strip(" ")


def meant_body(body):
    body = re.sub("\r\n|\r|\n", "\r\n", body)
    return body if body == "" or body.endswith("\r\n") else body + "\r\n"


def check_lines(raw, sample):
    assert raw.endswith(b"\r\n"), "no CRLF at the end"
    assert raw.count(b"\n") == raw.count(b"\r\n") == raw.count(b"\r"), "a bare CR or LF"
    assert raw.isascii() and b"\0" not in raw, "not ASCII"
    head, _, body = raw.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        address = meant_address(sample["to"]).encode()
        is_unbreakable = len(address) > 70 and line.strip(b" <>") == address
        assert len(line) <= (76 if b"=?utf-8?" in line else 78) or is_unbreakable, f"{len(line)} bytes: {line}"
        assert line.strip(), f"blank header line: {line}"
        for word in re.findall(rb"=\?utf-8\?[BQ]\?[^?]*\?=", line):
            assert len(word) <= 75, f"encoded word of {len(word)} bytes"
    for line in body.split(b"\r\n"):
        assert len(line) <= 76, f"body line of {len(line)} bytes: {line}"
        assert not line.endswith((b" ", b"\t")), f"a blank at the end: {line}"


def check_mailbox(raw, field, header, name, address):
    assert not header.defects, header.defects
    (mailbox,) = header.addresses
    assert mailbox.addr_spec == meant_address(address), (mailbox.addr_spec, address)
    got = mailbox.display_name
    words = re.search(rb"\r\n" + field + rb": ((?:=\?\S+\?=\s+)+=\?\S+\?=)\s+<", raw)
    if words:
        # The policy's parser keeps the space between two encoded words of a phrase, against RFC 2047 6.2. The older one doesn't.
        got = str(email.header.make_header(email.header.decode_header(words[1].decode())))
    assert got == (name or ""), (got, name)


def check_part(part, body):
    assert part.get_content_charset() == "utf-8"
    assert part["content-transfer-encoding"] in ("base64", "quoted-printable")
    got = part.get_payload(decode=True).decode("utf-8")
    assert got == meant_body(body), (got[:300], body[:300])


def check(raw, sample):
    check_lines(raw, sample)
    message = email.message_from_bytes(raw, policy=email.policy.default)
    for part in message.walk():
        assert not part.defects, part.defects
        for name, value in part.items():
            assert not value.defects, (name, value.defects)
    for name, count in itertools.groupby(sorted(key.lower() for key in message.keys())):
        assert len(list(count)) == 1, f"{name} twice"

    check_mailbox(raw, b"From", message["from"], sample["from_name"], sample["from"])
    check_mailbox(raw, b"To", message["to"], sample["to_name"], sample["to"])
    if "reply_to" in sample:
        check_mailbox(raw, b"Reply-To", message["reply-to"], sample["reply_to_name"], sample["reply_to"])
    else:
        assert message["reply-to"] is None
    assert message["subject"] == meant_subject(sample["subject"]), (message["subject"], sample["subject"])
    moment = datetime.datetime.fromtimestamp(sample["date_ms"] // 1000, datetime.timezone.utc)
    assert message["date"].datetime == moment, message["date"]
    assert message["message-id"].strip() == f"<{sample['key']}@{sample['domain']}>"
    assert message["mime-version"] == "1.0"
    assert message["auto-submitted"] == "auto-generated"
    assert message["x-trace-id"] == sample.get("trace_id")

    if "text" in sample and "html" in sample:
        assert message.get_content_type() == "multipart/alternative"
        text, html = message.iter_parts()
        assert text.get_content_type() == "text/plain" and html.get_content_type() == "text/html"
        check_part(text, sample["text"])
        check_part(html, sample["html"])
    else:
        kind = "text" if "text" in sample else "html"
        assert message.get_content_type() == {"text": "text/plain", "html": "text/html"}[kind]
        check_part(message, sample[kind])


def main():
    wanted = list(samples())
    result = subprocess.run([sys.argv[1]], input=json.dumps(wanted).encode(), stdout=subprocess.PIPE, check=True)
    rest = result.stdout
    failures = 0
    for sample in wanted:
        length, _, rest = rest.partition(b"\n")
        raw, rest = rest[:int(length)], rest[int(length):]
        try:
            check(raw, sample)
        except AssertionError as error:
            failures += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            print(f"{json.dumps(sample)[:300]}\n  {where.line}: {error}\n{raw[:1200].decode()}")
    assert rest == b""
    print(f"{len(wanted)} messages, {failures} wrong")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
