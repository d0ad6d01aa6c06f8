"""What the Tab key offers after heraldctl and heraldd, in bash and in zsh."""

import os
import pathlib
import re
import shutil
import subprocess
import unittest

COMPLETION = pathlib.Path(__file__).resolve().parents[3] / "etc/completion"
PROGRAMS = {"heraldctl": os.environ["HERALDCTL"], "heraldd": os.environ["HERALDD"]}

BASH = """
. "$COMPLETION/herald.bash"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_herald "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""

# The file is the body of a function that zsh calls with these variables set; what it offers, it says by _describe.
ZSH = """
_describe() { local entry; for entry in "${(@P)2}"; do print -r -- ${entry%%:*}; done }
_files() { print FILES }
words=("$@") CURRENT=$#
complete_it() { . "$COMPLETION/_herald" }
complete_it
"""


def offers(shell, *words):
    """What is offered for the last of the words."""
    text, options = (BASH, []) if shell == "bash" else (ZSH, ["-f"])
    words = [PROGRAMS[words[0]], *words[1:]]
    done = subprocess.run([shell, *options, "-c", text, shell, *words], capture_output=True, text=True, check=True,
                          env={**os.environ, "COMPLETION": str(COMPLETION)}, timeout=30)
    assert done.stderr == "", done.stderr
    return sorted(set(done.stdout.split()))


def said_by_help(program, pattern):
    text = subprocess.run([PROGRAMS[program], "--help"], capture_output=True, text=True, check=True).stdout
    return sorted(set(re.findall(pattern, text, re.M)))


class Bash(unittest.TestCase):
    shell = "bash"

    def test_every_command_and_option_of_the_help_is_offered_and_nothing_else(self):
        self.assertEqual(offers(self.shell, "heraldctl", ""), said_by_help("heraldctl", r"^  ([a-z]+)"))
        for program in PROGRAMS:
            self.assertEqual(offers(self.shell, program, "--"), said_by_help(program, r"^  (--[a-z-]+)"))

    def test_the_second_word_of_a_command_follows_its_first(self):
        for words in (["dead", ""], ["--config", "some.conf", "dead", ""], ["--json", "dead", ""]):
            self.assertEqual(offers(self.shell, "heraldctl", *words), ["drop", "list", "replay", "show"])
        commands = [line.split() for line in said_by_help("heraldctl", r"^  ([a-z]+ [a-z]+)\b")]
        self.assertGreater(len(commands), 5)
        for first in {words[0] for words in commands}:
            self.assertEqual(offers(self.shell, "heraldctl", first, ""), sorted(second for word, second in commands if word == first))

    def test_where_a_file_belongs_the_shell_offers_files(self):
        for words in (["--config", ""], ["users", "import", ""], ["explain", ""]):
            self.assertEqual(offers(self.shell, "heraldctl", *words), [] if self.shell == "bash" else ["FILES"])


@unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
class Zsh(Bash):
    shell = "zsh"


if __name__ == "__main__":
    unittest.main(verbosity=2)
