"""How monitors and their events are shown."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from florin.kernel.clock import rfc3339
from florin.kernel.events import Snapshot, register
from florin.kernel.ids import AccountId, MonitorId, encode_id
from florin.ledger.http.schemas import BoundMinor, Description, Name, Request
from florin.ledger.monitors.model import Comparison, Metric, Monitor

Reason = Annotated[Description, Field(description="Why; it goes into the audit log.")]


class NewMonitorRequest(Request):
    """A condition on an account's balance."""

    account: AccountId
    name: Name
    metric: Metric = Field(description="The balance, or what of it holds leave available.")
    comparison: Comparison = Field(description="Strictly below the threshold, or strictly above.")
    threshold: BoundMinor
    reason: Reason | None = None


class MonitorChange(Request):
    """What to change; what is left out stays."""

    name: Name | None = None
    threshold: BoundMinor | None = None
    active: Annotated[bool, Field(strict=True)] | None = Field(
        None, description="False: tells nothing any more."
    )
    reason: Reason | None = None


class MonitorResponse(BaseModel):
    """A condition, and how it stands now."""

    id: MonitorId
    object: Literal["balance_monitor"]
    account: AccountId
    name: str
    metric: Metric
    comparison: Comparison
    threshold: int
    active: bool
    value: int = Field(description="The metric's present value.")
    holds: bool = Field(description="Whether the condition holds now.")
    created_at: str


def monitor(found: Monitor) -> dict[str, Any]:
    """A MonitorResponse."""
    return {
        "id": encode_id("mon", found.id),
        "object": "balance_monitor",
        "account": encode_id("acct", found.account_id),
        "name": found.name,
        "metric": found.metric,
        "comparison": found.comparison,
        "threshold": found.threshold_minor,
        "active": found.active,
        "value": found.value_minor,
        "holds": found.holds,
        "created_at": rfc3339(found.created_at),
    }


def render_crossing(snapshot: Snapshot) -> dict[str, Any]:
    """What `ledger.tell_monitors` wrote of a crossing, in the public shape."""
    return {
        "id": encode_id("mon", UUID(snapshot["id"])),
        "object": "balance_monitor",
        "account": encode_id("acct", UUID(snapshot["account_id"])),
        "transfer": encode_id("tr", UUID(snapshot["transfer_id"])),
        **{
            name: snapshot[name]
            for name in (
                "name",
                "metric",
                "comparison",
                "threshold",
                "holds",
                "value",
                "previous_value",
                "balance",
                "available",
            )
        },
    }


register("balance_monitor", render_crossing)
