# Generated from wit/ by wsrun-guest-bindgen. Do not edit.
from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Optional, Union

from wit_world.imports import types


@dataclass
class Chunk:
    text: bool
    data: bytes
    first: bool
    final: bool
    remaining: int
