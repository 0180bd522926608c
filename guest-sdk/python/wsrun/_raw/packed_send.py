# Generated from wit/ by wsrun-guest-bindgen. Do not edit.
"""The functions of ``packed-send``: what one answers with in place of a result is raised as ``Err``."""

from __future__ import annotations

from typing import Callable

from wit_world.imports import packed_send as _host

send: Callable[[int, bytes], None] = _host.send
