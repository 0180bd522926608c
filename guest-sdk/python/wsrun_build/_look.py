"""Finds the handler in a source, and the methods that it defines, without running it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Optional


class BuildError(Exception):
    """Why nothing was built: a sentence for the author."""


EXPORTS = {
    "handshake": "handshake",
    "writable": "writable",
    "received_chunk": "chunks",
    "wanted": "broadcast-filter",
    "accepts": "network-filter",
    "http": "http",
    "lost": "reconnection",
    "restored": "reconnection",
    "pong": "pong",
    "timer": "timer-handler",
    "started": "lifecycle",
    "resumed": "lifecycle",
    "save": "lifecycle",
    "restore": "lifecycle",
    "draining": "lifecycle",
}
"""The optional export that a method of the handler belongs to."""


@dataclass
class Found:
    """The class of a handler."""

    name: str
    methods: set[str]
    """Of it and of the classes that it derives from, but for those of ``wsrun.Handler``."""

    def exports(self) -> list[str]:
        """The optional exports that it needs."""
        return sorted({EXPORTS[method] for method in self.methods if method in EXPORTS})

    def misspelled(self) -> list[tuple[str, str]]:
        """Methods that nobody calls, with the one that each may have been meant to be."""
        found = [(name, self._meant(name)) for name in sorted(self.methods)]
        return [(name, method) for name, method in found if method is not None]

    def _meant(self, name: str) -> Optional[str]:
        known = [*ALWAYS, *EXPORTS]
        if name in known or name.startswith("_"):
            return None
        missing = sorted(set(known) - self.methods)
        plain = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
        bare = plain.removeprefix("on_").removeprefix("handle_")
        if ALIASES.get(bare) in missing:
            return ALIASES[bare]
        return next(iter(get_close_matches(bare, missing, 1, 0.8)), None)


def find_handler(source: Path, name: str | None) -> Found:
    """Finds the handler of a module; ``name`` says which class, where there are several."""
    module = _Module(source)
    handlers = [found for found in map(module.handler, module.classes) if found]
    # Of several, the one that no other derives from.
    bases = {base for found in handlers for base in module.bases_of(found.name)}
    handlers = [found for found in handlers if (found.name == name if name else found.name not in bases)]
    if not handlers:
        what = f"no class {name} that derives" if name else "no class that derives"
        raise BuildError(f"{source} has {what} from wsrun.Handler")
    if len(handlers) > 1:
        names = ", ".join(found.name for found in handlers)
        raise BuildError(f"{source} has several handlers, {names}: say which with --class")
    found = handlers[0]
    if "save" in found.methods and "restore" not in found.methods:
        raise BuildError(f"{found.name} has save and no restore, so that what is saved would be lost")
    return found


class _Module:
    """The classes of a source, and what its imports are called."""

    def __init__(self, source: Path) -> None:
        try:
            tree = ast.parse(source.read_bytes(), str(source))
        except OSError as error:
            raise BuildError(f"{source} cannot be read: {error.strerror}") from None
        except SyntaxError as error:
            raise BuildError(f"{source}:{error.lineno}: {error.msg}") from None
        self.source = source
        self.classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        self.imported: dict[str, str] = {}
        """Dotted names, by the names that they have here."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self.imported[alias.asname or alias.name] = alias.name
            elif isinstance(node, ast.ImportFrom):
                prefix = f"{node.module}." if node.module else ""
                for alias in node.names:
                    self.imported[alias.asname or alias.name] = prefix + alias.name

    def bases_of(self, name: str) -> list[str]:
        return [ast.unparse(base) for base in self.classes[name].bases]

    def handler(self, name: str) -> Found | None:
        """A class with its methods, if it derives from ``wsrun.Handler``."""
        node = self.classes[name]
        methods = {item.name for item in node.body if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))}
        methods |= {
            target.id
            for item in node.body
            if isinstance(item, ast.Assign)
            for target in item.targets
            if isinstance(target, ast.Name)
        }
        for item in node.body:
            if isinstance(item, ast.AsyncFunctionDef) and (item.name in EXPORTS or item.name in ALWAYS):
                raise BuildError(f"{self.source}:{item.lineno}: {item.name} is async: a handler's methods are plain ones")
        is_handler = False
        for base in self.bases_of(name):
            inherited = self._base(base)
            if inherited is None:
                continue
            base_is_handler, base_methods = inherited
            is_handler |= base_is_handler
            methods |= base_methods
        return Found(name, methods) if is_handler else None

    def _base(self, base: str) -> tuple[bool, set[str]] | None:
        """Whether a base is a handler, and its methods."""
        head, _, rest = base.partition(".")
        dotted = ".".join(part for part in (self.imported.get(head, head), rest) if part)
        if dotted == "wsrun.Handler":
            return True, set()
        if base in self.classes:
            found = self.handler(base)
            return (True, found.methods) if found else (False, self._plain_methods(base))
        module_name, _, class_name = dotted.rpartition(".")
        beside = self.source.parent.joinpath(*module_name.split(".")).with_suffix(".py") if module_name else None
        if beside is None or not beside.is_file():
            return None
        module = _Module(beside)
        return module._base(class_name) if class_name in module.classes else None

    def _plain_methods(self, name: str) -> set[str]:
        return {item.name for item in self.classes[name].body if isinstance(item, ast.FunctionDef)}


ALWAYS = {"opened", "received", "closed"}
"""The methods that are called whatever the component exports."""

ALIASES = {
    "message": "received",
    "connect": "opened",
    "connected": "opened",
    "disconnect": "closed",
    "disconnected": "closed",
}
"""What other libraries call them."""
