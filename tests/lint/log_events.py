"""Compares the log lines of the source with herald-log(7) and README's table, both ways: log_events.py ROOT.

A line is made by LOG, or by a function whose parameters begin with a level and an event and that calls LOG. Names, levels and,
where a call lists them itself, the fields with their types have to be those of the page.
"""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import log_page  # noqa: E402  lies in another folder

FIELD = re.compile(r"log_(text|bytes|int)\(\s*LOG_KEY_(\w+)")
KEY_NAMES = {"EVENT_ID": "event_id", "ORDER_ID": "order_id", "WAIT_MS": "wait_ms", "TRACE_ID": "trace_id"}


def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", lambda match: re.sub(r"[^\n]", " ", match.group()), text, flags=re.S)


def call_at(text, start):
    """The arguments of the call whose name ends at `start`, to its closing parenthesis."""
    depth, at, in_text = 0, start, False
    while at < len(text):
        char = text[at]
        if char == '"' and text[at - 1] != "\\":
            in_text = not in_text
        elif not in_text and char in "()":
            depth += 1 if char == "(" else -1
            if depth == 0:
                return text[start:at + 1]
        at += 1
    raise ValueError("a call without an end")


def function_around(text, at):
    start = text.rfind("\n{\n", 0, at)
    return text[start:text.index("\n}\n", at)]


def fields_of(code):
    return {(KEY_NAMES.get(key, key.lower()), "number" if how == "int" else "text") for how, key in FIELD.findall(code)}


class Source:
    """What the C files say: per event its levels, and its fields with types."""

    def __init__(self, files):
        self.levels, self.fields, self.may = {}, {}, {}
        self.complaints = []
        texts = {path: without_comments(text) for path, text in files.items()}
        wrappers = {}
        for text in texts.values():
            for match in re.finditer(r"\b(\w+)\(enum log_level level, const char \*event,[^;{]*\)\n\{", text):
                wrappers[match[1]] = fields_of(function_around(text, match.end() + 1))
        for path, text in texts.items():
            self.read_calls(path, text, wrappers)
            for match in re.finditer(r"\.level = LOG_LEVEL_(\w+),[^}]*?\.event = \"([a-z.]+)\"", text):
                self.add(match[2], match[1], fields_of(function_around(text, match.start())), True)

    def read_calls(self, path, text, wrappers):
        names = "|".join(["LOG", *wrappers])
        for match in re.finditer(rf"(?<![\w#] )(?<!\w)({names})\(", text):
            call = call_at(text, match.end() - 1)
            head = re.match(r'\(\s*LOG_LEVEL_(\w+),\s*"([a-z.]+)"', call)
            if head:
                is_wrapped = match[1] != "LOG"
                self.add(head[2], head[1], wrappers[match[1]] if is_wrapped else fields_of(call), not is_wrapped)
            elif not re.match(r"\((level|\(level\)), |\(enum log_level level", call) and "#define" not in text[max(0, match.start() - 9):match.start()]:
                line = text.count("\n", 0, match.start()) + 1
                self.complaints.append(f"{path}:{line}: level and event have to stand in the call, for this check to see them")

    def add(self, event, level, fields, are_its_own):
        self.levels.setdefault(event, set()).add(level.lower())
        self.may.setdefault(event, set()).update(fields)
        self.fields.setdefault(event, set()).update(fields if are_its_own else ())


def compare(source, page, readme):
    yield from source.complaints
    for event in sorted(set(source.levels) - set(page.events)):
        yield f"{event}: herald-log(7) does not have it"
    for event in sorted(set(page.events) - set(source.levels)):
        yield f"{event}: is in herald-log(7), and nothing logs it"
    for event in sorted(set(page.events) & set(source.levels)):
        there, levels = page.events[event], source.levels[event]
        if there.levels != levels:
            yield f"{event}: is logged at {sorted(levels)}, herald-log(7) says {sorted(there.levels)}"
        for field, kind in sorted(source.fields[event]):
            if field not in there.fields:
                yield f"{event}: herald-log(7) does not have its field {field}"
            elif page.types.get(field) != kind:
                yield f"{event}: {field} is a {kind}, herald-log(7) says {page.types.get(field)}"
        for field in sorted(there.fields - {field for field, _ in source.may[event]}):
            yield f"{event}: has no field {field}, herald-log(7) says it has"
    for event in sorted(readme ^ set(page.events)):
        yield f"{event}: is in {'README.md' if event in readme else 'herald-log(7)'} and not in the other"


def compare_keys(keys, page):
    """The names of log_format.c, and the journal's, which are made of them."""
    for key in sorted(keys ^ (set(page.types) - log_page.ALWAYS - log_page.MAY_ALWAYS)):
        yield f"field {key}: is in {'log_format.c' if key in keys else 'herald-log(7)'} and not in the other"
    for key in sorted(keys & set(page.journal)):
        if page.journal[key] != f"HERALD_{key.upper()}":
            yield f"field {key}: is HERALD_{key.upper()} in the journal, herald-log(7) says {page.journal[key]}"


def events_of_readme(text):
    table = re.search(r"^\| Event \| Says \|\n\| --- \| --- \|\n((?:\|.*\n)+)", text, re.M)
    return {name for line in table[1].splitlines() for name in re.findall(r"`([a-z]+\.[a-z]+)`", line.split("|")[1])}


def main():
    root = pathlib.Path(sys.argv[1])
    source = Source({path.relative_to(root): path.read_text() for path in sorted((root / "src").rglob("*.c"))})
    page = log_page.Page()
    keys = set(re.findall(r'\[LOG_KEY_\w+\] = "(\w+)"', (root / "src/base/log_format.c").read_text()))
    if len(source.levels) < 30 or len(keys) < 20:
        print("hardly any log lines were found: this looks in the wrong place")
        return 1
    complaints = [*compare(source, page, events_of_readme((root / "README.md").read_text())), *compare_keys(keys, page)]
    print("\n".join(complaints) or f"{len(source.levels)} events are as herald-log(7) says")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
