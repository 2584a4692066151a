"""Fields that bodies about people share."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, StringConstraints

from florin.access.people.model import Grant
from florin.kernel.dates import Instant
from florin.kernel.ids import BusinessUnitId
from florin.tenancy.http.fields import Body

RoleCode = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,39}$"),
    Field(description="A role's code.", examples=["operator"]),
]


class GrantGiven(Body):
    """A role to be given."""

    role: RoleCode
    business_unit_id: BusinessUnitId | None = Field(
        None, description="With all below it; null: the whole tenant."
    )
    expires_at: Instant | None = Field(None, description="When it ends by itself; null: never.")


def grants_of(given: Sequence[GrantGiven]) -> list[Grant]:
    """The same for the service."""
    return [Grant(one.role, one.business_unit_id, one.expires_at) for one in given]
