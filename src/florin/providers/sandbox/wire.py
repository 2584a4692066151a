"""The sandbox's JSON: what its client writes its server reads, and the other way round."""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from florin.kernel.money import AmountMinor, CurrencyCode
from florin.providers.provider import Charge, EventKind, Method, Outcome, OutcomeStatus, ProviderEvent

_MAX_TEXT: Final = 4096
_MAX_URL: Final = 2048
_MAX_NAME: Final = 255


def _kept(text: str | None, most: int) -> str | None:
    """The beginning of a text: an outcome is not lost for what is said about it."""
    return None if text is None else text[:most]


class Body(BaseModel):
    """A request's JSON: nothing unknown, nothing coerced."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MethodBody(Body):
    """How the buyer pays."""

    type: str = Field(min_length=1, max_length=64, examples=["card"])
    token: str | None = Field(None, max_length=255, examples=["tok_success"])
    vpa: str | None = Field(None, max_length=255, examples=["success@sandbox"])


class ChargeBody(Body):
    """POST /charges. The reference comes as the Idempotency-Key."""

    amount_minor: AmountMinor
    currency: CurrencyCode
    method: MethodBody
    capture: bool = True
    return_url: str | None = Field(None, max_length=_MAX_URL, pattern="^https?://")
    description: str | None = Field(None, max_length=_MAX_TEXT)
    created_at: AwareDatetime

    def charge(self, reference: str) -> Charge:
        """As the platform speaks of it."""
        return Charge(
            reference=reference,
            amount_minor=self.amount_minor,
            currency=self.currency,
            method=Method(self.method.type, self.method.token, self.method.vpa),
            capture=self.capture,
            return_url=self.return_url,
            description=self.description,
            created_at=self.created_at,
        )


class AmountBody(Body):
    """POST /charges/{reference}/captures and /refunds."""

    amount_minor: AmountMinor


class OutcomeBody(BaseModel):
    """What the server answers, and what a webhook carries."""

    model_config = ConfigDict(frozen=True)

    reference: str
    status: OutcomeStatus
    provider_reference: str | None = None
    decline_code: str | None = None
    message: str | None = None
    redirect_url: str | None = None

    def outcome(self) -> Outcome:
        """As the platform speaks of it."""
        return Outcome(
            self.status,
            _kept(self.provider_reference, _MAX_NAME),
            _kept(self.decline_code, _MAX_NAME),
            _kept(self.message, _MAX_TEXT),
            _kept(self.redirect_url, _MAX_URL),
        )


class ProblemBody(BaseModel):
    """Any answer of the server that is not an outcome."""

    code: str
    message: str


class EventBody(BaseModel):
    """A webhook."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(min_length=1)
    kind: EventKind
    data: OutcomeBody


def charge_json(charge: Charge) -> dict[str, Any]:
    """The body of POST /charges."""
    return {
        "amount_minor": charge.amount_minor,
        "currency": charge.currency,
        "method": {"type": charge.method.type, "token": charge.method.token, "vpa": charge.method.vpa},
        "capture": charge.capture,
        "return_url": charge.return_url,
        "description": charge.description,
        "created_at": charge.created_at.isoformat(),
    }


def outcome_json(reference: str, outcome: Outcome) -> dict[str, Any]:
    """An outcome as the server answers it, `reference` being ours."""
    return {
        "reference": reference,
        "status": outcome.status.value,
        "provider_reference": outcome.provider_reference,
        "decline_code": outcome.decline_code,
        "message": outcome.message,
        "redirect_url": outcome.redirect_url,
    }


def charge_event(reference: str, outcome: Outcome) -> ProviderEvent:
    """The news that a charge came to this outcome. Told twice, it carries the same id."""
    digest = sha256(f"{reference}\0{outcome.status}".encode()).hexdigest()
    return ProviderEvent(f"sbx_evt_{digest[:24]}", EventKind.CHARGE, reference, outcome)


def event_json(event: ProviderEvent, at: datetime) -> bytes:
    """The body of a webhook sent at `at`."""
    content: Mapping[str, Any] = {
        "id": event.id,
        "kind": event.kind.value,
        "sent_at": at.isoformat(),
        "data": outcome_json(event.reference, event.outcome),
    }
    return orjson.dumps(content)


def read_event(body: bytes) -> ProviderEvent:
    """The news in a webhook's body. Raises pydantic's ValidationError."""
    event = EventBody.model_validate_json(body)
    return ProviderEvent(event.id, event.kind, event.data.reference, event.data.outcome())
