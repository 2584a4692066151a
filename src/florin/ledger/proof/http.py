"""How far the books are proven, over HTTP."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from florin.kernel.http.call import Call, requires
from florin.kernel.http.problem import problems
from florin.kernel.ids import AccountId, TransferId
from florin.ledger.proof import render, service
from florin.ledger.service import Ledger

router = APIRouter(tags=["Proof"])

Read = Annotated[Call, Depends(requires("ledger:read", tenants_only=True))]


class FaultResponse(BaseModel):
    """Something that must hold and does not."""

    rule: str = Field(description="The rule's stable name.")
    detail: str = Field(description="What was found.")
    transfer: TransferId | None
    account: AccountId | None
    seq: int | None = Field(description="The number of the account's entry.")


class StandingResponse(BaseModel):
    """How far the books are proven, and what was found."""

    status: Literal["proven", "behind", "faulty"]
    transfers: int = Field(description="How many transfers have been verified.")
    entries: int = Field(description="How many entries these have.")
    last_transfer: TransferId | None = Field(description="It and all before it have been verified.")
    last_recorded_at: str | None
    proven_at: str | None = Field(description="When the proof last moved on.")
    behind_transfers: int = Field(description="How many wait to be verified, counted up to 100,000.")
    behind_seconds: float = Field(description="How long the first of these has waited.")
    fault_count: int
    faults: list[FaultResponse] = Field(description="Up to 100, the first found first.")


@router.get(
    "/v1/ledger/status",
    summary="Read how far the books are proven",
    response_model=StandingResponse,
    responses=problems(),
)
async def read_standing(call: Read) -> Any:
    """Up to where every transfer and its entries have been verified since they were committed, and what was
    found."""
    return render.standing(await service.standing(call.rooms[Ledger], call.tenant_id))
