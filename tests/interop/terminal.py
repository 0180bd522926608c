"""Runs a program in a terminal of its own, as somebody who sits in front of it.

usage: terminal.py STEPS PROGRAM [ARGUMENT...]

STEPS is a JSON list of pairs: a text to wait for, and what is typed then ("\\u0003" is Ctrl-C, "\\u0004" Ctrl-D). Prints as JSON what the
terminal showed, and how the program ended: its exit code, or the negative number of a signal.
"""

import json
import os
import pty
import select
import sys
import time

PATIENCE = 20.0


def main() -> None:
    steps = json.loads(sys.argv[1])
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.argv[2], sys.argv[2:])
    shown = ""
    seen = 0
    deadline = time.monotonic() + PATIENCE
    while True:
        while steps and (at := shown.find(steps[0][0], seen)) >= 0:
            seen = at + len(steps[0][0])
            os.write(terminal, steps.pop(0)[1].encode())
        if time.monotonic() > deadline:
            os.kill(child, 9)
            os.waitpid(child, 0)
            sys.exit(f"waited in vain for {steps[:1]}; it showed:\n{shown}")
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            data = os.read(terminal, 4096)
        except OSError:
            # Linux says so when nobody has the terminal open any more.
            data = b""
        if not data:
            break
        shown += data.decode(errors="replace")
    _, status = os.waitpid(child, 0)
    if steps:
        sys.exit(f"it ended before {steps[0]}; it showed:\n{shown}")
    code = os.waitstatus_to_exitcode(status)
    print(json.dumps({"shown": shown.replace("\r\n", "\n"), "code": code}))


main()
