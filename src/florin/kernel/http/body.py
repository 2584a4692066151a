"""What a JSON body has to be before any endpoint sees it.

RFC 8259 leaves open what a reader makes of a name that stands twice, of a lone surrogate or of a thousand
brackets, and two readers of one body that disagree are how a check is walked around (I-JSON, RFC 7493,
says refuse). So those are refused here, once for all endpoints. Costs 3 us for a payment.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeVar

import orjson

from florin.kernel.errors import InvalidRequest, MalformedRequest, UnsupportedMediaType
from florin.kernel.pan import refuse_card_numbers, texts

MAX_DEPTH: Final = 32
"""Arrays and objects in each other. The deepest body that an endpoint reads has six."""

METHODS_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class RawBody:
    """What an endpoint takes instead of JSON: it reads `call.body` itself."""

    kinds: frozenset[bytes]
    """Media types, in lower case."""

    max_bytes: int

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """Raises UnsupportedMediaType unless the Content-Type is one of these."""
        if media_type(headers) not in self.kinds:
            allowed = ", ".join(sorted(kind.decode() for kind in self.kinds))
            raise UnsupportedMediaType(f"this takes {allowed}", param="Content-Type")


def takes(raw: RawBody) -> Callable[[Endpoint], Endpoint]:
    """Marks an endpoint as one that takes a body of its own kind and size."""

    def mark(endpoint: Endpoint) -> Endpoint:
        endpoint.raw_body = raw  # type: ignore[attr-defined]
        return endpoint

    return mark


def raw_body_of(endpoint: object) -> RawBody | None:
    """What `takes` has put there."""
    return getattr(endpoint, "raw_body", None)


def media_type(headers: Mapping[bytes, bytes]) -> bytes:
    """The Content-Type without its parameters, in lower case."""
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


class DuplicateName(MalformedRequest):
    """An object of the body has the same name twice."""

    code = "duplicate_name"


def check_body(method: str, headers: Mapping[bytes, bytes], body: bytes) -> None:
    """Refuses a body that is not JSON, or is JSON that readers may disagree about.

    Raises:
        UnsupportedMediaType: the Content-Type does not say JSON.
        MalformedRequest: not JSON or not UTF-8; NaN or Infinity; a lone surrogate; too deep; or
            DuplicateName.
        InvalidRequest: a text holds the character NUL, which PostgreSQL does not keep, or, as
            CardNumberRefused, a full card number.
    """
    if not body or method not in METHODS_WITH_BODY:
        return
    if media_type(headers) != b"application/json":
        raise UnsupportedMediaType(param="Content-Type")
    try:
        document = _DECODER.decode(body.decode())
    except UnicodeDecodeError:
        raise MalformedRequest("the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise MalformedRequest(f"the body is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:  # Python reads no number of more than 4300 digits: it would take for ever
        raise MalformedRequest("the body holds a number of thousands of digits") from None
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _deeper_than(document, MAX_DEPTH):
        raise _too_deep()
    if b"\\u" in body:
        _check_escapes(body, document)
    refuse_card_numbers(body)


def _check_escapes(body: bytes, document: Any) -> None:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        raise MalformedRequest("the body holds half of a surrogate pair, which is no character") from None
    for path, text in texts(document):
        if "\0" in text:
            raise InvalidRequest(
                f"{path or 'body'}: holds the character NUL",
                param=path or None,
                errors=[{"param": path or "body", "rule": "nul", "detail": "holds the character NUL"}],
            )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DuplicateName(f"{twice!r} stands twice in one object", param=twice)
    return found


def _no_constant(name: str) -> NoReturn:
    raise MalformedRequest(f"the body is not JSON: {name} is no number of JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)


def _deeper_than(value: Any, depth: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if inner is None:
        return False
    return depth == 0 or any(_deeper_than(item, depth - 1) for item in inner)


def _too_deep() -> MalformedRequest:
    return MalformedRequest(f"the body is nested more than {MAX_DEPTH} deep")
