"""/v1/clearing."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from florin.kernel.dates import Instant
from florin.kernel.http.problem import problems
from florin.kernel.ids import AccountId, TransferId
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page
from florin.ledger.clearing import service, views
from florin.ledger.clearing.views import ClearingAccountView, ItemView, TrailView
from florin.ledger.http.accounts import Read
from florin.ledger.service import Ledger

router = APIRouter(prefix="/v1/clearing", tags=["Clearing"])

At = Annotated[
    Instant | None,
    Query(description="As it stood, and as old as it was, at this instant. Default: now."),
]


@router.get("", summary="List clearing accounts", responses=problems())
async def list_clearing_accounts(
    call: Read, at: At = None, limit: Limit = DEFAULT_LIMIT, starting_after: AccountId | None = None
) -> Page[ClearingAccountView]:
    """Accounts that are to return to zero, newest first: what on them has not, and how old it is."""
    found = await service.clearing_accounts(
        call.rooms[Ledger], call.tenant_id, limit=limit + 1, at=at, starting_after=starting_after
    )
    return page(found, limit, lambda one: ClearingAccountView(**views.account(one)))


@router.get("/{account_id}/items", summary="List open items", responses=problems(404))
async def list_open_items(
    call: Read,
    account_id: AccountId,
    at: At = None,
    overdue: Annotated[
        bool | None, Query(description="Only those that are overdue, or that are not.")
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
    starting_after: Annotated[TransferId | None, Query(description="The last item's `transfer`.")] = None,
) -> Page[ItemView]:
    """What has not returned to zero on a clearing account, oldest first."""
    found = await service.open_items(
        call.rooms[Ledger],
        call.tenant_id,
        account_id,
        limit=limit + 1,
        at=at,
        overdue=overdue,
        starting_after=starting_after,
    )
    return page(found, limit, lambda one: ItemView(**views.item(one)))


@router.get(
    "/{account_id}/items/{transfer_id}/trail",
    summary="Follow a lingering amount",
    response_model=TrailView,
    responses=problems(404),
)
async def read_trail(call: Read, account_id: AccountId, transfer_id: TransferId) -> Any:
    """From a lingering amount back to what left it: the transfer, all with the same correlation id, their
    reversals, and the events about what the ids name, oldest first."""
    return views.trail(await service.trail(call.rooms[Ledger], call.tenant_id, account_id, transfer_id))
