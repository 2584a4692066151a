"""The audit log over HTTP: the tenant's own business."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field, StringConstraints

from florin.audit import service
from florin.audit.model import AuditEntry
from florin.audit.service import shown_id
from florin.kernel.dates import Instant
from florin.kernel.db import Database
from florin.kernel.http.call import Call, requires
from florin.kernel.http.problem import problems
from florin.kernel.ids import AuditId
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page

router = APIRouter(tags=["Audit"])

Read = Annotated[Call, Depends(requires("audit:read", tenants_only=True))]
Word = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]


class AuditEntryShown(BaseModel):
    """One change."""

    id: AuditId
    seq: int = Field(description="Its number in the tenant's chain: from 1, without a gap.")
    at: datetime
    actor: str = Field(description="`key_...`, `cli:...`, `job:...`; `database:<role>` from past the API.")
    action: str = Field(examples=["changed"])
    entity_type: str = Field(examples=["account"])
    entity_id: str
    changed: list[str] = Field(description="What differs between before and after.")
    before: dict[str, Any] | None = Field(description="As the database kept it. Null: it was not there.")
    after: dict[str, Any] | None = Field(description="As the database keeps it. Null: it is gone.")
    reason: str | None
    address: str | None
    user_agent: str | None
    request_id: str | None
    session_id: str | None


@router.get("/v1/audit", summary="List changes of settings", responses=problems())
async def list_audit_entries(
    call: Read,
    entity_type: Annotated[Word | None, Query(description="Only changes of this kind of thing.")] = None,
    entity_id: Annotated[Word | None, Query(description="Only changes of this thing.")] = None,
    actor: Annotated[Word | None, Query(description="Only what this key, user or job did.")] = None,
    since: Annotated[Instant | None, Query(alias="from", description="At or after this.")] = None,
    until: Annotated[Instant | None, Query(alias="to", description="Before this.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    starting_after: AuditId | None = None,
) -> Page[AuditEntryShown]:
    """Who changed what, when, from where and why, newest first. The database writes each entry in the
    transaction of the change.
    """
    found = await service.entries(
        call.rooms[Database],
        call.tenant_id,
        limit=limit + 1,
        entity_type=entity_type,
        entity_id=entity_id,
        actor=actor,
        since=since,
        until=until,
        starting_after=starting_after,
    )
    return page(found, limit, render)


def render(entry: AuditEntry) -> AuditEntryShown:
    """The entry as the API shows it."""
    return AuditEntryShown(
        id=entry.id,
        seq=entry.seq,
        at=entry.at,
        actor=entry.actor,
        action=entry.action,
        entity_type=entry.entity_type,
        entity_id=shown_id(entry),
        changed=entry.changed,
        before=None if entry.before is None else dict(entry.before),
        after=None if entry.after is None else dict(entry.after),
        reason=entry.reason,
        address=entry.address,
        user_agent=entry.user_agent,
        request_id=entry.request_id,
        session_id=entry.session_id,
    )
