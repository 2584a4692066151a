"""How clearing accounts, what lingers on them, and their events are shown."""

from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from florin.kernel.clock import rfc3339
from florin.kernel.events import Snapshot, instant, register
from florin.kernel.ids import AccountId, EventId, TransferId, encode_id
from florin.kernel.money import CurrencyCode
from florin.ledger.clearing.model import ClearingAccount, Item, MatchBy, Trail, TrailEvent, TrailTransfer
from florin.ledger.model import Direction, TransferKind


class AgingView(BaseModel):
    """Open amounts by age, both sides as positive numbers."""

    under_1_day: int
    days_1_to_7: int
    days_7_to_30: int
    over_30_days: int


class ClearingAccountView(BaseModel):
    """An account that is to return to zero."""

    account: AccountId
    code: str
    name: str
    currency: CurrencyCode
    clears_within_s: int = Field(description="After so many seconds an open item is overdue.")
    match_by: MatchBy
    balance: int
    open_items: int
    open_amount: int = Field(description="Of the open items, both sides as positive numbers.")
    overdue_items: int
    overdue_amount: int
    oldest_at: str | None = Field(description="When the oldest open item was opened.")
    oldest_age_s: int | None
    aging: AgingView


class ItemView(BaseModel):
    """What has not returned to zero: an entry, or all of one correlation."""

    transfer: TransferId = Field(description="The transfer that opened it.")
    correlation_id: str | None
    direction: Direction
    amount: int = Field(description="What of it is open still.")
    since: str
    age_s: int
    overdue: bool
    last_transfer: TransferId = Field(description="The last transfer that changed it.")


class TrailTransferView(BaseModel):
    """A transfer, and what it did to the account."""

    id: TransferId
    kind: TransferKind
    description: str | None
    correlation_id: str | None
    causation_id: str | None
    related: TransferId | None = Field(description="What it reverses or replaces; the hold that it posts.")
    direction: Direction | None = Field(description="Null: it moved nothing on this account.")
    amount: int


class TrailEventView(BaseModel):
    """An event; `GET /v1/events/{id}` has all of it."""

    id: EventId
    type: str = Field(examples=["payment.completed"])


class TrailStepView(BaseModel):
    """A transfer or an event."""

    at: str
    kind: Literal["transfer", "event"]
    transfer: TrailTransferView | None
    event: TrailEventView | None


class TrailView(BaseModel):
    """From a lingering amount back to what left it; oldest first."""

    item: ItemView | None = Field(description="Null: what it belongs to has cleared.")
    data: list[TrailStepView]
    complete: bool = Field(description="False: there is more than a trail shows.")


def seconds(span: timedelta) -> int:
    """Whole seconds."""
    return span // timedelta(seconds=1)


def account(found: ClearingAccount) -> dict[str, Any]:
    """A ClearingAccountView."""
    return {
        "account": encode_id("acct", found.account_id),
        "code": found.code,
        "name": found.name,
        "currency": found.currency,
        "clears_within_s": seconds(found.clears_within),
        "match_by": found.match_by,
        "balance": found.balance_minor,
        "open_items": found.open_items,
        "open_amount": found.open_minor,
        "overdue_items": found.overdue_items,
        "overdue_amount": found.overdue_minor,
        "oldest_at": None if found.oldest is None else rfc3339(found.oldest),
        "oldest_age_s": None if found.oldest_age is None else seconds(found.oldest_age),
        "aging": {name.removesuffix("_minor"): amount for name, amount in found.aging._asdict().items()},
    }


def item(found: Item) -> dict[str, Any]:
    """An ItemView."""
    return {
        "transfer": encode_id("tr", found.transfer_id),
        "correlation_id": found.correlation_id,
        "direction": _direction(found.amount_minor),
        "amount": abs(found.amount_minor),
        "since": rfc3339(found.since),
        "age_s": seconds(found.age),
        "overdue": found.overdue,
        "last_transfer": encode_id("tr", found.last_transfer_id),
    }


def trail(found: Trail) -> dict[str, Any]:
    """A TrailView."""
    return {
        "item": None if found.item is None else item(found.item),
        "data": [_step(step) for step in found.steps],
        "complete": found.complete,
    }


def _step(step: TrailTransfer | TrailEvent) -> dict[str, Any]:
    if isinstance(step, TrailEvent):
        event = {"id": encode_id("evt", step.id), "type": step.type}
        return {"at": rfc3339(step.occurred_at), "kind": "event", "transfer": None, "event": event}
    transfer = {
        "id": encode_id("tr", step.id),
        "kind": step.kind,
        "description": step.description,
        "correlation_id": step.correlation_id,
        "causation_id": step.causation_id,
        "related": None if step.related_id is None else encode_id("tr", step.related_id),
        "direction": _direction(step.amount_minor) if step.amount_minor else None,
        "amount": abs(step.amount_minor),
    }
    return {"at": rfc3339(step.recorded_at), "kind": "transfer", "transfer": transfer, "event": None}


def _direction(amount_minor: int) -> Direction:
    return Direction.DEBIT if amount_minor > 0 else Direction.CREDIT


def render_overdue(snapshot: Snapshot) -> dict[str, Any]:
    """What `ledger.tell_overdue` wrote of an item, in the public shape."""
    return {
        "object": "clearing_item",
        "account": encode_id("acct", UUID(snapshot["account_id"])),
        "code": snapshot["code"],
        "transfer": encode_id("tr", UUID(snapshot["transfer_id"])),
        "correlation_id": snapshot["correlation_id"],
        "direction": _direction(snapshot["amount"]),
        "amount": abs(snapshot["amount"]),
        "currency": snapshot["currency"],
        "since": instant(snapshot["since"]),
        "due_at": instant(snapshot["due_at"]),
    }


register("clearing", render_overdue)
