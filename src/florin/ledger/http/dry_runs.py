"""Dry runs of transfers."""

from typing import Any

from fastapi import APIRouter

from florin.kernel.http.problem import problems
from florin.ledger.http.accounts import Read
from florin.ledger.http.dry_run_render import rehearsal
from florin.ledger.http.dry_run_schemas import DryRunRequest, DryRunResponse
from florin.ledger.http.transfers import posting_of
from florin.ledger.rehearsal import service
from florin.ledger.service import Ledger

router = APIRouter(tags=["Transfers"])


@router.post(
    "/v1/transfers/dry-run", summary="Try transfers", response_model=DryRunResponse, responses=problems()
)
async def dry_run_transfers(call: Read, body: DryRunRequest) -> Any:
    """Says what posting up to 1,000 transfers would answer, and posts none of them.

    The ledger does it and takes it back: balances, bounds and refusals are the real ones of this moment.
    """
    postings = [posting_of(item, None) for item in body.transfers]
    found = await service.dry_run(call.rooms[Ledger], call.tenant_id, postings, atomic=body.atomic)
    return rehearsal(found, many=True)
