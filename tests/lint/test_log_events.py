"""The comparison of log_events.py, each time against a source or a page in which one thing is wrong."""

import unittest

import log_events
import log_page

PAGE = r"""
.SH FIELDS
.TP
.BR count " (number, HERALD_COUNT)"
How many.
.TP
.BR reason " (text, HERALD_REASON)"
Why.
.SH EVENTS
.TP
.BR lane.moved " (notice)"
They moved.
.br
Fields: count, [reason].
.TP
.BR log.dropped " (warning)"
Lines.
.br
Fields: count.
.SH JQ
.SS All
.nf
.RS
jq \-c \(aq.\(aq herald.log
.RE
.fi
"""
SOURCE = r"""
void say(enum log_level level, const char *event, const char *reason)
{
    LOG(level, event, "words (that; end", log_text(LOG_KEY_REASON, reason));
}
static void f(void)
{
    LOG(LOG_LEVEL_NOTICE, "lane.moved", "moved", log_int(LOG_KEY_COUNT, 1));
    say(LOG_LEVEL_NOTICE, "lane.moved", NULL); /* LOG(LOG_LEVEL_ERROR, "not.code", "") */
}
static void report(void)
{
    const struct log_field count = log_int(LOG_KEY_COUNT, 1);
    const struct log_entry entry = {.level = LOG_LEVEL_WARNING, .event = "log.dropped"};
}
"""
README = {"lane.moved", "log.dropped"}


class LogEvents(unittest.TestCase):
    def complaints(self, source=SOURCE, page=PAGE, readme=frozenset(README)):
        return list(log_events.compare(log_events.Source({"a.c": source}), log_page.Page(page), readme))

    def refuses(self, complaint, **what):
        found = self.complaints(**what)
        self.assertEqual(len(found), 1, found)
        self.assertIn(complaint, found[0])

    def change(self, text, old, new):
        self.assertIn(old, text)
        return text.replace(old, new)

    def test_what_agrees_is_left_alone(self):
        self.assertEqual(self.complaints(), [])

    def test_an_event_that_the_page_lacks(self):
        more = SOURCE + 'void g(void)\n{\n    LOG(LOG_LEVEL_INFO, "new.thing", "words");\n}\n'
        self.refuses("new.thing: herald-log(7) does not have it", source=more)

    def test_an_event_that_nothing_logs(self):
        more = self.change(PAGE, ".SH JQ", '.TP\n.BR old.thing " (info)"\nx\n.br\nFields: none.\n.SH JQ')
        self.refuses("old.thing: is in herald-log(7), and nothing", page=more, readme={*README, "old.thing"})

    def test_another_level(self):
        self.refuses("lane.moved: is logged at", page=self.change(PAGE, "(notice)", "(notice, debug)"))
        self.refuses("log.dropped: is logged at", source=self.change(SOURCE, "LEVEL_WARNING", "LEVEL_ERROR"))

    def test_fields_and_their_types(self):
        self.refuses("does not have its field count", page=self.change(PAGE, "Fields: count, [reason]", "Fields: [reason]"))
        self.refuses("has no field reason", source=self.change(SOURCE, "log_text(LOG_KEY_REASON, reason)", "none"))
        self.refuses("count is a text", source=self.change(SOURCE, '"moved", log_int(', '"moved", log_text('))

    def test_a_call_whose_event_cannot_be_read(self):
        more = SOURCE + 'void g(void)\n{\n    LOG(how, what, "words");\n}\n'
        self.refuses("a.c:18: level and event have to stand in the call", source=more)

    def test_readme_and_page_have_the_same_events(self):
        self.refuses("lane.moved: is in herald-log(7) and not", readme={"log.dropped"})
        self.refuses("a.b: is in README.md and not", readme={*README, "a.b"})

    def test_names_of_fields(self):
        page = log_page.Page(PAGE)
        self.assertEqual(list(log_events.compare_keys({"count", "reason"}, page)), [])
        self.assertIn("field ms: is in log_format.c", list(log_events.compare_keys({"count", "reason", "ms"}, page))[0])
        self.assertIn("field reason: is in herald-log(7)", list(log_events.compare_keys({"count"}, page))[0])
        wrong = log_page.Page(self.change(PAGE, "HERALD_REASON", "HERALD_WHY"))
        self.assertIn("HERALD_REASON in the journal", list(log_events.compare_keys({"count", "reason"}, wrong))[0])

    def test_a_written_line_is_held_against_the_page(self):
        page = log_page.Page(PAGE)
        line = {"ts": "2026-01-01T10:00:00.123Z", "level": "notice", "event": "lane.moved", "message": "m", "count": 1}
        self.assertIsNone(page.complaint(line))
        self.assertIsNone(page.complaint({**line, "reason": "r", "cut": True}))
        for wrong, complaint in (({"event": "a.b"}, "no such event"), ({"level": "info"}, "not logged at"),
                                 ({"count": "1"}, "another type"), ({"count": True}, "another type"),
                                 ({"reason": ""}, "another type"), ({"ms": 1}, "unknown"), ({"ts": "10:00"}, "not a time")):
            self.assertIn(complaint, page.complaint({**line, **wrong}) or "nothing")
        self.assertIn("missing", page.complaint({name: value for name, value in line.items() if name != "count"}))

    def test_recipes_are_read_as_they_are_typed(self):
        self.assertEqual(log_page.Page(PAGE).recipes, {"All": "jq -c '.' herald.log\n"})


if __name__ == "__main__":
    unittest.main()
