"""An overdue item as webhooks tell it."""

from datetime import datetime, timedelta

from florin.kernel.events import public_event
from florin.kernel.ids import encode_id
from florin.ledger.clearing import service
from florin.ledger.clearing.views import render_overdue
from florin.ledger.model import AccountType
from tests.ledger.books import Books
from tests.ledger.clearing.lingering import clears, execute, move


async def test_an_overdue_item_is_told_in_the_public_shape(books: Books) -> None:
    clearing = await clears(books, await books.open(AccountType.ASSET), timedelta(microseconds=1))
    posted = await move(books, await books.open(), clearing, 70, "order 7")
    assert await service.tell_overdue(books.ledger, books.tenant_id) == 1
    ((event_id, kind, occurred_at, data, code),) = await execute(
        books,
        "SELECT e.id, e.type, e.occurred_at, e.data, a.code FROM kernel.events e"
        " JOIN ledger.accounts a ON a.id = e.object_id",
    )
    row = {"id": event_id, "type": kind, "occurred_at": occurred_at, "data": data}
    told = public_event(row)
    assert told["type"] == "clearing.overdue"
    assert told["data"]["object"] == render_overdue(data)
    shown = render_overdue(data)
    since, due_at = (datetime.fromisoformat(shown.pop(name)) for name in ("since", "due_at"))
    assert (since, due_at) == (posted.recorded_at, posted.recorded_at + timedelta(microseconds=1))
    assert shown == {
        "object": "clearing_item",
        "account": encode_id("acct", clearing),
        "code": code,
        "transfer": encode_id("tr", posted.transfer_id),
        "correlation_id": "order 7",
        "direction": "credit",
        "amount": 70,
        "currency": "USD",
    }
