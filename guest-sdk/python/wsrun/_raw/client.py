# Generated from wit/ by wsrun-guest-bindgen. Do not edit.
"""The functions of ``client``: what one answers with in place of a result is raised as ``Err``."""

from __future__ import annotations

from typing import Callable, Optional

from wit_world.imports import client as _host

connect: Callable[[_host.Options], int] = _host.connect
failure_of: Callable[[int], Optional[_host.Failure]] = _host.failure_of
response_of: Callable[[int], Optional[_host.Response]] = _host.response_of
