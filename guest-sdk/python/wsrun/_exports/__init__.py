"""What a component exports: a module for each interface, of which the build takes those that the handler needs."""

from __future__ import annotations

import random
from typing import Optional

from .._handler import Handler

_class: type[Handler] = Handler
_instance: Optional[Handler] = None


def use(handler: type[Handler]) -> None:
    """Says whose methods are called."""
    global _class
    _class = handler


def instance() -> Handler:
    """The handler, made when the first event comes: what ran before it ran at build time, where there is no host."""
    return _instance or _make()


def _make() -> Handler:
    global _instance
    # The component has the generator of the build in its memory, the same for each instance.
    random.seed()
    _instance = _class()
    return _instance
