"""What every payment provider can do, and what it may answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol


class OutcomeStatus(StrEnum):
    """What a provider made of a request."""

    SUCCEEDED = "succeeded"
    AUTHORIZED = "authorized"
    REQUIRES_ACTION = "requires_action"
    PENDING = "pending"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Method:
    """What is charged: an opaque token of a card, or a UPI address."""

    type: str
    token: str | None
    vpa: str | None


@dataclass(frozen=True, slots=True)
class Charge:
    """One try to charge. The same reference always means the same charge."""

    reference: str
    amount_minor: int
    currency: str
    method: Method
    capture: bool
    return_url: str | None
    description: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """A provider's answer."""

    status: OutcomeStatus
    provider_reference: str | None = None
    decline_code: str | None = None
    message: str | None = None
    redirect_url: str | None = None


class OutcomeUnknown(Exception):
    """Sent, but no answer came. Inquire before anything else."""


class NotSent(Exception):
    """The request certainly never reached the provider."""


class InvalidWebhook(Exception):
    """Not from the provider, or altered."""


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """What a provider tells of its own accord."""

    id: str
    kind: Literal["charge", "capture", "cancel", "refund"]
    reference: str
    outcome: Outcome


class Provider(Protocol):
    """A payment provider."""

    name: str

    async def charge(self, charge: Charge) -> Outcome: ...
    async def inquire(self, charge: Charge) -> Outcome | None: ...
    async def capture(
        self, reference: str, charge: Charge, provider_reference: str, amount_minor: int
    ) -> Outcome: ...
    async def cancel(self, reference: str, charge: Charge, provider_reference: str) -> Outcome: ...
    async def refund(
        self, reference: str, charge: Charge, provider_reference: str, amount_minor: int
    ) -> Outcome: ...
    async def inquire_operation(self, reference: str, charge: Charge) -> Outcome | None: ...
    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> list[ProviderEvent]: ...
    async def close(self) -> None: ...
