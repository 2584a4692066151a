"""What dry runs take and give over HTTP."""

from typing import Any, Final

from pydantic import BaseModel, Field

from florin.kernel.ids import AccountId
from florin.kernel.money import CurrencyCode
from florin.ledger.http.schemas import MAX_BATCH, BalanceResponse, Request, TransferRequest
from florin.ledger.model import Direction


class DryRunRequest(Request):
    """Transfers to be tried."""

    transfers: list[TransferRequest] = Field(min_length=1, max_length=MAX_BATCH)
    atomic: bool = Field(False, strict=True, description="Whether they are one set, or each on its own.")


class DryRunLeg(BaseModel):
    """What a leg would do to its account. The balances are null where it only reserves."""

    account: AccountId
    currency: CurrencyCode
    direction: Direction
    amount: int
    balance_before: int | None
    balance_after: int | None


class DryRunRule(BaseModel):
    """The bound that refuses."""

    bound: str = Field(description="`min_balance` or `max_balance`.")
    value: int
    balance: int = Field(description="What it would be, with what holds may still move.")
    limit: str | None = Field(description="The shared limit whose bound it is. Null: the account's own.")


class DryRunProblem(BaseModel):
    """Why the transfer would be refused."""

    code: str
    detail: str
    param: str | None
    account: AccountId | None
    rule: DryRunRule | None


class DryRunAnswer(BaseModel):
    """What would become of one transfer."""

    status: int = Field(description="201, or the status of the problem.")
    legs: list[DryRunLeg] | None
    problem: DryRunProblem | None


class DryRunResponse(BaseModel):
    """One answer per transfer, and what their accounts would hold afterwards. Nothing was written."""

    data: list[DryRunAnswer]
    balances: list[BalanceResponse]


DRY_RUN: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": DryRunResponse, "description": "What would have been, with `dry_run`; nothing was posted"}
}
"""The response of an endpoint that takes `dry_run`, beside what it answers otherwise."""
