"""Every code that a problem can have, read off the classes; docs/errors.md is written from it."""

from collections.abc import Iterator
from http import HTTPStatus
from inspect import getdoc
from itertools import groupby

from florin.kernel.errors import Refusal

_HEAD = """# Errors

Every error is a problem document ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)) with the media
type `application/problem+json`:

```json
{
  "type": "urn:florin:problem:invalid_request",
  "title": "A field of the request breaks a rule.",
  "status": 422,
  "code": "invalid_request",
  "detail": "amount: Input should be greater than or equal to 1",
  "param": "amount",
  "errors": [
    {"param": "amount", "rule": "greater_than_equal", "detail": "Input should be greater than or equal to 1"}
  ],
  "request_id": "req_01h455vb4pex5vsknk084sn02q"
}
```

`code` is stable: programs branch on it. `param` names the field at fault, where there is one; `errors`
names all of them with the rule that each breaks. `request_id` is also in the header `Request-Id` and in
the log. New codes may come; treat one that you do not know by its `status`.

With 409 `request_in_flight`, 429, 503 and 504 the header `Retry-After` says when to come again; the same
`Idempotency-Key` makes that safe. After 500 and 504 the outcome is not known: ask again with the same key.

"""


def refusals() -> list[type[Refusal]]:
    """The classes of all refusals that are loaded, by status and code."""
    ours = {kind.code: kind for kind in _below(Refusal) if kind.__module__.startswith("florin.")}
    return sorted(ours.values(), key=lambda kind: (int(kind.status), kind.code))


def title_of(kind: type[Refusal]) -> str:
    """A refusal's sentence."""
    return (getdoc(kind) or "").partition("\n")[0]


def errors_page() -> str:
    """docs/errors.md."""
    parts = []
    for status, kinds in groupby(refusals(), key=lambda kind: int(kind.status)):
        rows = "".join(f"| `{kind.code}` | {title_of(kind)} |\n" for kind in kinds)
        parts.append(f"## {status} {HTTPStatus(status).phrase}\n\n| code | meaning |\n|---|---|\n{rows}")
    return _HEAD + "\n".join(parts)


def _below(kind: type[Refusal]) -> Iterator[type[Refusal]]:
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)
