"""What Florin asks of a payment provider, and what may come of it.

Every call carries our own reference. It is the provider's idempotency key: the same reference with
the same content never moves money twice. Three things can come of a call:

    an Outcome          the provider answered
    NotSent             it certainly did nothing: try again, or go elsewhere
    OutcomeUnknown      it may have acted: inquire by the same reference before anything else

A refusal by the provider (declined, over the captured amount) is an answer, so an Outcome.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Protocol

from florin.kernel.errors import Refusal


class OutcomeStatus(StrEnum):
    """Where a charge, or an operation on it, stands at the provider."""

    SUCCEEDED = "succeeded"
    """The money was taken; or the capture, cancellation or refund was done."""

    AUTHORIZED = "authorized"
    """The money is reserved and waits for a capture."""

    REQUIRES_ACTION = "requires_action"
    """The buyer must go to `redirect_url`. Afterwards a webhook or an inquiry tells the result."""

    PENDING = "pending"
    """Accepted, undecided. A webhook or an inquiry tells the result."""

    FAILED = "failed"
    """Nothing was taken, nothing will be. `decline_code` says why."""


@dataclass(frozen=True, slots=True)
class Method:
    """How the buyer pays: a card's token or a UPI address, never a card number."""

    type: str
    """`card`, `upi`, ..."""

    token: str | None = None
    vpa: str | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """One attempt to take money."""

    reference: str
    """Our attempt's id, and the provider's idempotency key."""

    amount_minor: int
    currency: str
    method: Method
    capture: bool
    """True: take the money at once. False: only reserve it."""

    return_url: str | None
    """Where the buyer goes after a redirect."""

    description: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the provider answered about a charge or an operation."""

    status: OutcomeStatus
    provider_reference: str | None = None
    decline_code: str | None = None
    """Stable, for programs. Set when `status` is FAILED."""

    message: str | None = None
    """For people. Set when `status` is FAILED."""

    redirect_url: str | None = None
    """Set when `status` is REQUIRES_ACTION."""


class EventKind(StrEnum):
    """What a provider's webhook speaks of."""

    CHARGE = "charge"
    CAPTURE = "capture"
    CANCEL = "cancel"
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """One piece of news in a provider's webhook. It may come twice, late, or out of order."""

    id: str
    """The provider's own; the same news sent twice carries the same id."""

    kind: EventKind
    reference: str
    """Ours: the charge's or the operation's."""

    outcome: Outcome


class OutcomeUnknown(Exception):
    """The request went out and no answer came: it may have been carried out. Inquire first."""


class NotSent(Exception):
    """The provider certainly did nothing: it was never reached, or it turned us away at the door."""


class InvalidWebhook(Refusal):
    """The webhook does not carry the provider's signature, or cannot be read."""

    status = HTTPStatus.BAD_REQUEST
    code = "invalid_webhook"


class Provider(Protocol):
    """A way to take money. Every coroutine but `close` may raise NotSent or OutcomeUnknown."""

    @property
    def name(self) -> str:
        """As stored on payments: `sandbox`."""

    async def charge(self, charge: Charge) -> Outcome:
        """Takes or reserves the money. Safe to repeat with the same reference."""

    async def inquire(self, charge: Charge) -> Outcome | None:
        """Where the charge stands. None: the provider never heard of it, so nothing was taken."""

    async def capture(
        self, reference: str, charge: Charge, provider_reference: str, amount_minor: int
    ) -> Outcome:
        """Takes reserved money, in full or in part. Safe to repeat with the same reference."""

    async def cancel(self, reference: str, charge: Charge, provider_reference: str) -> Outcome:
        """Gives up a reservation or a redirect. Safe to repeat with the same reference."""

    async def refund(
        self, reference: str, charge: Charge, provider_reference: str, amount_minor: int
    ) -> Outcome:
        """Gives taken money back, in full or in part. Safe to repeat with the same reference."""

    async def inquire_operation(self, reference: str, charge: Charge) -> Outcome | None:
        """How a capture, cancellation or refund went. None: the provider never heard of it."""

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> list[ProviderEvent]:
        """The news in a webhook whose signature holds. Raises InvalidWebhook."""

    async def close(self) -> None:
        """Ends connections and background tasks. The provider is of no use afterwards."""
