"""Licences, bans and sources of every dependency, as deny.toml has them: python3 scripts/audit.py deny.toml WORKSPACE..."""

import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

# Parts of an expression of SPDX: brackets, operators, and licences, of which one may have an exception.
TOKEN = re.compile(r"\s*(\(|\)|AND\b|OR\b|[\w.+-]+(?:\s+WITH\s+[\w.+-]+)?)")


def main() -> int:
    rules = tomllib.loads(Path(sys.argv[1]).read_text())
    allowed = set(rules["licenses"]["allow"])
    banned = {entry["name"] for entry in rules["bans"]["deny"]}
    target = rules["graph"]["targets"][0]
    problems: list[str] = []
    checked: set[tuple[str, str]] = set()
    registries: set[str] = set()
    for workspace in sys.argv[2:]:
        found, packages = used(workspace, target)
        problems += found
        versions = defaultdict(set)
        for package in packages:
            name, version, source = package["name"], package["version"], package["source"]
            versions[name].add(version)
            where = f"{workspace}: {name} {version}"
            if name in banned:
                problems.append(f"{where} may not be there")
            if source is None:
                continue
            checked.add((name, version))
            registries.add(source)
            if not source.startswith("registry+"):
                problems.append(f"{where} comes from {source}, which is no registry")
            if not licensed(package["license"] or "", allowed):
                problems.append(f"{where} has the licence {package['license'] or 'of a file'!r}, which deny.toml does not allow")
        several = sorted(f"{name} {', '.join(sorted(found))}" for name, found in versions.items() if len(found) > 1)
        print(f"{workspace}: {len(packages)} packages" + (f"; in several versions: {'; '.join(several)}" if several else ""))
    if len(registries) > 1:
        problems.append(f"dependencies come from several places: {', '.join(sorted(registries))}")
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    print(f"{len(checked)} versions of dependencies: licences, bans and sources checked, {len(problems)} problems")
    return 1 if problems or not checked else 0


def used(workspace: str, target: str) -> tuple[list[str], list[dict]]:
    """The packages that a workspace is built of, those of its tests included."""
    texts = []
    for command in (
        ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target],
        # The list has what other features would need, the tree has not.
        ["cargo", "tree", "--locked", "--workspace", "--target", target, "--edges", "all", "--prefix", "none", "--format", "{p}"],
    ):
        told = subprocess.run(command, cwd=workspace, capture_output=True, text=True)
        if told.returncode != 0:
            return [f"{workspace}: its dependencies cannot be told: {told.stderr.strip()}"], []
        texts.append(told.stdout)
    lines = (line.split() for line in texts[1].splitlines())
    tree = {(words[0], words[1].removeprefix("v")) for words in lines if len(words) > 1}
    packages = json.loads(texts[0])["packages"]
    return [], [package for package in packages if (package["name"], package["version"]) in tree]


def licensed(expression: str, allowed: set[str]) -> bool:
    """Whether an expression can be fulfilled with licences that are allowed. `/` is what `OR` was called once."""
    tokens = TOKEN.findall(expression.replace("/", " OR "))
    if "".join(tokens).replace(" ", "") != expression.replace("/", "OR").replace(" ", "") or not tokens:
        return False
    tokens = [re.sub(r"\s+", " ", token) for token in tokens]

    def alternatives(at: int) -> tuple[bool, int]:
        holds, at = parts(at)
        while at < len(tokens) and tokens[at] == "OR":
            other, at = parts(at + 1)
            holds = holds or other
        return holds, at

    def parts(at: int) -> tuple[bool, int]:
        holds, at = one(at)
        while at < len(tokens) and tokens[at] == "AND":
            other, at = one(at + 1)
            holds = holds and other
        return holds, at

    def one(at: int) -> tuple[bool, int]:
        if at >= len(tokens):
            return False, at
        if tokens[at] == "(":
            holds, at = alternatives(at + 1)
            return holds, at + 1
        return tokens[at] in allowed, at + 1

    holds, end = alternatives(0)
    return holds and end == len(tokens)


if __name__ == "__main__":
    sys.exit(main())
