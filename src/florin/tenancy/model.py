"""Tenants and what belongs to them. Fields stand in the order in which the queries name columns."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

CALLERS_CHANGED: Final = "florin_keys"
"""The notice, with the tenant's id, that says: look up anew who may call."""

PLATFORM: Final = "PLATFORM"
"""The code of the tenant that runs the house. Its live twin does: see access.is_platform."""


class TenantType(StrEnum):
    """What kind of business a tenant is."""

    BANK = "BANK"
    FINANCIAL_INSTITUTION = "FINANCIAL_INSTITUTION"
    FINTECH = "FINTECH"
    CORPORATE = "CORPORATE"
    AGGREGATOR = "AGGREGATOR"
    MARKETPLACE = "MARKETPLACE"


class TenantStatus(StrEnum):
    """Only an active tenant's keys may call."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    SUSPENDED = "SUSPENDED"
    PENDING_APPROVAL = "PENDING_APPROVAL"


class Status(StrEnum):
    """Of a business unit or a partner."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    SUSPENDED = "SUSPENDED"


class BusinessUnitType(StrEnum):
    """What a unit does."""

    RETAIL = "RETAIL"
    CORPORATE = "CORPORATE"
    INVESTMENT = "INVESTMENT"
    PRIVATE_BANKING = "PRIVATE_BANKING"
    TREASURY = "TREASURY"


class SettingType(StrEnum):
    """What a setting's value is."""

    STRING = "STRING"
    NUMBER = "NUMBER"
    BOOLEAN = "BOOLEAN"
    JSON = "JSON"


class Metric(StrEnum):
    """What is counted per tenant and day (UTC)."""

    API_CALLS = "API_CALLS"
    PAYMENTS = "PAYMENTS"
    TRANSACTIONS = "TRANSACTIONS"
    STORAGE_BYTES = "STORAGE_BYTES"


@dataclass(frozen=True, slots=True)
class TenantDetails:
    """What a new tenant says of itself. Both twins begin with it."""

    name: str
    type: TenantType
    contact_email: str
    country: str
    timezone: str
    currency: str
    registration_number: str | None = None
    tax_number: str | None = None
    contact_phone: str | None = None
    address_line1: str | None = None
    address_line2: str | None = None
    city: str | None = None
    province: str | None = None
    postal_code: str | None = None


@dataclass(frozen=True, slots=True)
class Tenant:
    """One of a tenant's twins. `country` is ISO 3166-1 alpha-2, `timezone` an IANA name."""

    tenant_id: int
    code: str
    live: bool
    name: str
    type: TenantType
    status: TenantStatus
    contact_email: str
    country: str
    timezone: str
    currency: str
    registration_number: str | None
    tax_number: str | None
    contact_phone: str | None
    address_line1: str | None
    address_line2: str | None
    city: str | None
    province: str | None
    postal_code: str | None
    limit_per_minute: int | None
    """What all its keys and users may do together; None is the platform's default."""

    limit_per_hour: int | None
    limit_per_day: int | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class BusinessUnit:
    """A part of a tenant. `level` is 1 at the top, and its parent's plus one below."""

    id: UUID
    name: str
    type: BusinessUnitType
    status: Status
    parent_id: UUID | None
    level: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Partner:
    """Who calls the API. The limits are a ceiling over all its keys together, and what a new key gets; None
    is no ceiling, and the platform's default for a new key."""

    id: UUID
    name: str
    email: str
    status: Status
    metadata: dict[str, str]
    limit_per_minute: int | None
    limit_per_hour: int | None
    limit_per_day: int | None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and the instant from which it holds. `value` None: withdrawn, or sealed and not opened."""

    key: str
    business_unit_id: UUID | None
    type: SettingType
    value: Any
    sealed: bytes | None
    effective_from: datetime
    created_at: datetime
    created_by: str

    @property
    def encrypted(self) -> bool:
        """Whether the value is kept sealed."""
        return self.sealed is not None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a tenant used on one day (UTC)."""

    day: date
    metric: Metric
    value: int
