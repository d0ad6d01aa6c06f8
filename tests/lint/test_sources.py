"""The checks of sources.py, each against a small tree that breaks its rule: a check that can't fail holds nothing."""

import pathlib
import tempfile
import unittest

import sources


class SourcesTest(unittest.TestCase):
    def complaints(self, check, files):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in files.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return list(check(root))

    def refuses(self, check, files, complaint):
        found = self.complaints(check, files)
        self.assertEqual(len(found), 1, found)
        self.assertIn(complaint, found[0])

    def test_store_and_send_never_include_each_other(self):
        contract = {"include/herald/lane.h": "", "src/send/lane.c": ""}
        self.refuses(sources.layers, {**contract, "src/store/a.c": '#include "herald/lane.h"\n'},
                     "store may not include send")
        contract = {"include/herald/link.h": "", "src/store/link.c": ""}
        self.refuses(sources.layers, {**contract, "src/send/a.c": '#include "herald/link.h"\n'},
                     "send may not include store")

    def test_arrows_point_down_in_the_contracts_too(self):
        self.refuses(sources.layers, {"src/base/log.c": "", "src/core/event.c": "", "include/herald/event.h": "",
                                      "include/herald/log.h": '#include "herald/event.h"\n'},
                     "base may not include core")

    def test_a_foreign_library_stays_in_its_home(self):
        self.refuses(sources.layers, {"src/store/a.c": "#include <curl/curl.h>\n"}, "libcurl may not")
        self.refuses(sources.layers, {"src/base/log.c": "#include <openssl/evp.h>\n"}, "openssl may not")
        self.assertEqual(self.complaints(sources.layers, {"src/base/hash.c": "#include <openssl/evp.h>\n"}), [])

    def test_an_unknown_header_is_refused(self):
        self.refuses(sources.layers, {"src/app/a.c": "#include <zlib.h>\n"}, "neither libc")

    def test_a_contract_without_a_home_is_refused(self):
        self.refuses(sources.layers, {"include/herald/stray.h": ""}, "no layer is its home")

    def test_unbounded_functions_are_refused_in_code_only(self):
        self.refuses(sources.words, {"src/a.c": "void f(void)\n{\n    strcpy(a, b);\n}\n"}, "a.c:3: strcpy()")
        self.assertEqual(self.complaints(sources.words, {"src/a.c": '/* strcpy(a, b) */ char *s = "sprintf(";\n'}), [])

    def test_exit_is_for_main(self):
        self.refuses(sources.words, {"src/app/daemon.c": "exit(1);\n"}, "main.c only")
        self.assertEqual(self.complaints(sources.words, {"src/app/main.c": "exit(1);\n", "src/a.c": "_exit(1);"}), [])

    def test_unfinished_things_and_silenced_checks_need_words(self):
        self.refuses(sources.words, {"src/a.c": "/* TO" "DO: bound */\n"}, "unfinished")
        self.refuses(sources.words, {"src/a.c": "f(); // NO" "LINT\n"}, "needs the check's name")

    def test_a_file_says_first_what_it_is(self):
        self.refuses(sources.heads, {"src/a.c": "int a;\n"}, "begin with a comment")
        self.assertEqual(self.complaints(sources.heads, {"src/a.c": "/* a.c - the letter. */\n"}), [])

    def test_a_file_that_is_not_built_is_refused(self):
        self.refuses(sources.listed, {"src/CMakeLists.txt": "add_library(x ba.c) # a.c\n", "src/a.c": ""}, "named in no")
        self.refuses(sources.listed, {"tests/system/CMakeLists.txt": "", "tests/system/x.py": ""}, "named in no")


if __name__ == "__main__":
    unittest.main()
