"""herald-log(7) as a schema: which events there are, at which levels, with which fields of which type, and its jq recipes.

Read from the page's source, so that what people read and what tests check is one text.
"""

import pathlib
import re

PAGE = pathlib.Path(__file__).resolve().parents[2] / "etc/man/herald-log.7"
ALWAYS = {"ts", "level", "event", "message"}
MAY_ALWAYS = {"cut"}
IS_TYPE = {
    "text": lambda value: isinstance(value, str) and value != "",
    "number": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "true": lambda value: value is True,
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Event:
    def __init__(self, levels, required, optional):
        self.levels, self.required, self.optional = levels, required, optional

    @property
    def fields(self):
        return self.required | self.optional


def plain(text):
    """Roff's escapes undone, as far as the page uses them in examples."""
    for escape, meant in ((r"\-", "-"), (r"\(aq", "'"), (r"\(dq", '"'), (r"\e", "\\")):
        text = text.replace(escape, meant)
    return text


def section(text, name):
    match = re.search(rf"^\.SH {name}\n(.*?)(?=^\.SH |\Z)", text, re.M | re.S)
    if not match:
        raise ValueError(f"herald-log.7 has no section {name}")
    return match[1]


class Page:
    def __init__(self, text=None):
        text = PAGE.read_text(encoding="utf-8") if text is None else text
        self.types, self.journal, self.events, self.recipes = {}, {}, {}, {}
        for name, kind, journal in re.findall(r'^\.BR (\w+) " \((\w+), (\w+)\)"$', section(text, "FIELDS"), re.M):
            self.types[name], self.journal[name] = kind, journal
        for entry in section(text, "EVENTS").split(".TP\n")[1:]:
            head = re.match(r'\.BR ([a-z]+\.[a-z]+) " \(([a-z, ]+)\)"\n', entry)
            fields = re.search(r"^Fields: ([^.]+)\.$", entry, re.M)
            if not head or not fields:
                raise ValueError(f"herald-log.7: neither name, levels and fields of an event: {entry[:80]!r}")
            if head[1] in self.events:
                raise ValueError(f"herald-log.7: {head[1]} stands there twice")
            names = [] if fields[1] == "none" else re.split(r",\s+", fields[1])
            optional = {name.strip("[]") for name in names if name.startswith("[")}
            self.events[head[1]] = Event(set(head[2].split(", ")), set(names) - {f"[{name}]" for name in optional}, optional)
        for part in re.split(r"^\.SS ", section(text, "JQ"), flags=re.M)[1:]:
            title, _, rest = part.partition("\n")
            self.recipes[title] = plain(re.search(r"^\.nf\n\.RS\n(.*?)^\.RE$", rest, re.M | re.S)[1])

    def complaint(self, line):
        """What is wrong with a JSON line that was written; None: nothing."""
        event = self.events.get(line.get("event"))
        if event is None:
            return f"no such event: {line}"
        missing = (ALWAYS | event.required) - set(line)
        unknown = set(line) - ALWAYS - MAY_ALWAYS - event.fields
        if line.get("cut"):
            missing &= ALWAYS
        wrong = [name for name, value in line.items() if name in self.types and not IS_TYPE[self.types[name]](value)]
        if missing or unknown or wrong:
            return f"missing {sorted(missing)}, unknown {sorted(unknown)}, of another type {wrong}: {line}"
        if line["level"] not in event.levels:
            return f"{line['event']} is not logged at {line['level']}: {line}"
        if not TIME.fullmatch(line["ts"]):
            return f"not a time: {line}"
        return None
