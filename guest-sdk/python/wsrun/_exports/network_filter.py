from __future__ import annotations

from . import instance


class NetworkFilter:
    def accepts(self, peer: str, local: str) -> bool:
        return bool(instance().accepts(peer, local))
