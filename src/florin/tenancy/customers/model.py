"""Customers as data. Fields stand in the order in which the queries name columns."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class BankAccount:
    """Where a customer is paid out to, or debited."""

    number: str
    """An IBAN, or a bank's own number."""

    bank_code: str | None
    """BIC, sort code, IFSC, branch code: what the number needs besides."""


@dataclass(frozen=True, slots=True)
class Customer:
    """Who pays. `reference` is what the caller knows them by, unique among its partner's."""

    id: UUID
    partner_id: UUID | None
    business_unit_id: UUID | None
    reference: str
    person_id: UUID | None
    """Whose key seals the personal fields; None: nothing personal has been told yet."""

    name: str | None
    email: str | None
    phone: str | None
    """E.164."""

    account: BankAccount | None
    metadata: dict[str, str]
    created_at: datetime
    updated_at: datetime
    erased_at: datetime | None


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """A customer as the database keeps it. `name` and `email` hold what earlier versions wrote."""

    id: UUID
    partner_id: UUID | None
    business_unit_id: UUID | None
    reference: str
    person_id: UUID | None
    name: str | None
    email: str | None
    name_sealed: bytes | None
    email_sealed: bytes | None
    phone_sealed: bytes | None
    account_sealed: bytes | None
    metadata: dict[str, str]
    created_at: datetime
    updated_at: datetime
    erased_at: datetime | None

    @classmethod
    def bare(
        cls,
        id: UUID,
        partner_id: UUID | None,
        business_unit_id: UUID | None,
        reference: str,
        metadata: dict[str, str],
        at: datetime,
    ) -> "CustomerRow":
        """A new one of whom nothing personal is known."""
        return cls(
            id=id,
            partner_id=partner_id,
            business_unit_id=business_unit_id,
            reference=reference,
            person_id=None,
            name=None,
            email=None,
            name_sealed=None,
            email_sealed=None,
            phone_sealed=None,
            account_sealed=None,
            metadata=metadata,
            created_at=at,
            updated_at=at,
            erased_at=None,
        )


@dataclass(frozen=True, slots=True)
class Personal:
    """The personal columns to be written, sealed and indexed."""

    person_id: UUID | None = None
    name_sealed: bytes | None = None
    email_sealed: bytes | None = None
    email_index: bytes | None = None
    phone_sealed: bytes | None = None
    phone_index: bytes | None = None
    account_sealed: bytes | None = None
    account_index: bytes | None = None
