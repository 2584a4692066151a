"""Imports and exports over HTTP."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from florin.kernel.dates import Instant
from florin.kernel.http.body import RawBody, media_type, takes
from florin.kernel.http.problem import problems
from florin.kernel.ids import ImportId
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page
from florin.ledger.bulk import service
from florin.ledger.bulk.export import check_filters, check_format, export
from florin.ledger.bulk.files import File
from florin.ledger.bulk.model import MAX_FILE_BYTES, ExportKind, FileFormat, Import, ImportKind, ImportStatus
from florin.ledger.http.accounts import Read, ReadAll, Write
from florin.ledger.http.schemas import AccountCode
from florin.ledger.service import Ledger

router = APIRouter(tags=["Bulk"])

_CHUNK_ROWS: Final = 5_000
"""Planned at a time: short enough not to keep the process's other requests waiting."""

_MEDIA_TYPES: Final = {
    FileFormat.CSV: "text/csv",
    FileFormat.PARQUET: "application/vnd.apache.parquet",
}
_FORMATS: Final = {media.encode(): format_ for format_, media in _MEDIA_TYPES.items()}
_FILE: Final = RawBody(frozenset(_FORMATS), MAX_FILE_BYTES)
_CSV_EXAMPLE: Final = "debit_account,credit_account,amount,currency\nbank:usd,customer:1024:wallet,5000,USD\n"


class ImportResponse(BaseModel):
    """How far an import has come."""

    id: ImportId
    kind: ImportKind
    status: ImportStatus
    rows_total: int | None = Field(description="Null until the end of the file has been seen.")
    rows_done: int = Field(description="Posted or refused.")
    rows_refused: int
    created_at: datetime
    updated_at: datetime


class ImportErrorResponse(BaseModel):
    """Why a row was refused."""

    row_number: int = Field(description="The first row after the header is 1.")
    field: str | None
    code: str
    message: str


def _shown(one: Import) -> ImportResponse:
    return ImportResponse(
        id=one.id,
        kind=one.kind,
        status=one.status,
        rows_total=one.rows_total,
        rows_done=one.rows_done,
        rows_refused=one.rows_refused,
        created_at=one.created_at,
        updated_at=one.updated_at,
    )


@router.post(
    "/v1/imports",
    status_code=201,
    summary="Import a file",
    responses=problems(409),
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": f"A file of up to {MAX_FILE_BYTES // 1024**2} MiB.",
            "content": {
                _MEDIA_TYPES[FileFormat.CSV]: {"schema": {"type": "string"}, "example": _CSV_EXAMPLE},
                _MEDIA_TYPES[FileFormat.PARQUET]: {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
)
@takes(_FILE)
async def import_file(
    call: Write, kind: Annotated[ImportKind, Query(description="What the rows are.")]
) -> ImportResponse:
    """Posts the rows of a CSV or Parquet file; bad ones are left out and told. Answers when all are done.

    The file is its own idempotency key: sent again it is not imported again, and one that was broken off
    goes on where it stopped.
    """
    done = await service.import_file(
        call.rooms[Ledger],
        call.tenant_id,
        kind,
        File(call.body, _FORMATS[media_type(call.headers)]),
        by=call.provenance(),
        chunk_rows=_CHUNK_ROWS,
    )
    return _shown(done)


@router.get("/v1/imports", summary="List imports", responses=problems())
async def list_imports(
    call: Read,
    kind: ImportKind | None = None,
    status: ImportStatus | None = None,
    limit: Limit = DEFAULT_LIMIT,
    starting_after: ImportId | None = None,
) -> Page[ImportResponse]:
    """Imports, newest first."""
    found = await service.imports(
        call.rooms[Ledger],
        call.tenant_id,
        limit=limit + 1,
        kind=kind,
        status=status,
        starting_after=starting_after,
    )
    return page(found, limit, _shown)


@router.get("/v1/imports/{import_id}", summary="Read an import", responses=problems(404))
async def read_import(call: Read, import_id: ImportId) -> ImportResponse:
    """How far the import has come."""
    return _shown(await service.import_by_id(call.rooms[Ledger], call.tenant_id, import_id))


@router.get("/v1/imports/{import_id}/errors", summary="List an import's errors", responses=problems(404))
async def list_import_errors(
    call: Read,
    import_id: ImportId,
    limit: Limit = DEFAULT_LIMIT,
    starting_after: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="A row's number.")] = None,
) -> Page[ImportErrorResponse]:
    """What was wrong with rows, in the order of the file."""
    found = await service.import_errors(
        call.rooms[Ledger], call.tenant_id, import_id, limit=limit + 1, starting_after=starting_after
    )
    return page(found, limit, lambda one: ImportErrorResponse(**one._asdict()))


@router.get(
    "/v1/exports/{kind}.{format}",
    summary="Export the books",
    response_class=StreamingResponse,
    responses={
        **problems(404),
        200: {
            "description": "OK",
            "content": {
                _MEDIA_TYPES[FileFormat.CSV]: {"schema": {"type": "string"}, "example": _CSV_EXAMPLE},
                _MEDIA_TYPES[FileFormat.PARQUET]: {"schema": {"type": "string", "format": "binary"}},
            },
        },
    },
)
async def export_books(
    call: ReadAll,
    kind: Annotated[ExportKind, Path(description="What to write.")],
    format: Annotated[FileFormat, Path(description="How to write it.")],
    subtree: Annotated[
        AccountCode | None, Query(description="Only accounts at or below this code, or what touches them.")
    ] = None,
    since: Annotated[Instant | None, Query(alias="from", description="Recorded at or after this.")] = None,
    until: Annotated[Instant | None, Query(alias="to", description="Recorded before this.")] = None,
) -> StreamingResponse:
    """Accounts, balances, entries or transfers as a file, as they stand at one moment.

    Files of accounts, balances and transfers can be imported again. Only entries and transfers have a period.
    """
    check_filters(kind, since, until)
    check_format(format)
    ledger = call.rooms[Ledger]

    async def parts() -> AsyncIterator[bytes]:
        file: Any = export(ledger, call.tenant_id, kind, format, subtree=subtree, since=since, until=until)
        async with ledger.exporting, aclosing(file):
            async for part in file:
                yield part

    return StreamingResponse(
        parts(),
        media_type=_MEDIA_TYPES[format],
        headers={"content-disposition": f'attachment; filename="{kind}.{format}"'},
    )
