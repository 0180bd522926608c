# Generated from wit/ by wsrun-guest-bindgen. Do not edit.
from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Optional, Union

from wit_world.imports import types


@dataclass
class Body_Bytes:
    value: bytes


@dataclass
class Body_File:
    value: str


Body = Union[Body_Bytes, Body_File]


@dataclass
class Response:
    status: int
    headers: list[tuple[str, str]]
    body: Body
