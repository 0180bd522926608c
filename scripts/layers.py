"""Checks the direction of imports and dependencies. scripts/layers describes the checks and the options."""

import re
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

# The packages that a crate must not depend on, directly or indirectly. Its tests may.
FENCES = {
    "wsrun-proto": ["tokio", "mio", "socket2", "getrandom", "rand", "chrono", "time", "instant"],
    "wsrun-contract": ["tokio", "mio", "hyper", "wasmtime", "rustix", "nix"],
    "wsrun-metrics": ["hyper", "wasmtime", "prometheus-client", "socket2"],
    "wsrun-tape": ["hyper", "wasmtime", "socket2", "clap"],
    "wsrun-net": ["hyper", "wasmtime", "clap", "wsrun-runtime"],
    "wsrun-runtime": ["wasmtime", "hyper", "rustls", "socket2", "clap", "wsrun-net", "wsrun-wasm", "wsrun-tape"],
    # socket2 comes with the tokio of wasmtime-wasi, of which no socket is granted.
    "wsrun-wasm": ["hyper-util", "rustls", "clap", "wsrun-net", "wsrun-runtime"],
}

ALLOWED = Path("scripts/layers.allow")
HEADING = """\
# Imports between modules (crate: module -> module) and between files (crate: file.rs -> file.rs) that are part of a circle.
# scripts/layers fails on an import in a circle that is not listed here, and on a line here that is not needed any more. The list only gets
# shorter. scripts/layers --update writes it.
"""

# Comments and literals are tokens of their own, so that their contents are not read as code.
TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<text>[bc]?r(?P<hashes>\#*)".*?"(?P=hashes)|[bc]?"(?:\\.|[^"\\])*"|b?'(?:\\.[^']*|[^'\\])')
    |(?P<lifetime>'\w+)
    |(?P<name>(?:r\#)?[A-Za-z_]\w*)
    |(?P<number>\d\w*)
    |(?P<other>::|->|=>|.)""",
    re.S | re.X,
)
ITEMS = {"fn", "struct", "enum", "trait", "type", "const", "static", "union"}
BEGINS_ITEM = ITEMS | {"pub", "use", "mod", "impl", "async", "unsafe", "extern", "macro_rules", "let"}
CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclass
class Module:
    name: str
    file: Path
    parent: "Module | None"
    children: dict[str, "Module"] = field(default_factory=dict)
    items: set[str] = field(default_factory=set)
    # The path behind each name that `use` brings into this module.
    imports: dict[str, list[str]] = field(default_factory=dict)
    globs: list[list[str]] = field(default_factory=list)
    # Every path in the code of the module: the path, its line, whether it is re-exported (`pub use`) and whether it ends in `*`.
    paths: list[tuple[list[str], int, bool, bool]] = field(default_factory=list)

    @property
    def root(self) -> "Module":
        return self.parent.root if self.parent else self

    @property
    def top(self) -> str | None:
        """Returns the name of the top-level module that has this one inside; None for the root."""
        if self.parent is None:
            return None
        return self.parent.top or self.name

    def all(self) -> "list[Module]":
        return [self] + [inner for child in self.children.values() for inner in child.all()]

    def is_inside(self, other: "Module") -> bool:
        return self is other or (self.parent is not None and self.parent.is_inside(other))


@dataclass
class Target:
    """The target of a path: the module that defines the item, or that is named itself, and the top-level module in the path."""

    module: Module
    is_module: bool
    named: str | None


def main() -> int:
    arguments = sys.argv[1:]
    if arguments not in ([], ["--update"], ["--update", "--longer"], ["--show"]):
        print("usage: scripts/layers [--update [--longer] | --show]", file=sys.stderr)
        return 2
    circular: dict[str, str] = {}
    for manifest in sorted(Path("host").rglob("Cargo.toml")):
        package = re.search(r'^\[package\]\s.*?^name = "([^"]+)"', manifest.read_text(), re.M | re.S)
        root = next((path for path in (manifest.parent / "src/lib.rs", manifest.parent / "src/main.rs") if path.exists()), None)
        if package is None or root is None:
            continue
        crate = read_crate(root)
        modules, files = arrows_of(crate)
        for what, number, arrows in (
            ("top-level modules", len(crate.children), modules),
            ("files", len({module.file for module in crate.all()}), files),
        ):
            inside, largest = in_circles(arrows)
            circular |= {f"{package[1]}: {tail} -> {head}": explain(arrows, tail, head) for tail, head in inside}
            circles = f"{len(inside)} in circles, the largest of {largest} {what}" if inside else "none in a circle"
            print(f"{package[1]}: {number} {what}, {len(arrows)} arrows, {circles}")
    if arguments == ["--show"]:
        print("".join(f"{arrow}   ({why})\n" for arrow, why in sorted(circular.items())), end="")
        return 0
    allowed = {line for line in ALLOWED.read_text().splitlines() if line and not line.startswith("#")} if ALLOWED.exists() else set()
    if arguments:
        return update(circular, allowed, "--longer" in arguments)
    problems = [f"{arrow} is part of a circle: {why}" for arrow, why in sorted(circular.items()) if arrow not in allowed]
    for arrow in sorted(allowed - circular.keys()):
        problems.append(f"{arrow} is in no circle any more: delete its line in {ALLOWED} (scripts/layers --update does)")
    for package, names in FENCES.items():
        problems += dependencies(package, names)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    print(f"imports and dependencies checked: {len(allowed)} arrows in circles are allowed, {len(problems)} problems")
    return 1 if problems else 0


def update(circular: dict[str, str], allowed: set[str], longer: bool) -> int:
    added, removed = sorted(circular.keys() - allowed), sorted(allowed - circular.keys())
    for arrow in added:
        print(f"new: {arrow}: {circular[arrow]}")
    if len(circular) > len(allowed) and not longer:
        print(f"error: {ALLOWED} would have {len(circular) - len(allowed)} lines more. Break the new circles. If a file was only split "
              "and its parts are still in the old circle, pass --longer as well and give the reason in the commit.", file=sys.stderr)
        return 1
    ALLOWED.write_text(HEADING + "".join(f"{arrow}\n" for arrow in sorted(circular)))
    print(f"{ALLOWED}: {len(circular)} arrows, {len(added)} of them new, {len(removed)} fewer than before")
    return 0


def read_crate(root: Path) -> Module:
    crate = Module("crate", root, None)
    read_file(crate, root.parent)
    return crate


def read_file(module: Module, folder: Path) -> None:
    """Reads the file of a module and the files of its children, which are in `folder`."""
    tokens = []
    text = module.file.read_text()
    line = 1
    for match in TOKEN.finditer(text):
        if match.lastgroup != "skip" and match["skip"] is None:
            tokens.append((match[0], line))
        line += match[0].count("\n")
    read_tokens(tokens, module, folder)


def read_tokens(tokens: list[tuple[str, int]], module: Module, folder: Path) -> None:
    at = 0
    re_exported = False
    while at < len(tokens):
        token, line = tokens[at]
        following = tokens[at + 1][0] if at + 1 < len(tokens) else ""
        if token == "#" and following in ("[", "!"):
            end = skip_group(tokens, at + (1 if following == "[" else 2))
            at = skip_item(tokens, end) if "".join(text for text, _ in tokens[at:end]) == "#[cfg(test)]" else end
        elif token == "pub":
            at = skip_group(tokens, at + 1) if following == "(" else at + 1
            re_exported = True
            continue
        elif token == "use" and following != "<":
            end = next(end for end in range(at, len(tokens)) if tokens[end][0] == ";")
            for path, alias in tree([text for text, _ in tokens[at + 1 : end]]):
                module.paths.append((path, line, re_exported, alias == "*"))
                if alias == "*":
                    module.globs.append(path)
                else:
                    module.imports[alias] = path
            at = end + 1
        elif token == "mod" and tokens[at + 2][0] == ";":
            names = (folder / f"{following}.rs", folder / following / "mod.rs")
            file = next((name for name in names if name.exists()), None)
            if file is None:
                sys.exit(f"{module.file}:{line}: there is no file of module {following}")
            child = module.children[following] = Module(following, file, module)
            read_file(child, folder / following)
            at += 3
        elif token == "mod" and tokens[at + 2][0] == "{":
            end = skip_group(tokens, at + 2)
            child = module.children[following] = Module(following, module.file, module)
            read_tokens(tokens[at + 3 : end - 1], child, folder / following)
            at = end
        elif token in ITEMS and following.isidentifier():
            # Items inside functions and types are counted too, which does no harm.
            module.items.add(following)
            at += 1
        elif token == "macro_rules" and following == "!":
            module.items.add(tokens[at + 2][0])
            at += 3
        elif following == "::" and token.isidentifier():
            path = [token]
            at += 2
            while at < len(tokens) and tokens[at][0].isidentifier():
                path.append(tokens[at][0])
                at += 1
                if at >= len(tokens) or tokens[at][0] != "::":
                    break
                at += 1
            if len(path) > 1:
                module.paths.append((path, line, False, False))
        else:
            at += 1
        re_exported = False


def skip_group(tokens: list[tuple[str, int]], at: int) -> int:
    """Returns the position after the bracket that closes the one at `at`."""
    closing = [CLOSING[tokens[at][0]]]
    while closing:
        at += 1
        token = tokens[at][0]
        if token in CLOSING:
            closing.append(CLOSING[token])
        elif token == closing[-1]:
            closing.pop()
    return at + 1


def skip_item(tokens: list[tuple[str, int]], at: int) -> int:
    """Returns the position after the item, field, arm or statement at `at`."""
    while tokens[at][0] == "#":
        at = skip_group(tokens, at + 1)
    item = tokens[at][0] in BEGINS_ITEM
    while at < len(tokens):
        token = tokens[at][0]
        if token in (")", "]", "}"):
            return at
        if token == ";" or (token == "," and not item):
            return at + 1
        if token in CLOSING:
            at = skip_group(tokens, at)
            # `use a::{b};` and `const A: [u8; 2] = [1, 2];` go on behind a bracket.
            if token == "{" and item and (at >= len(tokens) or tokens[at][0] != ";"):
                return at
        else:
            at += 1
    return at


def tree(tokens: list[str]) -> list[tuple[list[str], str]]:
    """Returns the paths of a `use` declaration, each with the name that it gets here, or `*`."""
    found = []

    def read(at: int, before: list[str]) -> int:
        path = list(before)
        while at < len(tokens):
            token = tokens[at]
            if token == "::":
                at += 1
            elif token == "{":
                at += 1
                while tokens[at] != "}":
                    at = read(at, path)
                    if tokens[at] == ",":
                        at += 1
                return at + 1
            elif token == "*":
                found.append((path, "*"))
                return at + 1
            elif token == "as":
                found.append((path, tokens[at + 1]))
                return at + 2
            elif token in (",", "}"):
                break
            else:
                if token != "self" or not path:
                    path.append(token.removeprefix("r#"))
                at += 1
        found.append((path, path[-1]))
        return at

    read(0, [])
    return found


def resolve(module: Module, path: list[str], seen: frozenset = frozenset()) -> Target | None:
    """Resolves a path in the code of a module through all imports. Returns None for a path out of the crate."""
    if (id(module), tuple(path)) in seen:
        return None
    seen |= {(id(module), tuple(path))}
    head, rest = path[0], path[1:]
    if head in ("crate", "self", "super"):
        at = module.root if head == "crate" else module
        if head == "super":
            rest = path
            while rest and rest[0] == "super":
                if at.parent is None:
                    return None
                at, rest = at.parent, rest[1:]
        target = Target(at, True, at.top)
    else:
        target = look_up(module, head, seen)
    for name in rest:
        if target is None or not target.is_module:
            break
        inner = look_up(target.module, name, seen)
        # The root has no name of its own: a path through its re-exports names the module that they come from.
        named = target.named or (inner.named if inner else None)
        # An unknown name is made by a macro, or comes from another crate.
        target = Target(inner.module, inner.is_module, named) if inner else Target(target.module, False, named)
    return target


def look_up(module: Module, name: str, seen: frozenset) -> Target | None:
    if name in module.children:
        child = module.children[name]
        return Target(child, True, child.top)
    if name in module.items:
        return Target(module, False, module.top)
    if name in module.imports and module.imports[name] != [name]:
        return resolve(module, module.imports[name], seen)
    for path in module.globs:
        target = resolve(module, path, seen)
        if target and target.is_module and (id(target.module), name) not in seen:
            found = look_up(target.module, name, seen | {(id(target.module), name)})
            if found:
                return found
    return None


def arrows_of(crate: Module) -> tuple[dict[tuple[str, str], str], dict[tuple[str, str], str]]:
    """Returns the arrows between top-level modules and the arrows between files, each with the line of its first import."""
    modules: dict[tuple[str, str], str] = {}
    files: dict[tuple[str, str], str] = {}
    folder = crate.file.parent
    for module in crate.all():
        for path, line, re_exported, is_glob in module.paths:
            target = resolve(module, path)
            if target is None:
                continue
            where = f"{module.file}:{line}"
            if module.top and target.named and module.top != target.named:
                modules.setdefault((module.top, target.named), where)
            # A module may re-export its children's items without depending on them. The import of a module is an arrow where it is used.
            if (re_exported and target.module.is_inside(module)) or (target.is_module and not is_glob):
                continue
            if target.module.file != module.file:
                ends = (str(module.file.relative_to(folder)), str(target.module.file.relative_to(folder)))
                files.setdefault(ends, where)
    return modules, files


def in_circles(arrows: dict[tuple[str, str], str]) -> tuple[set[tuple[str, str]], int]:
    """Returns the arrows with both ends in one strongly connected component, and the size of the largest component."""
    heads, tails = defaultdict(set), defaultdict(set)
    for tail, head in arrows:
        heads[tail].add(head)
        tails[head].add(tail)
    component: dict[str, frozenset] = {}
    for node in sorted(heads):
        if node not in component:
            both = frozenset((reached(heads, node) & reached(tails, node)) | {node})
            component |= {member: both for member in both}
    inside = {(tail, head) for tail, head in arrows if head in component[tail]}
    return inside, max((len(component[tail]) for tail, _ in inside), default=1)


def reached(arrows: dict[str, set[str]], start: str) -> set[str]:
    found, left = set(), [start]
    while left:
        new = arrows.get(left.pop(), set()) - found
        found |= new
        left += new
    return found


def explain(arrows: dict[tuple[str, str], str], tail: str, head: str) -> str:
    """Describes the shortest circle that an arrow closes."""
    heads = defaultdict(list)
    for one, other in sorted(arrows):
        heads[one].append(other)
    ways, left = {head: [head]}, [head]
    while tail not in ways:
        node = left.pop(0)
        for other in heads[node]:
            if other not in ways:
                ways[other] = [*ways[node], other]
                left.append(other)
    return f"{arrows[tail, head]}; back by {' -> '.join(ways[tail])}"


def dependencies(package: str, names: list[str]) -> list[str]:
    """Returns a problem for each banned package among the normal dependencies of a crate."""
    command = ["cargo", "tree", "--locked", "--package", package, "--edges", "normal", "--prefix", "none", "--format", "{p}"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        return [f"cargo cannot list the dependencies of {package}: {result.stderr.strip()}"]
    found = {line.split()[0] for line in result.stdout.splitlines() if line}
    print(f"{package}: {len(found) - 1} packages, none of {', '.join(names)}" if not found & set(names) else f"{package}: {len(found) - 1} packages")
    return [f"{package} must not depend on {name}: cargo tree -p {package} -e normal -i {name}" for name in names if name in found]


if __name__ == "__main__":
    sys.exit(main())
