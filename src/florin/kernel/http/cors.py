"""Browsers' questions across origins (CORS, the Fetch standard), answered only where an operator said so.

Off, Florin says nothing of it, and a browser keeps its pages away from the API. On, it names the very
origin that asks and never says that cookies may come along: keys and tokens travel in a header.
"""

from collections.abc import Mapping, Sequence
from typing import Final

_METHODS: Final = b"GET, POST, PUT, PATCH, DELETE"
_ASKED: Final = b"authorization, content-type, idempotency-key, x-request-id"
_SHOWN: Final = (
    b"request-id, idempotent-replayed, retry-after, ratelimit, ratelimit-policy, ratelimit-limit, "
    b"ratelimit-remaining, ratelimit-reset"
)
_MAX_AGE_S: Final = b"600"


class Cors:
    """What pages of these origins may do."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)

    def __bool__(self) -> bool:
        return bool(self._origins)

    def headers(self, asked: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes]]:
        """What every answer carries: caches are told that it depends on the origin, allowed or not."""
        origin = asked.get(b"origin")
        vary = (b"vary", b"Origin")
        if origin not in self._origins:
            return [vary]
        return [
            vary,
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _SHOWN),
        ]

    def preflight(self, method: str, asked: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes]] | None:
        """The answer's further headers to a browser that asks beforehand; None: nobody asks, or no."""
        if method != "OPTIONS" or b"access-control-request-method" not in asked:
            return None
        if asked.get(b"origin") not in self._origins:
            return None
        return [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _ASKED),
            (b"access-control-max-age", _MAX_AGE_S),
        ]
