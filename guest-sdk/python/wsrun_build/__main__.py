"""The build: looks at the handler, writes a world with the exports that it needs, and has componentize-py make the component."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ._contract import PACKAGE
from ._look import BuildError, Found, find_handler

SDK = Path(__file__).resolve().parent.parent
WORLD = "handler-in-python"
GLUE = "wsrun_glue"
TIMEOUT = 300.0
"""How long componentize-py may take, in seconds: it loads the handler's modules, in a sandbox."""


def main() -> int:
    """Builds what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m wsrun_build", description="Makes a component of a handler in Python.")
    parser.add_argument("source", type=Path, help="the module with the handler")
    parser.add_argument("-o", "--output", type=Path, required=True, help="where the component goes")
    parser.add_argument("--class", dest="name", help="which class is the handler, where the module has several")
    parser.add_argument("--build", type=Path, default=Path("build"), help="a folder for what is in between [default: build]")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds that building may take [default: %(default)g]")
    parser.add_argument("--wit", type=Path, help="the contract [default: the SDK's]")
    arguments = parser.parse_args()
    try:
        found = find_handler(arguments.source, arguments.name)
        for name, method in found.misspelled():
            print(f"warning: nobody calls the method {name} of {found.name}: is {method} meant?", file=sys.stderr)
        _write_glue(found, arguments.source, arguments.build, arguments.wit or _contract())
        _componentize(arguments.source, arguments.build, arguments.output, arguments.timeout)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _contract() -> Path:
    """The contract: beside the SDK in a project, at the top in wsrun's own repository."""
    for folder in (SDK / "wit", SDK.parent.parent / "wit"):
        if (folder / "world.wit").is_file():
            return folder
    raise BuildError("the contract (wit) is not in the SDK: say where with --wit")


def _write_glue(found: Found, source: Path, build: Path, contract: Path) -> None:
    if not source.stem.isidentifier():
        raise BuildError(f"{source.name} cannot be imported: name it like a Python module")
    shutil.rmtree(build / "wit", ignore_errors=True)
    shutil.copytree(contract, build / "wit")
    interfaces = found.exports()
    exports = "".join(f"    export {name};\n" for name in interfaces)
    world = f"world {WORLD} {{\n    include websocket-handler;\n{exports}}}\n"
    (build / "wit" / f"{WORLD}.wit").write_text(f"package {PACKAGE};\n\n{world}")
    lines = [
        f"from {source.stem} import {found.name} as _Handler",
        "from wsrun._exports import use",
    ]
    for name in ["handler", *interfaces]:
        class_name = "".join(word.capitalize() for word in name.split("-"))
        lines.append(f"from wsrun._exports.{name.replace('-', '_')} import {class_name}")
    lines.append("\nuse(_Handler)\n")
    (build / f"{GLUE}.py").write_text("\n".join(lines))


def _componentize(source: Path, build: Path, output: Path, timeout: float) -> None:
    if importlib.util.find_spec("componentize_py") is None:
        raise BuildError("componentize-py is missing: pip install -r requirements.txt")
    # What `wsrun` imports, for type checkers.
    shutil.rmtree(build / "bindings", ignore_errors=True)
    _run(build, timeout, "bindings", str(build / "bindings"))
    output.parent.mkdir(parents=True, exist_ok=True)
    made = output.with_name(f"{output.name}.new")
    paths = [build.resolve(), source.resolve().parent, SDK]
    _run(build, timeout, "componentize", GLUE, "-o", str(made), *(argument for path in paths for argument in ("-p", str(path))))
    # In one piece: `wsrun dev` and `--watch` look at it.
    made.replace(output)


def _run(build: Path, timeout: float, *arguments: str) -> None:
    """Runs componentize-py for the world that was written."""
    command = [sys.executable, "-c", "import sys, componentize_py; sys.exit(componentize_py.script())"]
    command += ["-d", str(build / "wit"), "-w", WORLD, *arguments]
    environment = dict(os.environ)
    if sys.prefix != sys.base_prefix:
        # Where componentize-py looks for packages that the handler imports.
        environment["VIRTUAL_ENV"] = sys.prefix
    try:
        ran = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise BuildError(
            f"the component was not made within {timeout:g} s (--timeout): what stands outside of functions runs in the build, and must end"
        ) from None
    if ran.returncode != 0:
        # The author's own traceback, and not the tool's.
        told = ran.stdout.partition("\nCaused by:")[0].partition("\nStack backtrace:")[0]
        raise BuildError(f"componentize-py failed\n{told.strip()}")


if __name__ == "__main__":
    sys.exit(main())
