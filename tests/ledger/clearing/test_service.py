"""What lingers on accounts that are to return to zero, against a plain model that looks at every entry."""

import asyncio
from datetime import timedelta
from random import Random
from uuid import UUID, uuid4

import pytest

from florin.kernel.clock import now
from florin.kernel.ids import encode_id, new_id
from florin.ledger.clearing import service
from florin.ledger.clearing.errors import NotAClearingAccount
from florin.ledger.clearing.model import Aging, MatchBy, TrailEvent, TrailTransfer
from florin.ledger.errors import TransferNotFound
from florin.ledger.model import AccountType, TransferKind
from tests.ledger.books import Books, reversing
from tests.ledger.clearing.lingering import (
    DAY,
    Moved,
    by_correlation,
    by_order,
    clears,
    coded,
    execute,
    items,
    move,
    node,
)


async def rules(books: Books, accounts: list[UUID] | None = None) -> dict[UUID, tuple[timedelta, str]]:
    found = await execute(
        books, "SELECT * FROM ledger.clearing_rules(%s, %s::uuid[])", books.tenant_id, accounts
    )
    return {account: (within, match_by) for account, within, match_by in found}


async def test_the_nearest_declaration_wins(books: Books) -> None:
    await node(books, "assets:psp", 5 * DAY)
    await node(books, "assets:psp:x", 2 * DAY, "correlation")
    await node(books, "assets:psp:y", None, "correlation")
    at, below, under_x, under_y, own, beside, longer = [
        await coded(books, code)
        for code in (
            "assets:psp",
            "assets:psp:z:usd",
            "assets:psp:x:deep:usd",
            "assets:psp:y:usd",
            "assets:psp:x:own",
            "assets:bank",
            "assets:pspx:usd",
        )
    ]
    alone = await clears(books, await coded(books, "alone"), 3 * DAY)
    await clears(books, own, 7 * DAY)
    expected = {
        at: (5 * DAY, "order"),
        below: (5 * DAY, "order"),
        under_x: (2 * DAY, "correlation"),
        under_y: (5 * DAY, "order"),
        own: (7 * DAY, "order"),
        alone: (3 * DAY, "order"),
    }
    assert await rules(books) == expected
    everybody = [*expected, beside, longer]
    assert await rules(books, everybody) == expected
    for account in everybody:
        assert await rules(books, [account]) == ({account: expected[account]} if account in expected else {})


@pytest.mark.parametrize("type_", [AccountType.ASSET, AccountType.LIABILITY])
async def test_matched_in_order_the_latest_increases_are_open(books: Books, type_: AccountType) -> None:
    random = Random(13)
    clearing, other = await clears(books, await books.open(type_)), await books.open(AccountType.EQUITY)
    moved: list[Moved] = []
    for _ in range(60):
        amount = random.choice([-1, 1]) * random.randint(1, 20)
        amount -= sum(entry.amount for entry in moved) // 3  # it crosses zero now and then
        if amount == 0:
            continue
        posted = await move(books, clearing, other, amount)
        moved.append(Moved(posted.transfer_id, amount))
        found = await items(books, clearing)
        assert [(item.transfer_id, item.amount_minor) for item in found] == by_order(moved)
    balance = (await books.balance(clearing)).balance_minor
    assert sum(item.amount_minor for item in found) == (balance if type_ is AccountType.ASSET else -balance)


async def test_long_histories_are_walked_in_chunks_to_the_end(books: Books) -> None:
    clearing, other = await clears(books, await books.open(AccountType.ASSET)), await books.open()
    first = await move(books, clearing, other, 5000)
    await asyncio.gather(*(move(books, other, clearing, 1) for _ in range(2300)))
    (item,) = await items(books, clearing)
    assert (item.transfer_id, item.amount_minor) == (first.transfer_id, 2700)
    await asyncio.gather(*(move(books, other, clearing, 1) for _ in range(2700)))
    assert await items(books, clearing) == []


async def test_matched_by_correlation_each_returns_to_zero_by_itself(books: Books) -> None:
    random = Random(17)
    clearing = await clears(books, await books.open(AccountType.ASSET), match_by="correlation")
    other = await books.open()
    names = ["a", "b", "c", None]
    moved: list[Moved] = []
    for step in range(80):
        name = random.choice(names)
        sums = sum(entry.amount for entry in moved if entry.correlation == name)
        amount = -sums if sums and random.random() < 0.3 else random.choice([-1, 1]) * random.randint(1, 9)
        posted = await move(books, clearing, other, amount, name)
        moved.append(Moved(posted.transfer_id, amount, name))
        found = await items(books, clearing)
        assert [(item.transfer_id, item.amount_minor) for item in found] == by_correlation(moved)
        if step in (20, 50):  # what a projection has taken in is not read again, and nothing changes
            await project(books, clearing, moved)
            assert [item[:5] for item in await items(books, clearing)] == [item[:5] for item in found]
    for item in found:
        last = [entry for entry in moved if entry.correlation == item.correlation_id][-1]
        if item.correlation_id is not None:
            assert item.last_transfer_id == last.transfer_id


async def project(books: Books, account: UUID, moved: list[Moved]) -> None:
    """Fills the projection as it stands after all these entries."""
    await execute(books, "DELETE FROM ledger.open_items WHERE account_id = %s", account)
    await execute(books, "DELETE FROM ledger.projections WHERE account_id = %s", account)
    correlation = {entry.transfer_id: entry.correlation for entry in moved}
    for first, amount in by_correlation(moved):
        name = correlation[first]
        if name is not None:
            last = [entry for entry in moved if entry.correlation == name][-1].transfer_id
            await execute(
                books,
                "INSERT INTO ledger.open_items SELECT %s, %s, %s, %s, t.recorded_at, t.id, %s"
                " FROM ledger.transfers t WHERE t.id = %s",
                *(books.tenant_id, account, name, amount, last, first),
            )
    await execute(
        books, "INSERT INTO ledger.projections VALUES (%s, %s, %s)", books.tenant_id, account, len(moved)
    )


@pytest.mark.parametrize("match_by", list(MatchBy))
async def test_what_was_open_at_an_earlier_instant_is_told_as_of_then(
    books: Books, match_by: MatchBy
) -> None:
    random = Random(19)
    clearing = await clears(books, await books.open(AccountType.ASSET), match_by=match_by)
    other = await books.open()
    moved, instants = [], []
    for _ in range(20):
        amount, name = random.choice([-7, 4, 5]), random.choice(["a", "b", None])
        posted = await move(books, clearing, other, amount, name)
        moved.append(Moved(posted.transfer_id, amount, name))
        instants.append(posted.recorded_at)
    await project(books, clearing, moved)
    model = by_order if match_by is MatchBy.ORDER else by_correlation
    for number, at in enumerate(instants):
        found = await items(books, clearing, at=at)
        expected = model(moved[: number + 1])
        assert [(item.transfer_id, item.amount_minor) for item in found] == expected
        account = await service.clearing_account(books.ledger, books.tenant_id, clearing, at=at)
        assert account.balance_minor == sum(entry.amount for entry in moved[: number + 1])
        assert account.open_minor == sum(abs(amount) for _, amount in expected)
    before = instants[0] - timedelta(microseconds=1)
    assert await items(books, clearing, at=before) == []
    empty = await service.clearing_account(books.ledger, books.tenant_id, clearing, at=before)
    assert (empty.balance_minor, empty.open_items, empty.oldest, empty.oldest_age) == (0, 0, None, None)


async def test_open_amounts_age(books: Books) -> None:
    clearing, other = await clears(books, await books.open(AccountType.ASSET)), await books.open()
    await move(books, clearing, other, 70)
    await move(books, clearing, other, 30)
    await move(books, other, clearing, 50)

    async def after(span: timedelta) -> tuple[int, int, Aging]:
        told = await service.clearing_account(books.ledger, books.tenant_id, clearing, at=now() + span)
        assert (told.open_items, told.open_minor, told.balance_minor) == (2, 50, 50)
        assert told.oldest_age is not None
        assert span <= told.oldest_age < span + timedelta(minutes=1)
        return told.overdue_items, told.overdue_minor, told.aging

    assert await after(timedelta(hours=1)) == (0, 0, Aging(50, 0, 0, 0))
    assert await after(2 * DAY) == (2, 50, Aging(0, 50, 0, 0))
    assert await after(8 * DAY) == (2, 50, Aging(0, 0, 50, 0))
    assert await after(31 * DAY) == (2, 50, Aging(0, 0, 0, 50))
    first, second = await items(books, clearing, at=now() + 2 * DAY, overdue=True)
    assert [first.amount_minor, second.amount_minor] == [20, 30]
    assert first.overdue
    assert await items(books, clearing, at=now() + 2 * DAY, overdue=False) == []
    assert await items(books, clearing, overdue=True) == []


async def test_items_come_in_pages_that_outlive_their_cursor(books: Books) -> None:
    clearing, other = await clears(books, await books.open(AccountType.ASSET)), await books.open()
    made = [(await move(books, clearing, other, 10)).transfer_id for _ in range(5)]
    first = await items(books, clearing, limit=2)
    assert [item.transfer_id for item in first] == made[:2]
    await move(books, other, clearing, 25)  # clears the first two and half of the third
    rest = await items(books, clearing, starting_after=first[-1].transfer_id)
    assert [(item.transfer_id, item.amount_minor) for item in rest] == [
        (made[2], 5),
        (made[3], 10),
        (made[4], 10),
    ]


async def test_clearing_accounts_are_listed_newest_first(books: Books, other_books: Books) -> None:
    made = [await clears(books, await books.open()) for _ in range(3)]
    await books.open()
    await clears(other_books, await other_books.open())
    found = await service.clearing_accounts(books.ledger, books.tenant_id, limit=10)
    assert [one.account_id for one in found] == made[::-1]
    page = await service.clearing_accounts(books.ledger, books.tenant_id, limit=1, starting_after=made[2])
    assert [one.account_id for one in page] == [made[1]]


async def test_other_accounts_and_other_tenants_are_not_looked_at(books: Books, other_books: Books) -> None:
    plain, theirs = await books.open(), await clears(other_books, await other_books.open())
    clearing = await clears(books, await books.open())
    elsewhere = await move(books, plain, await books.open(), 5)
    for account in (plain, theirs, new_id()):
        with pytest.raises(NotAClearingAccount):
            await items(books, account)
        with pytest.raises(NotAClearingAccount):
            await service.clearing_account(books.ledger, books.tenant_id, account)
        with pytest.raises(NotAClearingAccount):
            await service.trail(books.ledger, books.tenant_id, account, new_id())
    for transfer in (uuid4(), elsewhere.transfer_id):
        with pytest.raises(TransferNotFound):
            await service.trail(books.ledger, books.tenant_id, clearing, transfer)


async def test_a_trail_leads_from_the_amount_to_what_left_it(books: Books) -> None:
    clearing = await clears(books, await books.open(AccountType.ASSET), match_by="correlation")
    other, third = await books.open(), await books.open()
    payment, event = new_id(), new_id()
    for event_id, about in ((event, payment), (new_id(), payment), (new_id(), new_id())):
        await execute(
            books,
            "INSERT INTO kernel.events (tenant_id, id, type, object_id, occurred_at, data)"
            " VALUES (%s, %s, 'payment.completed', %s, clock_timestamp(), '{}')",
            *(books.tenant_id, event_id, about),
        )
    name = encode_id("pay", payment)
    came = await move(books, clearing, other, 100, name, encode_id("evt", event))
    went = await move(books, other, clearing, 40, name)
    aside = await move(books, other, third, 5, name)
    await move(books, clearing, other, 100, "another")
    reversal = await books.ledger.reversing.call(books.tenant_id, reversing(went.transfer_id))
    trail = await service.trail(books.ledger, books.tenant_id, clearing, came.transfer_id)
    assert trail.complete
    assert trail.item is not None
    assert (trail.item.amount_minor, trail.item.last_transfer_id) == (100, reversal.transfer_id)
    events = [step for step in trail.steps if isinstance(step, TrailEvent)]
    assert [step.type for step in events] == ["payment.completed"] * 2
    assert events[0].id == event
    transfers = [step for step in trail.steps if isinstance(step, TrailTransfer)]
    assert [(step.id, step.kind, step.amount_minor) for step in transfers] == [
        (came.transfer_id, TransferKind.TRANSFER, 100),
        (went.transfer_id, TransferKind.TRANSFER, -40),
        (aside.transfer_id, TransferKind.TRANSFER, 0),
        (reversal.transfer_id, TransferKind.REVERSAL, 40),
    ]
    assert transfers[0].causation_id == encode_id("evt", event)
    assert transfers[-1].related_id == went.transfer_id
    later = await service.trail(books.ledger, books.tenant_id, clearing, went.transfer_id)
    assert later.item is not None
    assert later.item[:5] == trail.item[:5]
    await move(books, other, clearing, 100, name)
    cleared = await service.trail(books.ledger, books.tenant_id, clearing, came.transfer_id)
    assert cleared.item is None
    assert len(cleared.steps) == len(trail.steps) + 1


async def test_a_transfer_without_correlation_is_trailed_to_its_own_reversal(books: Books) -> None:
    clearing, other = await clears(books, await books.open(AccountType.ASSET)), await books.open()
    came = await move(books, clearing, other, 100)
    back = await books.ledger.reversing.call(books.tenant_id, reversing(came.transfer_id))
    await move(books, clearing, other, 7)
    trail = await service.trail(books.ledger, books.tenant_id, clearing, came.transfer_id)
    assert [step.id for step in trail.steps] == [came.transfer_id, back.transfer_id]


async def told(books: Books) -> list[dict[str, object]]:
    """The events of overdue items, each of them owed to the endpoints."""
    found = await execute(
        books,
        "SELECT e.data, e.object_id FROM kernel.events e JOIN kernel.outbox o"
        " ON o.tenant_id = e.tenant_id AND o.event_id = e.id WHERE e.type = 'clearing.overdue' ORDER BY e.id",
    )
    assert all(str(object_id) == data["account_id"] for data, object_id in found)
    return [data for data, _ in found]


async def test_an_overdue_item_is_told_once_however_often_it_is_looked_at(books: Books) -> None:
    soon = timedelta(microseconds=1)
    clearing = await clears(books, await books.open(AccountType.ASSET), soon)
    later, other = await clears(books, await books.open(AccountType.ASSET)), await books.open()
    posted = [await move(books, clearing, other, 10, "order 1"), await move(books, clearing, other, 20)]
    await move(books, later, other, 30)
    counts = await asyncio.gather(*(service.tell_overdue(books.ledger, books.tenant_id) for _ in range(4)))
    assert sum(counts) == 2
    first, second = await told(books)
    assert [first["transfer_id"], second["transfer_id"]] == [str(one.transfer_id) for one in posted]
    assert (first["amount"], first["correlation_id"], first["currency"]) == (10, "order 1", "USD")
    await move(books, other, clearing, 5)
    assert await service.tell_overdue(books.ledger, books.tenant_id) == 0
    await move(books, other, clearing, 25)
    await move(books, clearing, other, 1)
    assert await service.tell_overdue(books.ledger, books.tenant_id) == 1
    assert len(await told(books)) == 3
