# Generated from wit/ by wsrun-guest-bindgen. Do not edit.
from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Optional, Union

from wit_world.imports import types

from fake_host import asked


def send(connection: int, messages: bytes) -> None:
    return asked("packed-send", "send", connection, messages)
