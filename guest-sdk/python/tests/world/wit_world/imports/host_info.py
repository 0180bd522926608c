# Generated from wit/ by wsrun-guest-bindgen. Do not edit.
from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Optional, Union

from wit_world.imports import types

from fake_host import asked


def hostname() -> str:
    return asked("host-info", "hostname", )


def handler_name() -> str:
    return asked("host-info", "handler_name", )


def config(key: str) -> Optional[str]:
    return asked("host-info", "config", key)


def connection_count() -> int:
    return asked("host-info", "connection_count", )
