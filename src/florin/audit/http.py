"""The audit log over HTTP: the tenant's own business. Reading it is noted in it."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from florin.audit import files, schema_watch, service
from florin.audit.files import MEDIA_TYPES, FileFormat
from florin.audit.model import AuditEntry, Filters
from florin.kernel.dates import Instant
from florin.kernel.db import Database
from florin.kernel.http.call import Call, requires
from florin.kernel.http.problem import problems
from florin.kernel.ids import AuditId, SchemaChangeId
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page

router = APIRouter(tags=["Audit"])

Read = Annotated[Call, Depends(requires("audit:read", tenants_only=True, privileged=True))]
Export = Annotated[Call, Depends(requires("audit:export", tenants_only=True, privileged=True))]
OfPlatform = Annotated[
    Call, Depends(requires("platform:read", tenants_only=True, platform=True, privileged=True))
]
_WINDOW = 500
"""Rows written at a time: short enough not to keep the process's other requests waiting."""

Word = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]


class AuditEntryShown(BaseModel):
    """One change, or one look at what is privileged."""

    id: AuditId
    seq: int = Field(description="Its number in the tenant's chain: from 1, without a gap.")
    at: datetime
    actor: str = Field(
        description="`key_...`, `user_...`, `cli:...`, `job:...`; `database:<role>` from past the API."
    )
    action: str = Field(
        description="`created`, `changed`, `deleted`, `read`, or a name of its own.", examples=["changed"]
    )
    entity_type: str = Field(examples=["account"])
    entity_id: str
    changed: list[str] = Field(description="What differs between before and after.")
    before: dict[str, Any] | None = Field(description="As the database kept it. Null: it was not there.")
    after: dict[str, Any] | None = Field(
        description="As the database keeps it. Null: it is gone. Of a read: what was asked for."
    )
    reason: str | None
    address: str | None
    user_agent: str | None
    request_id: str | None
    session_id: str | None


class SchemaChangeShown(BaseModel):
    """One change of the database's schema."""

    model_config = ConfigDict(from_attributes=True)

    id: SchemaChangeId
    at: datetime
    login: str = Field(description="Who was connected.")
    role: str = Field(description="As whom.")
    application: str | None
    address: str | None = Field(description="Null: over a local socket.")
    command: str = Field(examples=["ALTER TABLE"])
    object_type: str | None
    object: str | None = Field(description="Null: the command names none.")
    statement: str | None = Field(description="Its beginning, without literals and comments.")
    reason: str | None = Field(description="The migration, for one.")


def _filters(
    entity_type: Annotated[Word | None, Query(description="Only of this kind of thing.")] = None,
    entity_id: Annotated[Word | None, Query(description="Only of this thing.")] = None,
    actor: Annotated[Word | None, Query(description="Only what this key, user or job did.")] = None,
    action: Annotated[Word | None, Query(description="Only this: `created`, `changed`, `read` ...")] = None,
    request_id: Annotated[Word | None, Query(description="Only what this request did.")] = None,
    session_id: Annotated[Word | None, Query(description="Only what was done in this session.")] = None,
    address: Annotated[Word | None, Query(description="Only what came from this address.")] = None,
    field: Annotated[Word | None, Query(description="Only where this differs before and after.")] = None,
    since: Annotated[Instant | None, Query(alias="from", description="At or after this.")] = None,
    until: Annotated[Instant | None, Query(alias="to", description="Before this.")] = None,
) -> Filters:
    return {
        "entity_type": entity_type,
        "entity_id": entity_id,
        "actor": actor,
        "action": action,
        "request_id": request_id,
        "session_id": session_id,
        "address": address,
        "field": field,
        "since": since,
        "until": until,
    }


Asked = Annotated[Filters, Depends(_filters)]


@router.get("/v1/audit", summary="List changes of settings", responses=problems())
async def list_audit_entries(
    call: Read, asked: Asked, limit: Limit = DEFAULT_LIMIT, starting_after: AuditId | None = None
) -> Page[AuditEntryShown]:
    """Who changed what, when, from where and why, newest first. The database writes each entry in the
    transaction of the change. Who was shown what is privileged is there too, as `read`.
    """
    found = await service.entries(
        call.rooms[Database], call.tenant_id, limit=limit + 1, starting_after=starting_after, **asked
    )
    return page(found, limit, render)


@router.get(
    "/v1/audit/export",
    summary="Export the audit log",
    response_class=StreamingResponse,
    responses={
        **problems(),
        200: {
            "description": "OK",
            "content": {media: {"schema": {"type": "string"}} for media in MEDIA_TYPES.values()},
        },
    },
)
async def export_audit_log(
    call: Export,
    asked: Asked,
    format: FileFormat = FileFormat.NDJSON,
    after_seq: Annotated[
        int, Query(ge=0, le=2**63 - 1, description="Go on after the entry with this number.")
    ] = 0,
) -> StreamingResponse:
    """The log as a file, oldest first, of any length, up to the newest entry there is now.

    Broken off, ask again with `after_seq`. Each entry bears its digest and that of the entry before it.
    """
    database, tenant_id = call.rooms[Database], call.tenant_id

    async def parts() -> AsyncIterator[bytes]:
        yield files.beginning(format)
        async for _, entries in service.export(
            database, tenant_id, after_seq=after_seq, window=_WINDOW, **asked
        ):
            yield files.part(format, entries)

    return StreamingResponse(
        parts(),
        media_type=MEDIA_TYPES[format],
        headers={"content-disposition": f'attachment; filename="audit.{format}"'},
    )


@router.get("/v1/audit/{audit_id}", summary="Read an entry of the audit log", responses=problems(404))
async def read_audit_entry(call: Read, audit_id: AuditId) -> AuditEntryShown:
    """One entry."""
    return render(await service.entry(call.rooms[Database], call.tenant_id, audit_id))


@router.get("/v1/platform/schema-changes", summary="List changes of the schema", responses=problems())
async def list_schema_changes(
    call: OfPlatform, limit: Limit = DEFAULT_LIMIT, starting_after: SchemaChangeId | None = None
) -> Page[SchemaChangeShown]:
    """Who changed the database's schema, when and how, newest first: migrations, and whatever was done by
    hand. Empty where nobody has put the event triggers up: see `florin doctor`.
    """
    found = await schema_watch.schema_changes(
        call.rooms[Database], limit=limit + 1, starting_after=starting_after
    )
    return page(found, limit, SchemaChangeShown.model_validate)


def render(entry: AuditEntry) -> AuditEntryShown:
    """The entry as the API shows it."""
    return AuditEntryShown.model_validate({**files.shown(entry), "id": entry.id, "at": entry.at})
