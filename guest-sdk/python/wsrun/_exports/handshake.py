from __future__ import annotations

from wit_world.exports import handshake
from wit_world.imports import types

from .._translation import Err, request_of_raw
from .._values import Accept, Refuse, header_pairs
from . import instance


class Handshake:
    def requested(self, request: types.Request) -> handshake.Acceptance:
        answer = instance().handshake(request_of_raw(request))
        if isinstance(answer, Accept):
            return handshake.Acceptance(answer.protocol, header_pairs(answer.headers), bytes(answer.session))
        if isinstance(answer, Refuse):
            raise Err(handshake.Refusal(answer.status, header_pairs(answer.headers), answer.body))
        raise TypeError(f"handshake returns Accept or Refuse, and not {type(answer).__name__}")
