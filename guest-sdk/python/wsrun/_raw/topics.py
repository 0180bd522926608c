# Generated from wit/ by wsrun-guest-bindgen. Do not edit.
"""The functions of ``topics``: what one answers with in place of a result is raised as ``Err``."""

from __future__ import annotations

from typing import Callable, Optional

from wit_world.imports import topics as _host, types

subscribe: Callable[[int, str], bool] = _host.subscribe
unsubscribe: Callable[[int, str], bool] = _host.unsubscribe
publish: Callable[[str, types.Message, Optional[int]], int] = _host.publish
broadcast: Callable[[Optional[str], types.Message], int] = _host.broadcast
set_slow_policy: Callable[[str, Optional[types.SlowPolicy]], None] = _host.set_slow_policy
dropped: Callable[[str], int] = _host.dropped
