"""What the API takes and shows of endpoints and deliveries."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from florin.kernel.dates import Instant
from florin.kernel.events import register
from florin.kernel.ids import DeliveryId, EndpointId, EventId, PartnerId
from florin.webhooks.model import (
    Attempt,
    DeliveryStatus,
    DisabledReason,
    EndpointStatus,
    Failure,
    time_of,
)
from florin.webhooks.policy import valid_filter

Url = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2000,
        description="https, port 443 or 1024 to 65535, a public address.",
        examples=["https://shop.example/webhooks"],
    ),
]
Description = Annotated[str, Field(max_length=500, pattern="^[^\\x00]*$")]
Events = Annotated[
    list[Annotated[str, Field(max_length=100)]],
    Field(
        min_length=1,
        max_length=100,
        description="Types of events; `payment.*` is all that begin so, `*` is all.",
        examples=[["payment.*", "refund.completed"]],
    ),
]
MaxInFlight = Annotated[
    int, Field(strict=True, ge=1, le=50, description="Requests at a time. 1 while the endpoint fails.")
]
IncludePartners = Annotated[
    bool,
    Field(
        strict=True, description="Also what the tenant's partners hear; for the tenant's own endpoints only."
    ),
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @field_validator("events", check_fields=False)
    @classmethod
    def _known_shape(cls, events: list[str]) -> list[str]:
        for at, text in enumerate(events):
            if not valid_filter(text):
                raise ValueError(f"[{at}] is not a type of event such as payment.completed, payment.* or *")
        return list(dict.fromkeys(events))


class NewEndpoint(_Body):
    """A URL, and what it wants to hear."""

    url: Url
    events: Events
    description: Description | None = None
    max_in_flight: MaxInFlight = 4
    include_partners: IncludePartners = False


class EndpointChanges(_Body):
    """What is to change; the rest stays. The defaults are never used: unset fields are left out."""

    url: Url = Field(default_factory=str)
    events: Events = Field(default_factory=list)
    description: Description | None = None
    max_in_flight: MaxInFlight = Field(default_factory=int)
    include_partners: IncludePartners = Field(default_factory=bool)
    status: EndpointStatus = Field(default_factory=lambda: EndpointStatus.ENABLED)


class SecretRotation(_Body):
    """How long the former secrets sign along."""

    overlap_hours: int = Field(24, strict=True, ge=0, le=168)


class NewReplay(_Body):
    """What is to be sent again."""

    since: Instant = Field(description="At most 30 days ago.", examples=["2026-11-20T00:00:00Z"])
    include_delivered: bool = Field(False, strict=True)


class EndpointView(BaseModel):
    """An endpoint, without its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: EndpointId
    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    partner_id: PartnerId | None
    include_partners: bool
    url: str
    description: str | None
    events: list[str]
    status: EndpointStatus
    disabled_reason: DisabledReason | None
    disabled_at: AwareDatetime | None
    max_in_flight: int
    failing_since: Instant | None
    paused_until: AwareDatetime | None
    created_at: AwareDatetime
    updated_at: AwareDatetime


class EndpointWithSecret(EndpointView):
    """An endpoint just made. The secret is not shown again."""

    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="])


class SecretView(BaseModel):
    """A new secret, not shown again."""

    secret: str
    previous_expire_at: AwareDatetime


class DeliveryView(BaseModel):
    """One event at one endpoint."""

    model_config = ConfigDict(from_attributes=True)

    id: DeliveryId
    object: Literal["webhook_delivery"] = "webhook_delivery"
    endpoint_id: EndpointId
    event_id: EventId
    event_type: str
    status: DeliveryStatus
    attempt_count: int
    next_attempt_at: AwareDatetime | None = Field(
        description="Null while pending: an earlier event about the same object comes first."
    )
    created_at: AwareDatetime
    finished_at: AwareDatetime | None


class AttemptView(BaseModel):
    """One request that was made."""

    model_config = ConfigDict(from_attributes=True)

    url: str
    started_at: AwareDatetime
    duration_ms: int
    status_code: int | None
    error: Failure | None
    response_excerpt: str | None = Field(description="The first 1,000 characters.")


class DeliveryWithAttempts(DeliveryView):
    """A delivery and its last 50 attempts, newest first."""

    attempts: list[AttemptView]


class ReplayView(BaseModel):
    """What was put in line. With `next_since` there is more: replay again from there."""

    queued: int
    next_since: Instant | None


def attempt_view(attempt: Attempt) -> AttemptView:
    """An attempt as the API shows it."""
    return AttemptView(
        url=attempt.url,
        started_at=time_of(attempt.id),
        duration_ms=attempt.duration_ms,
        status_code=attempt.status_code,
        error=None if attempt.error is None else Failure(attempt.error),
        response_excerpt=attempt.response_excerpt,
    )


def endpoint_event(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """The endpoint as events show it, from the columns of its row as JSON."""
    partner_id = snapshot["partner_id"]
    ids = {"id": UUID(snapshot["id"]), "partner_id": None if partner_id is None else UUID(partner_id)}
    return EndpointView.model_validate({**snapshot, **ids}).model_dump(mode="json")


register("webhook", endpoint_event)
register("webhook_endpoint", endpoint_event)
