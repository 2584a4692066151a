"""Transfers: one, a batch, a reversal."""

from typing import Annotated, Any, TypeVar
from uuid import UUID

import orjson
from fastapi import APIRouter, Query

from florin.kernel.dates import Instant
from florin.kernel.errors import IdempotencyKeyReused, InvalidRequest, Refusal
from florin.kernel.http.call import Call
from florin.kernel.http.headers import IDEMPOTENCY
from florin.kernel.http.lean import LeanRoute
from florin.kernel.http.problem import problems
from florin.kernel.idempotency import Idempotency, idempotency
from florin.kernel.ids import AccountId, TransferId, new_id
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page
from florin.ledger import service
from florin.ledger.http import render
from florin.ledger.http.accounts import Read, Write
from florin.ledger.http.dry_run_render import dry, rehearsal
from florin.ledger.http.dry_run_schemas import DRY_RUN
from florin.ledger.http.schemas import (
    BatchRequest,
    BatchResponse,
    Correlation,
    ReversalRequest,
    TransferRequest,
    TransferResponse,
)
from florin.ledger.model import Hold, Posting, Reversing, Transfer, TransferKind
from florin.ledger.rehearsal.service import dry_reversal
from florin.ledger.service import Ledger

router = APIRouter(tags=["Transfers"])
lean = APIRouter(tags=["Transfers"], route_class=LeanRoute)

SINGLE = "POST /v1/transfers"
"""A batch's keys share their scope with single transfers: either may repeat the other."""


def posting_of(body: TransferRequest, key: Idempotency | None) -> Posting:
    """The transfer that a request asks for; without a key to try it."""
    return Posting(
        id=new_id(),
        idempotency=key,
        legs=render.legs_of(body.legs),
        currency=body.currency,
        description=body.description,
        metadata=body.metadata,
        effective_at=body.effective_at,
        origin=body.origin(),
    )


def key_for(call: Call, target: UUID | str) -> Idempotency:
    """Slot and digest of a request whose path names its target: the same key for another is a mistake."""
    body = b'{"target":"%s","body":%s}' % (str(target).encode(), call.body or b"null")
    return idempotency(call.principal.actor, call.operation, call.idempotency_key, body)


Answer = TypeVar("Answer", Transfer, Hold)


def told(call: Call, answer: Answer) -> Answer:
    """The answer, marked in the response's headers where a key hears it again."""
    if answer.replayed:
        call.mark_replayed()
    return answer


@lean.post(
    "/v1/transfers",
    status_code=201,
    summary="Post a transfer",
    response_model=TransferResponse,
    responses=problems(404, 409),
    openapi_extra=IDEMPOTENCY,
)
async def post_transfer(call: Write, body: TransferRequest) -> dict[str, Any]:
    """Moves money between accounts: two or more legs that balance per currency."""
    posted = await service.post_transfer(
        call.rooms[Ledger], call.tenant_id, posting_of(body, call.idempotency())
    )
    return render.transfer(told(call, posted))


@lean.post(
    "/v1/transfers/batch",
    summary="Post many transfers",
    response_model=BatchResponse,
    responses=problems(),
)
async def post_transfers(call: Write, body: BatchRequest) -> dict[str, Any]:
    """Posts up to 1,000 transfers, each on its own and with a key of its own, in their order."""
    keys = _keys(call)
    answers = await service.post_transfers(
        call.rooms[Ledger],
        call.tenant_id,
        [posting_of(item, key) for item, key in zip(body.transfers, keys, strict=True)],
    )
    return {"data": [_batch_answer(index, answer) for index, answer in enumerate(answers)]}


def _keys(call: Call) -> list[Idempotency]:
    keys = []
    for item in orjson.loads(call.body)["transfers"]:
        key = item.pop("idempotency_key")
        keys.append(idempotency(call.principal.actor, SINGLE, key, orjson.dumps(item)))
    return keys


def _batch_answer(index: int, answer: Transfer | Refusal) -> dict[str, Any]:
    if isinstance(answer, Transfer):
        return {"status": 201, "transfer": render.transfer(answer), "problem": None}
    problem = {"code": answer.code, "detail": answer.detail}
    param = "idempotency_key" if isinstance(answer, IdempotencyKeyReused) else answer.param
    if param is not None:
        problem["param"] = f"transfers[{index}].{param}"
    return {"status": int(answer.status), "transfer": None, "problem": problem}


@router.get("/v1/transfers", summary="List transfers", responses=problems())
async def list_transfers(
    call: Read,
    account: Annotated[
        AccountId | None, Query(description="Only those that moved money on this account.")
    ] = None,
    kind: TransferKind | None = None,
    correlation_id: Annotated[
        Correlation | None, Query(description="Only those that belong together under this id.")
    ] = None,
    since: Annotated[Instant | None, Query(alias="from", description="Recorded at or after this.")] = None,
    until: Annotated[Instant | None, Query(alias="to", description="Recorded before this.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    starting_after: TransferId | None = None,
) -> Page[TransferResponse]:
    """The transfer log, newest first."""
    found = await service.transfers(
        call.rooms[Ledger],
        call.tenant_id,
        limit=limit + 1,
        account_id=account,
        starting_after=starting_after,
        kind=kind,
        correlation_id=correlation_id,
        since=since,
        until=until,
    )
    return page(found, limit, lambda one: TransferResponse(**render.transfer(one)))


@router.get(
    "/v1/transfers/{transfer_id}",
    summary="Read a transfer",
    response_model=TransferResponse,
    responses=problems(404),
)
async def read_transfer(call: Read, transfer_id: TransferId) -> Any:
    """The transfer with its entries."""
    return render.transfer(await service.transfer(call.rooms[Ledger], call.tenant_id, transfer_id))


@router.post(
    "/v1/transfers/{transfer_id}/reverse",
    status_code=201,
    summary="Reverse a transfer",
    response_model=TransferResponse,
    responses={**problems(404, 409), **DRY_RUN},
    openapi_extra=IDEMPOTENCY,
)
async def reverse_transfer(call: Write, transfer_id: TransferId, body: ReversalRequest | None = None) -> Any:
    """Takes back what is left of a transfer, or a part of it; no amount twice. The answer is the reversal.

    With `dry_run` nothing is posted.
    """
    asked = body or ReversalRequest()
    if asked.amount is not None and asked.legs is not None:
        raise InvalidRequest("give either amount or legs, not both", param="amount")
    reversing = Reversing(
        id=new_id(),
        idempotency=None if asked.dry_run else key_for(call, transfer_id),
        transfer_id=transfer_id,
        amount_minor=asked.amount,
        legs=render.legs_of(asked.legs or ()),
        effective_at=asked.effective_at,
        description=asked.description,
        metadata=asked.metadata,
        origin=asked.origin(),
    )
    ledger = call.rooms[Ledger]
    if asked.dry_run:
        return dry(rehearsal(await dry_reversal(ledger, call.tenant_id, reversing)))
    return render.transfer(told(call, await service.reverse_transfer(ledger, call.tenant_id, reversing)))
