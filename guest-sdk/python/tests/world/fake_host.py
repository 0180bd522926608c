"""Stands for the host: remembers what it is asked, and answers as it was told to."""

from __future__ import annotations

from typing import Any

asked_for: list[tuple[str, str]] = []
"""The functions that were called, with their interfaces."""

answers: dict[tuple[str, str], Any] = {}
"""What functions answer; an exception is raised. The others answer with ``None``."""


def asked(interface: str, function: str, *_values: Any) -> Any:
    asked_for.append((interface, function))
    answer = answers.get((interface, function))
    if isinstance(answer, Exception):
        raise answer
    return answer
