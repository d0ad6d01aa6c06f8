"""Checks of the source that no compiler makes. One check per run: sources.py CHECK ROOT.

Each is a rule of the style this tree is written in; src/README.md has the layer table that `layers` enforces.
A check that finds nothing to look at fails: a rule that looks in the wrong place holds nothing.
"""

import ast
import pathlib
import re
import sys

LAYERS = {
    # layer: (layers it may include, foreign libraries allowed in it)
    "base": ({"base"}, set()),
    "core": ({"base", "core"}, {"json-c"}),
    "conf": ({"base", "core", "conf"}, {"inih"}),
    "store": ({"base", "core", "conf", "store"}, {"hiredis", "libuv"}),
    "send": ({"base", "core", "conf", "send"}, {"libcurl", "openssl"}),
    "app": ({"base", "core", "conf", "store", "send", "app"}, {"libuv", "systemd", "libmicrohttpd", "json-c"}),
    "ctl": ({"base", "core", "conf", "store", "send", "ctl"}, {"json-c"}),
}
# Single files that may include what their layer may not, and why.
EXCEPTIONS = {
    "src/base/hash.c": {"openssl"},   # the one home of libcrypto's digests
    "src/send/render.c": {"json-c"},  # turns an event into the tree that templates walk
}
# Contracts without a .c of their name, and the layer they belong to.
HEADER_ONLY = {"commit.h": "core", "incoming.h": "core", "template.h": "core"}
FOREIGN = [
    (r"openssl/.*", "openssl"),
    (r"json-c/.*|json\.h", "json-c"),
    (r"ini\.h", "inih"),
    (r"hiredis/.*", "hiredis"),
    (r"uv\.h", "libuv"),
    (r"curl/.*", "libcurl"),
    (r"systemd/.*", "systemd"),
    (r"microhttpd\.h", "libmicrohttpd"),
]
LIBC = re.compile(
    r"(assert|ctype|dirent|errno|fcntl|float|getopt|inttypes|langinfo|limits|locale|math|netdb|poll|pthread|pwd|sched"
    r"|semaphore|signal|spawn|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|sysexits|syslog"
    r"|termios|threads|time|unistd|wchar|malloc)\.h|(sys|netinet|arpa|linux)/[a-z_]+\.h"
)


def c_files(root, *tops):
    return [path for top in tops for path in sorted((root / top).rglob("*.[ch]"))]


def code_of(text):
    """The text with comments and literals blanked, line for line."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def home_of(root, header):
    """The layer that a public header is the contract of: where its .c lies."""
    name = pathlib.Path(header).name
    stem = pathlib.Path(header).stem
    for layer in LAYERS:
        if (root / "src" / layer / f"{stem}.c").exists():
            return layer
    return HEADER_ONLY.get(name)


def layers(root):
    for path in c_files(root, "src", "include/herald"):
        where = path.relative_to(root)
        layer = where.parts[1] if where.parts[0] == "src" else home_of(root, where)
        if layer not in LAYERS:
            yield f"{where}: no layer is its home (no src/LAYER/{path.stem}.c; list it in HEADER_ONLY if it needs none)"
            continue
        may_include, may_use = LAYERS[layer]
        may_use = may_use | EXCEPTIONS.get(str(where), set())
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*(["<])([^">]+)', line)
            if not match:
                continue
            quote, name = match.groups()
            if quote == "<":
                library = next((lib for pattern, lib in FOREIGN if re.fullmatch(pattern, name)), None)
                if library and library not in may_use:
                    yield f"{where}:{number}: {library} may not be included in {layer}"
                elif not library and not LIBC.fullmatch(name):
                    yield f"{where}:{number}: <{name}> is neither libc nor a library of the layer table"
                continue
            if name.startswith("herald/"):
                other = home_of(root, name)
            elif "/" in name:
                other = name.split("/")[0]
            else:
                other = layer if (path.parent / name).exists() else None
            if other is None:
                yield f"{where}:{number}: \"{name}\" belongs to no layer"
            elif other not in may_include:
                yield f"{where}:{number}: {layer} may not include {other} (\"{name}\")"


BANNED = {
    r"\b(strcpy|strcat|stpcpy|sprintf|vsprintf|gets|alloca|strtok|atoi|atol|tmpnam|mktemp)\s*\(":
        "has no bound or no error",
    r"\b(localtime|gmtime|asctime|ctime|getpwuid|getpwnam|gethostbyname|inet_ntoa|rand)\s*\(": "is not for threads",
}
# A test may run a program, and a stress test may set a pace; the program does neither.
BANNED_IN_SOURCE = {
    r"\b(system|popen)\s*\(": "starts a shell",
    r"\b(sleep|usleep)\s*\(": "wait on a condition with a deadline",
}


def words(root):
    for path in c_files(root, "src", "include", "tests"):
        where = path.relative_to(root)
        text = path.read_text()
        for number, line in enumerate(code_of(text).splitlines(), 1):
            for pattern, why in (BANNED | (BANNED_IN_SOURCE if where.parts[0] == "src" else {})).items():
                match = re.search(pattern, line)
                if match:
                    yield f"{where}:{number}: {match.group(1)}(): {why}"
            if re.search(r"(?<![_\w])exit\s*\(", line) and where.parts[0] == "src" and path.name != "main.c":
                yield f"{where}:{number}: exit() belongs in main.c only"
        for number, line in enumerate(text.splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX)\b", line):
                yield f"{where}:{number}: an unfinished thing: finish it or write down the limit as a fact"
            if "NOLINT" in line and not re.search(r"NOLINT\w*\([\w.,*-]+\):? +\S+", line):
                yield f"{where}:{number}: NOLINT needs the check's name and a reason: NOLINT(check): why"
            if "cppcheck-suppress" in line and not re.search(r"cppcheck-suppress +\S+ +;? *\S+", line):
                yield f"{where}:{number}: cppcheck-suppress needs a reason after it"


def heads(root):
    for path in c_files(root, "src", "include", "tests"):
        head = path.read_text().split("\n", 1)[0]
        if not re.match(r"/\* \S+ +\S+", head):
            yield f"{path.relative_to(root)}:1: begin with a comment: what this file is for"


def listed(root):
    """A file that no CMakeLists.txt names is never built, or never run."""
    for path in c_files(root, "src", "tests"):
        if path.suffix == ".c":
            # What tests share lies in support/, and is named where it is used.
            folder = (root / "tests").rglob("CMakeLists.txt") if "support" in path.parts else None
            yield from not_named_in(root, path, folder, path.name, path.stem)
    for path in sorted((root / "src").rglob("*.lua")):
        yield from not_named_in(root, path, None, path.name)
    for path in sorted((root / "tests/system").glob("*.py")):
        yield from not_named_in(root, path, None, path.stem)


def not_named_in(root, path, lists, *names):
    """`lists` are the CMakeLists.txt to look in; None: the one nearest above the file."""
    if lists is None:
        lists = [next(folder / "CMakeLists.txt" for folder in path.parents if (folder / "CMakeLists.txt").exists())]
    for file in lists:
        text = re.sub(r"#[^\n]*", "", file.read_text())
        if any(re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", text) for name in names):
            return
    yield f"{path.relative_to(root)}: named in no CMakeLists.txt"


def python(root):
    for path in sorted((root / "tests").rglob("*.py")):
        try:
            ast.parse(path.read_text(), str(path))
        except SyntaxError as error:
            yield f"{path.relative_to(root)}:{error.lineno}: {error.msg}"


CHECKS = {f.__name__: f for f in (layers, words, heads, listed, python)}


def main():
    check, root = CHECKS[sys.argv[1]], pathlib.Path(sys.argv[2]).resolve()
    if not c_files(root, "src", "include"):
        print(f"no source under {root}")
        return 1
    complaints = list(check(root))
    print("\n".join(complaints) or f"{check.__name__}: nothing to complain about")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
