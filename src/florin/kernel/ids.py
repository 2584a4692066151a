"""Ids: UUIDv7 inside, TypeIDs (`pay_01h455vb4pex5vsknk084sn02q`) outside.

A TypeID is a prefix and the UUID in 26 characters of Crockford's base 32
(https://github.com/jetify-com/typeid, specification 0.3.0). The codec is ours because every
response renders several of them and every request reads some.
"""

from typing import Annotated, Final
from uuid import UUID

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from uuid_utils import uuid7 as _uuid7

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS: Final = [a + b for a in _ALPHABET for b in _ALPHABET]
_DIGITS: Final = dict.fromkeys(range(128), "!") | {
    ord(ours): pythons for ours, pythons in zip(_ALPHABET, "0123456789abcdefghijklmnopqrstuv", strict=True)
}
"""Crockford's digits as those of `int(text, 32)`; whatever else it might take becomes what it refuses."""

_SUFFIX_LENGTH: Final = 26


class MalformedId(ValueError):
    """The id is not one that this system makes."""


def new_id() -> UUID:
    """A fresh UUIDv7: unique, and ordered by the time of its making."""
    return UUID(int=int(_uuid7()))


def encode_id(prefix: str, value: UUID) -> str:
    """`prefix_` and 26 characters."""
    number = value.int
    pairs = _PAIRS
    return (
        f"{prefix}_{pairs[number >> 120]}{pairs[number >> 110 & 1023]}{pairs[number >> 100 & 1023]}"
        f"{pairs[number >> 90 & 1023]}{pairs[number >> 80 & 1023]}{pairs[number >> 70 & 1023]}"
        f"{pairs[number >> 60 & 1023]}{pairs[number >> 50 & 1023]}{pairs[number >> 40 & 1023]}"
        f"{pairs[number >> 30 & 1023]}{pairs[number >> 20 & 1023]}{pairs[number >> 10 & 1023]}"
        f"{pairs[number & 1023]}"
    )


def decode_id(prefix: str, text: str) -> UUID:
    """The UUID of a TypeID with this prefix.

    Raises:
        MalformedId: another prefix, another length, a character outside the alphabet.
    """
    head, separator, suffix = text.rpartition("_")
    if not separator or head != prefix or len(suffix) != _SUFFIX_LENGTH:
        raise MalformedId(f"expected {prefix}_ and {_SUFFIX_LENGTH} characters")
    try:
        number = int(suffix.translate(_DIGITS), 32) if suffix.isascii() else -1
    except ValueError:
        number = -1
    if number < 0:
        raise MalformedId(f"{suffix!r} has a character outside {_ALPHABET}")
    if number >> 128:
        raise MalformedId(f"{suffix!r} is more than 128 bits")
    return UUID(int=number)


def uuid_of(text: str) -> UUID | None:
    """The UUID of a TypeID of whatever prefix; None: this is none."""
    try:
        return decode_id(text.rpartition("_")[0], text)
    except MalformedId:
        return None


def _validator(prefix: str) -> BeforeValidator:
    def parse(value: object) -> object:
        return decode_id(prefix, value) if isinstance(value, str) else value

    return BeforeValidator(parse)


def id_field(prefix: str) -> object:
    """Annotations for a pydantic field or a path parameter that holds a TypeID of this prefix.

    Use as `AccountId = Annotated[UUID, *id_field("acct")]`.
    """
    return (
        _validator(prefix),
        PlainSerializer(lambda value: encode_id(prefix, value), return_type=str),
        WithJsonSchema(
            {
                "type": "string",
                "pattern": f"^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$",
                "examples": [encode_id(prefix, UUID("01890a5d-ac96-774b-bcce-b302099a8057"))],
            }
        ),
    )


AccountId = Annotated[UUID, *id_field("acct")]
TransferId = Annotated[UUID, *id_field("tr")]
LimitId = Annotated[UUID, *id_field("lim")]
HoldId = Annotated[UUID, *id_field("hold")]
ImportId = Annotated[UUID, *id_field("imp")]
PaymentId = Annotated[UUID, *id_field("pay")]
RefundId = Annotated[UUID, *id_field("re")]
PartnerId = Annotated[UUID, *id_field("ptnr")]
CustomerId = Annotated[UUID, *id_field("cus")]
EventId = Annotated[UUID, *id_field("evt")]
EndpointId = Annotated[UUID, *id_field("we")]
DeliveryId = Annotated[UUID, *id_field("whd")]
ApiKeyId = Annotated[UUID, *id_field("key")]
PeriodId = Annotated[UUID, *id_field("per")]
BusinessUnitId = Annotated[UUID, *id_field("bu")]
MonitorId = Annotated[UUID, *id_field("mon")]
AuditId = Annotated[UUID, *id_field("aud")]
SchemaChangeId = Annotated[UUID, *id_field("sch")]
UserId = Annotated[UUID, *id_field("user")]
RoleId = Annotated[UUID, *id_field("role")]
AssignmentId = Annotated[UUID, *id_field("asg")]
SessionId = Annotated[UUID, *id_field("ses")]
CodeId = Annotated[UUID, *id_field("otc")]
PersonId = Annotated[UUID, *id_field("prs")]
LegalHoldId = Annotated[UUID, *id_field("lgh")]
