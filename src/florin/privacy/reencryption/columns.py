"""Every column that holds a ciphertext, and under what. A test of the catalogue demands it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from florin.kernel.vault import data_key_bound_to, person_bound_to


@dataclass(frozen=True, slots=True)
class RingSealed:
    """A column that keys of the ring seal directly: a new key has to seal it anew."""

    table: str
    column: str
    key: tuple[str, ...]
    """The primary key, without the tenant."""

    bound_by: tuple[str, ...]
    """The columns that say what a value is bound to."""

    bound_to: Callable[..., str]
    """That, of the tenant's id (None: the platform's) and the values of `bound_by`, as the feature has it."""

    key_id: str | None = None
    """An indexed column with the id of the key that sealed; None: it is read off the value."""

    writer: str | None = None
    """The function that writes where the table is append-only: (tenant, keys, old, new)."""

    of_tenant: bool = True
    """False: the table is the platform's and has no tenant_id."""

    @property
    def name(self) -> str:
        """`schema.table.column`."""
        return f"{self.table}.{self.column}"


RING_SEALED: Final = (
    RingSealed("kernel.data_keys", "wrapped", ("purpose",), ("purpose",), data_key_bound_to),
    RingSealed("kernel.people", "wrapped", ("id",), ("id",), person_bound_to, key_id="key_id"),
    RingSealed(
        "webhooks.secrets",
        "sealed",
        ("endpoint_id", "id"),
        ("endpoint_id",),
        lambda tenant_id, endpoint_id: f"webhooks.secrets:{tenant_id}:{endpoint_id}",
    ),
    RingSealed(
        "tenancy.configuration",
        "sealed",
        ("id",),
        ("business_unit_id", "key"),
        lambda tenant_id, unit_id, key: f"tenancy.configuration:{tenant_id}:{unit_id or 'tenant'}:{key}",
        writer="tenancy.reseal",
    ),
    RingSealed(
        "ledger.seal_keys",
        "private_key",
        ("id",),
        ("id",),
        lambda tenant_id, key_id: f"ledger.seal_keys/{tenant_id}/{key_id}",
        writer="ledger.reseal",
    ),
    RingSealed(
        "access.signing_keys",
        "sealed",
        ("kid",),
        ("kid",),
        lambda _, kid: f"signing_key:{kid}",
        of_tenant=False,
    ),
)

BY_PERSON: Final[Mapping[str, tuple[str, ...]]] = {
    "access.users": ("name_sealed", "email_sealed", "phone_sealed"),
    "tenancy.customers": ("name_sealed", "email_sealed", "phone_sealed", "account_sealed"),
}
"""Columns that the key of the row's `person_id` seals, bound to their name without `_sealed`. A new key on
the ring leaves them as they are."""

BY_TENANT: Final[Mapping[str, tuple[str, ...]]] = {"access.second_factors": ("secret_sealed",)}
"""Columns that the tenant's key for secrets seals: nor does it touch these."""


LISTED: Final = frozenset(one.name for one in RING_SEALED) | frozenset(
    f"{table}.{column}"
    for tables in (BY_PERSON, BY_TENANT)
    for table, columns in tables.items()
    for column in columns
)
"""All of them, as `schema.table.column`."""
