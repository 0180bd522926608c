# Generated from wit/ by wsrun-guest-bindgen. Do not edit.
"""The functions of ``timers``: what one answers with in place of a result is raised as ``Err``."""

from __future__ import annotations

from typing import Callable, Optional

from wit_world.imports import timers as _host

set: Callable[[int, int, Optional[int]], int] = _host.set
cancel: Callable[[int], bool] = _host.cancel
