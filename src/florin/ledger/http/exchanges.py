"""Currency exchange."""

from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from florin.kernel.dates import Instant
from florin.kernel.http.headers import IDEMPOTENCY
from florin.kernel.http.problem import problems
from florin.kernel.idempotency import Idempotency
from florin.kernel.ids import AccountId, new_id
from florin.kernel.money import AmountMinor, CurrencyCode
from florin.ledger.exchange.model import Exchanging, Rounding
from florin.ledger.exchange.service import dry_exchange, positions, post_exchange
from florin.ledger.http import render
from florin.ledger.http.accounts import Read, Write
from florin.ledger.http.dry_run_render import dry, rehearsal
from florin.ledger.http.dry_run_schemas import DRY_RUN
from florin.ledger.http.schemas import DryRun, Name, OriginRequest, Request, TransferResponse
from florin.ledger.http.transfers import told
from florin.ledger.service import Ledger

router = APIRouter(tags=["Exchanges"])

MAX_TOLERANCE_MINOR = 10_000


def _positive(rate: str) -> str:
    if Decimal(rate) == 0:
        raise ValueError("must be more than 0")
    return rate


Rate = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{1,12}(\.[0-9]{1,18})?$"),
    AfterValidator(_positive),
    Field(
        description="Units of the bought currency for one of the sold, as a decimal in quotes.",
        examples=["0.9213"],
    ),
]


class SellRequest(Request):
    """What is given."""

    account: AccountId = Field(description="Its balance falls.")
    amount: AmountMinor


class BuyRequest(Request):
    """What is got."""

    account: AccountId = Field(description="Its balance rises.")
    amount: AmountMinor | None = Field(None, description="What was agreed. Default: what the rate gives.")


class ExchangeRequest(OriginRequest):
    """An amount of one currency for another."""

    sell: SellRequest
    buy: BuyRequest
    rate: Rate
    source: Name = Field(description="Who gave the rate.")
    quoted_at: Instant | None = Field(None, description="When the rate was given.")
    rounding: Rounding = Rounding.HALF_EVEN
    tolerance: int = Field(
        1,
        strict=True,
        ge=0,
        le=MAX_TOLERANCE_MINOR,
        description="How many minor units an agreed amount may lie from the rate's.",
    )
    dry_run: DryRun = False


class PositionRow(BaseModel):
    """How far the books are open in one currency."""

    currency: CurrencyCode
    position: int = Field(description="What is owned beyond what is owed, by exchanges. Negative: short.")
    rounding: int = Field(description="What agreed amounts left beside the rate's. Negative: they cost.")


class PositionsResponse(BaseModel):
    """Open positions by currency."""

    data: list[PositionRow]


@router.post(
    "/v1/exchanges",
    status_code=201,
    summary="Exchange currencies",
    response_model=TransferResponse,
    responses={**problems(404, 409), **DRY_RUN},
    openapi_extra=IDEMPOTENCY,
)
async def exchange(call: Write, body: ExchangeRequest) -> Any:
    """Gives one currency for another in one transfer, each balanced through its position account.

    What an agreed amount differs from the rate's is a leg of its own. With `dry_run` nothing is posted.
    """
    exchanging = exchanging_of(body, None if body.dry_run else call.idempotency())
    ledger = call.rooms[Ledger]
    if body.dry_run:
        return dry(rehearsal(await dry_exchange(ledger, call.tenant_id, exchanging)))
    return render.transfer(told(call, await post_exchange(ledger, call.tenant_id, exchanging)))


def exchanging_of(body: ExchangeRequest, key: Idempotency | None) -> Exchanging:
    """The exchange that a request asks for; without a key to try it."""
    return Exchanging(
        id=new_id(),
        idempotency=key,
        sell_account=body.sell.account,
        sell_minor=body.sell.amount,
        buy_account=body.buy.account,
        buy_minor=body.buy.amount,
        rate=Decimal(body.rate),
        source=body.source,
        rounding=body.rounding,
        tolerance_minor=body.tolerance,
        quoted_at=body.quoted_at,
        effective_at=body.effective_at,
        description=body.description,
        metadata=body.metadata,
        correlation_id=body.correlation_id,
        causation_id=body.causation_id,
    )


@router.get(
    "/v1/exchanges/positions",
    summary="List open positions",
    response_model=PositionsResponse,
    responses=problems(),
)
async def list_positions(call: Read) -> Any:
    """Per currency, how far exchanges have opened the books, and what rounding has left."""
    found = await positions(call.rooms[Ledger], call.tenant_id)
    return {
        "data": [
            {"currency": one.currency, "position": one.position_minor, "rounding": one.rounding_minor}
            for one in found
        ]
    }
