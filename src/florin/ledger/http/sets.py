"""Sets of transfers, and corrections, which are sets of two."""

from typing import Any

from fastapi import APIRouter

from florin.kernel.http.call import Call
from florin.kernel.http.headers import IDEMPOTENCY
from florin.kernel.http.problem import problems
from florin.kernel.ids import TransferId, new_id
from florin.ledger.corrections.service import correct_transfer
from florin.ledger.http import render
from florin.ledger.http.accounts import Write
from florin.ledger.http.dry_run_render import dry, rehearsal
from florin.ledger.http.dry_run_schemas import DRY_RUN
from florin.ledger.http.schemas import CorrectionRequest, SetRequest, SetResponse, TransferResponse
from florin.ledger.http.transfers import key_for, posting_of, told
from florin.ledger.model import Correcting, Posting
from florin.ledger.rehearsal.service import dry_correction
from florin.ledger.service import Ledger
from florin.ledger.sets.service import key_of_member, post_set

router = APIRouter(tags=["Transfers"])


@router.post(
    "/v1/transfers/sets",
    status_code=201,
    summary="Post a set of transfers",
    response_model=SetResponse,
    responses=problems(404, 409),
    openapi_extra=IDEMPOTENCY,
)
async def post_transfer_set(call: Write, body: SetRequest) -> Any:
    """Posts up to 1,000 transfers, in their order: all of them or none.

    Balances must keep their bounds when all of them have been posted, not after each. A problem names the
    transfer at fault (`transfers[3].legs[0].amount`).
    """
    posted = await post_set(call.rooms[Ledger], call.tenant_id, _members(call, body))
    return {"data": [render.transfer(one) for one in [told(call, posted[0]), *posted[1:]]]}


def _members(call: Call, body: SetRequest) -> list[Posting]:
    key = call.idempotency()
    return [posting_of(item, key_of_member(key, index)) for index, item in enumerate(body.transfers)]


@router.post(
    "/v1/transfers/{transfer_id}/correct",
    status_code=201,
    summary="Correct a transfer",
    response_model=TransferResponse,
    responses={**problems(404, 409), **DRY_RUN},
    openapi_extra=IDEMPOTENCY,
)
async def correct(call: Write, transfer_id: TransferId, body: CorrectionRequest) -> Any:
    """Takes back what is left of a transfer and posts it anew: both or neither. The answer is the new one.

    Balances must keep their bounds when both have been posted. With `dry_run` nothing is posted.
    """
    correcting = Correcting(
        reversal_id=new_id(),
        repost_id=new_id(),
        idempotency=None if body.dry_run else key_for(call, transfer_id),
        transfer_id=transfer_id,
        legs=render.legs_of(body.legs),
        currency=body.currency,
        effective_at=body.effective_at,
        description=body.description,
        metadata=body.metadata,
        origin=body.origin(),
    )
    ledger = call.rooms[Ledger]
    if body.dry_run:
        return dry(rehearsal(await dry_correction(ledger, call.tenant_id, correcting)))
    return render.transfer(told(call, await correct_transfer(ledger, call.tenant_id, correcting)))
