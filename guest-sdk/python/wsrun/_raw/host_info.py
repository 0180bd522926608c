# Generated from wit/ by wsrun-guest-bindgen. Do not edit.
"""The functions of ``host-info``: what one answers with in place of a result is raised as ``Err``."""

from __future__ import annotations

from typing import Callable, Optional

from wit_world.imports import host_info as _host

hostname: Callable[[], str] = _host.hostname
handler_name: Callable[[], str] = _host.handler_name
config: Callable[[str], Optional[str]] = _host.config
connection_count: Callable[[], int] = _host.connection_count
