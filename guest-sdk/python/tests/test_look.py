"""What the build finds in a source. Run with ``python3 -m unittest discover guest-sdk/python/tests``."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from wsrun_build._look import BuildError, find_handler


class Look(unittest.TestCase):
    def find(self, source, name=None, **beside):
        with tempfile.TemporaryDirectory() as folder:
            for module, text in {"app": source, **beside}.items():
                Path(folder, f"{module}.py").write_text(text)
            return find_handler(Path(folder, "app.py"), name)

    def refuses(self, source, text, name=None):
        with self.assertRaises(BuildError) as caught:
            self.find(source, name)
        self.assertIn(text, str(caught.exception))

    def test_exports_are_those_of_the_methods_that_the_class_defines(self):
        found = self.find("import wsrun\nclass A(wsrun.Handler):\n def timer(self): ...\n def lost(self): ...\n def helper(self): ...")
        self.assertEqual((found.name, found.exports()), ("A", ["reconnection", "timer-handler"]))

    def test_a_handler_without_optional_methods_has_no_optional_exports(self):
        self.assertEqual(self.find("import wsrun\nclass A(wsrun.Handler):\n def received(self): ...").exports(), [])

    def test_names_of_imports_are_followed(self):
        for head, base in [
            ("import wsrun as w", "w.Handler"),
            ("from wsrun import Handler", "Handler"),
            ("from wsrun import Handler as Base", "Base"),
        ]:
            self.assertEqual(self.find(f"{head}\nclass A({base}):\n pass").name, "A")

    def test_methods_of_bases_count_wherever_they_are(self):
        source = "import wsrun\nfrom mixins import Timed\nclass Base(wsrun.Handler):\n def pong(self): ...\nclass A(Timed, Base):\n pass"
        found = self.find(source, mixins="class Timed:\n def timer(self): ...")
        self.assertEqual((found.name, found.exports()), ("A", ["pong", "timer-handler"]))

    def test_methods_that_are_assigned_count(self):
        source = "import wsrun\nclass A(wsrun.Handler):\n def lost(self): ...\n restored = lost\n http = lost"
        self.assertEqual(self.find(source).exports(), ["http", "reconnection"])

    def test_one_of_several_handlers_is_named(self):
        source = "import wsrun\nclass A(wsrun.Handler):\n pass\nclass B(wsrun.Handler):\n def http(self): ..."
        self.refuses(source, "several handlers, A, B")
        self.assertEqual(self.find(source, "B").exports(), ["http"])
        self.refuses(source, "no class C", "C")

    def test_a_module_without_a_handler_is_refused(self):
        self.refuses("class Handler:\n pass\nclass A(Handler):\n pass", "no class that derives from wsrun.Handler")

    def test_methods_that_nobody_calls_are_told_with_what_is_meant(self):
        names = ["recieved", "onOpen", "on_disconnect", "hanshake", "helper", "_close", "ping", "write"]
        methods = "".join(f" def {name}(self): ...\n" for name in names)
        found = self.find(f"import wsrun\nclass A(wsrun.Handler):\n{methods}")
        meant = [("hanshake", "handshake"), ("onOpen", "opened"), ("on_disconnect", "closed"), ("recieved", "received")]
        self.assertEqual(found.misspelled(), meant)
        right = "import wsrun\nclass A(wsrun.Handler):\n def closed(self): ...\n def close(self): ..."
        self.assertEqual(self.find(right).misspelled(), [])

    def test_what_cannot_work_is_refused(self):
        self.refuses("import wsrun\nclass A(wsrun.Handler):\n def save(self): ...", "save and no restore")
        self.refuses("import wsrun\nclass A(wsrun.Handler):\n async def received(self): ...", "app.py:3: received is async")
        self.refuses("import wsrun\nclass A(", "app.py:2")


if __name__ == "__main__":
    unittest.main()
