"""Fields that several bodies share, and who may ask for what."""

from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import Depends
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from florin.kernel.errors import Forbidden
from florin.kernel.http.call import Call, requires
from florin.tenancy.errors import UnknownReference

_PRINTABLE = r"^[^\x00-\x1f\x7f]+$"

Read = Annotated[Call, Depends(requires("tenancy:read"))]
Write = Annotated[Call, Depends(requires("tenancy:write"))]
TenantRead = Annotated[Call, Depends(requires("tenancy:read", tenants_only=True))]
TenantWrite = Annotated[Call, Depends(requires("tenancy:write", tenants_only=True))]
UnitRead = Annotated[Call, Depends(requires("tenancy:read", tenants_only=True, by_unit=True))]
UnitWrite = Annotated[Call, Depends(requires("tenancy:write", tenants_only=True, by_unit=True))]

Text = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_PRINTABLE)]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=50, pattern=_PRINTABLE)]
Email = Annotated[
    str,
    StringConstraints(max_length=254, pattern=r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+$"),
    Field(examples=["pay@shop.example"]),
]
Phone = Annotated[
    str, StringConstraints(pattern=r"^\+?[0-9][0-9 ()-]{2,18}$"), Field(examples=["+27 11 555 0100"])
]
Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=_PRINTABLE)],
        Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$")],
    ],
    Field(max_length=50, description="Up to 50 names of up to 40 characters, values of up to 500."),
]
CallsPerPeriod = Annotated[
    int, Field(strict=True, ge=1, le=1_000_000_000, description="Calls allowed per period.")
]


def _known_timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("not an IANA time zone") from None
    return name


Timezone = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_+/-]{0,63}$"),
    AfterValidator(_known_timezone),
    Field(examples=["Africa/Johannesburg"]),
]


class Body(BaseModel):
    """A request body: a field that it does not know is refused."""

    model_config = ConfigDict(extra="forbid")

    def given(self) -> dict[str, Any]:
        """The fields that the request names, ids as UUIDs."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class Shown(BaseModel):
    """An answer, read off a dataclass."""

    model_config = ConfigDict(from_attributes=True)


def absent() -> Any:
    """The default of a field that may be left out and may not be null: it is never read."""
    return None


def check_reach(call: Call, unit_id: UUID | None, *, param: str = "business_unit_id") -> None:
    """Refuses a business unit (None: the whole tenant) that is not within what the call is confined to.

    Raises:
        Forbidden: the whole tenant.
        UnknownReference: a unit that the caller does not see.
    """
    if call.reaches(unit_id):
        return
    if unit_id is None:
        raise Forbidden("this needs one of your business units", param=param)
    raise UnknownReference("no such business unit", param=param)
