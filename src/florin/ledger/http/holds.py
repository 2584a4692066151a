"""Holds: place, post, void, read."""

from typing import Any

from fastapi import APIRouter

from florin.kernel.errors import InvalidRequest
from florin.kernel.http.headers import IDEMPOTENCY
from florin.kernel.http.problem import problems
from florin.kernel.ids import AccountId, HoldId, new_id
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page
from florin.ledger import service
from florin.ledger.http import render
from florin.ledger.http.accounts import Read, Write
from florin.ledger.http.schemas import (
    HoldPostRequest,
    HoldRequest,
    HoldResponse,
    NoteRequest,
    TransferResponse,
)
from florin.ledger.http.transfers import key_for, told
from florin.ledger.model import HoldAction, HoldStatus, Posting, Settlement, TransferKind
from florin.ledger.service import Ledger

router = APIRouter(tags=["Holds"])


@router.post(
    "/v1/holds",
    status_code=201,
    summary="Place a hold",
    response_model=HoldResponse,
    responses=problems(404, 409),
    openapi_extra=IDEMPOTENCY,
)
async def place_hold(call: Write, body: HoldRequest) -> Any:
    """Reserves what a transfer with these legs would move, until it is posted, voided, or expires."""
    placed = await service.place_hold(
        call.rooms[Ledger],
        call.tenant_id,
        Posting(
            id=new_id(),
            idempotency=call.idempotency(),
            legs=render.legs_of(body.legs),
            kind=TransferKind.HOLD,
            currency=body.currency,
            description=body.description,
            metadata=body.metadata,
            origin=body.origin(),
            expires_at=body.expires_at,
        ),
    )
    return render.hold(told(call, placed))


@router.get("/v1/holds", summary="List holds", responses=problems())
async def list_holds(
    call: Read,
    account: AccountId | None = None,
    status: HoldStatus | None = None,
    limit: Limit = DEFAULT_LIMIT,
    starting_after: HoldId | None = None,
) -> Page[HoldResponse]:
    """Holds, newest first."""
    found = await service.holds(
        call.rooms[Ledger],
        call.tenant_id,
        limit=limit + 1,
        starting_after=starting_after,
        status=status,
        account_id=account,
    )
    return page(found, limit, lambda one: HoldResponse(**render.hold(one)))


@router.get(
    "/v1/holds/{hold_id}", summary="Read a hold", response_model=HoldResponse, responses=problems(404)
)
async def read_hold(call: Read, hold_id: HoldId) -> Any:
    """The hold, and how much of it is left."""
    return render.hold(await service.hold(call.rooms[Ledger], call.tenant_id, hold_id))


@router.post(
    "/v1/holds/{hold_id}/post",
    status_code=201,
    summary="Post a hold",
    response_model=TransferResponse,
    responses=problems(404, 409),
    openapi_extra=IDEMPOTENCY,
)
async def post_hold(call: Write, hold_id: HoldId, body: HoldPostRequest | None = None) -> Any:
    """Moves what the hold reserves, all or a part; the rest stays reserved. The answer is the transfer."""
    asked = body or HoldPostRequest()
    if asked.amount is not None and asked.legs is not None:
        raise InvalidRequest("give either amount or legs, not both", param="amount")
    posted = await service.settle_hold(
        call.rooms[Ledger],
        call.tenant_id,
        Settlement(
            id=new_id(),
            idempotency=key_for(call, hold_id),
            hold_id=hold_id,
            action=HoldAction.POST,
            amount_minor=asked.amount,
            legs=render.legs_of(asked.legs or ()),
            description=asked.description,
            metadata=asked.metadata,
            origin=asked.origin(),
        ),
    )
    return render.transfer(told(call, posted))


@router.post(
    "/v1/holds/{hold_id}/void",
    status_code=201,
    summary="Void a hold",
    response_model=TransferResponse,
    responses=problems(404, 409),
    openapi_extra=IDEMPOTENCY,
)
async def void_hold(call: Write, hold_id: HoldId, body: NoteRequest | None = None) -> Any:
    """Releases what the hold still reserves. The answer is the line that says so."""
    note = body or NoteRequest()
    voided = await service.settle_hold(
        call.rooms[Ledger],
        call.tenant_id,
        Settlement(
            id=new_id(),
            idempotency=key_for(call, hold_id),
            hold_id=hold_id,
            action=HoldAction.VOID,
            description=note.description,
            metadata=note.metadata,
            origin=note.origin(),
        ),
    )
    return render.transfer(told(call, voided))
