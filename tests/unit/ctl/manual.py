"""The manual pages, --help and the source say the same: every command, option, exit status and script, and nothing else."""

import os
import pathlib
import re
import shlex
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGES = {"heraldctl": ROOT / "etc/man/heraldctl.1", "heraldd": ROOT / "etc/man/heraldd.8"}
PROGRAMS = {"heraldctl": os.environ["HERALDCTL"], "heraldd": os.environ["HERALDD"]}


def help_of(program, *words):
    return subprocess.run([PROGRAMS[program], *words, "--help"], capture_output=True, text=True, check=True).stdout


def said_by_help(text, first):
    """What stands in the left column, where it begins with that pattern."""
    return sorted(re.findall(rf"^  ({first}\S*(?: \S+)*) {{2,}}", text, re.M))


def plain(line):
    """A line of roff as it is read."""
    macro, _, rest = line.partition(" ") if line.startswith(".") else ("", "", line)
    words = shlex.split(rest.replace("\\", "\\\\").replace("'", "\\'"))
    text = (" " if macro in ("", ".B", ".I") else "").join(words)
    return re.sub(r"\\f[BIRP]", "", text).replace("\\-", "-")


def section_of(page, name):
    return page.partition(f"\n.SH {name}\n")[2].partition("\n.SH ")[0]


def tags_of(page, section):
    """The tags of a section's list: the line behind each .TP."""
    return sorted(plain(line) for line in re.findall(r"^\.TP\n(.*)$", section_of(page, section), re.M))


def complaints(program, page):
    """What differs between the program's words and the text of its page."""
    said = help_of(program)
    pairs = [("OPTIONS", said_by_help(said, "--"))]
    if program == "heraldctl":
        statuses = re.findall(r"\b(\d+) [A-Za-z]", said.partition("Exit status: ")[2])
        pairs += [("COMMANDS", said_by_help(said, "[a-z]")), ("EXIT STATUS", sorted(statuses))]
    return [f"{section}: the page has {tags_of(page, section)}, --help {words}"
            for section, words in pairs if tags_of(page, section) != words]


class Manual(unittest.TestCase):
    def test_the_pages_list_what_help_lists(self):
        for program, page in PAGES.items():
            self.assertEqual(complaints(program, page.read_text()), [])

    def test_a_line_too_few_or_too_many_is_found_wherever_it_is(self):
        for program, path in PAGES.items():
            page = path.read_text()
            for section in ("OPTIONS", "COMMANDS", "EXIT STATUS")[: 3 if program == "heraldctl" else 1]:
                body = section_of(page, section)
                entries = re.findall(r"^\.TP\n.*\n", body, re.M)
                self.assertGreater(len(entries), 3, section)
                for entry in entries:
                    for wrong in ("", entry + entry, entry.rstrip("\n") + " more\n"):
                        self.assertTrue(complaints(program, page.replace(body, body.replace(entry, wrong, 1))), entry)

    def test_what_a_command_takes_is_among_what_help_lists(self):
        everything = said_by_help(help_of("heraldctl"), "--")
        for command in said_by_help(help_of("heraldctl"), "[a-z]"):
            words = re.match(r"[a-z]+(?: [a-z]+\b)?", command).group().split()
            text = help_of("heraldctl", *words)
            self.assertIn(f"usage: heraldctl {command}", text)
            self.assertLessEqual(set(said_by_help(text, "--")), set(everything), command)

    def test_every_option_of_herald_conf_is_in_its_page(self):
        shown, section = {}, None
        for line in (ROOT / "etc/herald.conf").read_text().splitlines():
            if heading := re.match(r"#?\[([a-z]+)", line):
                section = heading.group(1)
            elif option := re.match(r"#?([a-z_]+) = ", line):
                shown.setdefault(section, set()).add(option.group(1))
        page = pathlib.Path(os.environ["CONF_PAGE"]).read_text()
        self.assertEqual(len(shown), 6)
        for section, options in shown.items():
            tags = [tag.partition(" = ")[0] for tag in tags_of(page.replace("\n.SS", "\n.SH"), section.upper())]
            self.assertEqual(tags, sorted(options), section)

    def test_every_script_is_named_and_can_be_printed(self):
        text = " ".join(PAGES["heraldd"].read_text().partition("print\\-script \\fINAME\n")[2].partition(".TP")[0].split())
        named = re.findall(r"[a-z]+", text.partition("and end: ")[2].replace(" or ", " "))
        parts = {"prelude", "known", "limits"}  # of the others, which begin with them
        self.assertEqual(sorted(named), sorted({path.stem for path in (ROOT / "src/store/scripts").glob("*.lua")} - parts))
        for name in named:
            subprocess.run([PROGRAMS["heraldd"], "--print-script", name], stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
