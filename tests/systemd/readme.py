"""The README's chapter on installing, run word for word by somebody who has just this machine."""

import pathlib
import re
import shutil
import unittest

from installed import DEB, PACKAGE, TestCase

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"
CHAPTER = "Installing it as a service"
HOME = "/root/herald"
# What a container has not, or what a person does at a terminal.
STAND_INS = {
    f"{HOME}/dev": 'test "$1" = package # and there it is',
    "/usr/local/bin/sudo": 'exec "$@"',
    "/usr/local/bin/sudoedit": 'test -f "$1"',
}


def blocks(chapter):
    """The chapter's blocks of commands, in their order."""
    text = README.read_text()
    body = text.split(f"\n## {chapter}\n", 1)[1].split("\n## ", 1)[0]
    found = re.findall(r"(?:^    .*\n(?:\n(?=    ))?)+", body, re.M)
    return [re.sub(r"^    ", "", block, flags=re.M) for block in found]


class Readme(TestCase):
    def setUp(self):
        for path, text in STAND_INS.items():
            self.debian.write(path, f"#!/bin/sh\n{text}\n", mode=0o755)
        self.debian.write("/etc/apt/apt.conf.d/90yes", 'APT::Get::Assume-Yes "true";\n')
        self.debian.path(f"{HOME}/build").mkdir()
        shutil.copyfile(DEB, self.debian.path(f"{HOME}/build/{DEB.name}"))
        self.debian.path(PACKAGE).unlink()

    def test_the_chapter_on_installing_can_be_followed_word_for_word(self):
        # What must be true after a block that says this.
        outcomes = {
            "apt-get install": lambda: self.debian.path("/usr/bin/heraldd").exists(),
            "enable --now heraldd ": lambda: self.debian.show("heraldd", "ActiveState") == "active",
            "LoadCredential": lambda: self.debian.path("/run/credentials/heraldd.service/mail-password").exists(),
            "heraldd@shop2": lambda: "running" in self.debian.show("heraldd@shop2", "StatusText"),
            "apt-get purge": lambda: not self.debian.path("/usr/bin/heraldd").exists(),
        }
        seen = set()
        for block in blocks(CHAPTER):
            self.debian.shell(f"cd {HOME}\n{block}", timeout=300)
            for words in [words for words in outcomes if words in block]:
                self.wait(outcomes[words], 20, f"what is promised by\n{block}")
                seen.add(words)
        self.assertEqual(seen, set(outcomes))


if __name__ == "__main__":
    unittest.main(verbosity=2)
