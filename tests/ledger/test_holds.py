"""Holds: placed, posted in full and in part, voided, expired."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from florin.kernel.errors import IdempotencyKeyReused, Refusal
from florin.kernel.idempotency import Idempotency
from florin.kernel.ids import new_id
from florin.ledger import service
from florin.ledger.errors import (
    AccountFrozen,
    AccountNotInHold,
    AmountOutOfRange,
    BalanceAboveMaximum,
    ExpiryInThePast,
    HoldAmountExceeded,
    HoldClosed,
    HoldNotExpired,
    HoldNotFound,
    InsufficientFunds,
    LegsRequired,
    Unbalanced,
)
from florin.ledger.model import (
    AccountStatus,
    AccountType,
    Hold,
    HoldAction,
    HoldStatus,
    Settlement,
    Transfer,
    TransferKind,
)
from tests.conftest import AllDatabaseUrls
from tests.ledger.books import Books, fresh_key, holding, legs, posting, settling


async def place(books: Books, *pairs: tuple[UUID, int], expires_at: datetime | None = None) -> Hold:
    return await service.place_hold(books.ledger, books.tenant_id, holding(*pairs, expires_at=expires_at))


async def settle(books: Books, settlement: Settlement) -> Transfer:
    return await service.settle_hold(books.ledger, books.tenant_id, settlement)


async def now(books: Books, hold_id: UUID) -> Hold:
    return await service.hold(books.ledger, books.tenant_id, hold_id)


async def funded(books: Books, amount: int) -> tuple[UUID, UUID]:
    """A wallet with money and no overdraft, and the cash account against it."""
    cash, wallet = await books.open(AccountType.ASSET), await books.open(lowest=0)
    await service.post_transfer(books.ledger, books.tenant_id, posting((cash, amount), (wallet, -amount)))
    return wallet, cash


async def overdue(books: Books, url: str, hold_id: UUID) -> None:
    """Lets a hold's time pass without waiting for it."""
    async with await psycopg.AsyncConnection.connect(url) as root:
        await root.execute(
            "UPDATE ledger.holds SET expires_at = clock_timestamp() - interval '1 second'"
            " WHERE tenant_id = %s AND id = %s",
            (books.tenant_id, hold_id),
        )


async def test_a_hold_reserves_without_moving(books: Books) -> None:
    wallet, _ = await funded(books, 100)
    shop = await books.open()
    placed = await place(books, (wallet, 60), (shop, -60))
    held = await books.balance(wallet)
    assert (held.balance_minor, held.pending_debits_minor, held.available_minor) == (100, 60, 40)
    assert (await books.balance(shop)).pending_credits_minor == 60
    assert await now(books, placed.id) == placed
    with pytest.raises(InsufficientFunds):
        await service.post_transfer(books.ledger, books.tenant_id, posting((wallet, 41), (shop, -41)))
    with pytest.raises(InsufficientFunds):
        await place(books, (wallet, 41), (shop, -41))
    await service.post_transfer(books.ledger, books.tenant_id, posting((wallet, 40), (shop, -40)))
    logged = await service.transfer(books.ledger, books.tenant_id, placed.id)
    assert logged.kind is TransferKind.HOLD
    assert [leg.seq for leg in logged.entries] == [None, None]
    await books.assert_sound()


async def test_what_holds_may_add_counts_towards_the_maximum(books: Books) -> None:
    wallet, _ = await funded(books, 100)
    full = await books.open(highest=50)
    await place(books, (wallet, 30), (full, -30))
    with pytest.raises(BalanceAboveMaximum):
        await place(books, (wallet, 21), (full, -21))
    await place(books, (wallet, 20), (full, -20))


async def test_posting_in_full_moves_all_and_closes(books: Books) -> None:
    wallet, _ = await funded(books, 100)
    shop = await books.open()
    placed = await place(books, (wallet, 100), (shop, -100))
    posted = await settle(books, settling(placed.id))
    assert (posted.kind, posted.related_id) == (TransferKind.POST, placed.id)
    assert [leg.balance_after_minor for leg in posted.entries] == [0, 100]
    held = await books.balance(wallet)
    assert (held.balance_minor, held.pending_debits_minor) == (0, 0)
    assert (await now(books, placed.id)).status is HoldStatus.POSTED
    for action in (HoldAction.POST, HoldAction.VOID):
        with pytest.raises(HoldClosed):
            await settle(books, settling(placed.id, action))
    await books.assert_sound()


async def test_parts_are_posted_until_nothing_remains_and_the_rest_is_voided(books: Books) -> None:
    wallet, _ = await funded(books, 100)
    shop = await books.open()
    placed = await place(books, (wallet, 100), (shop, -100))
    await settle(books, settling(placed.id, amount_minor=30))
    await settle(books, settling(placed.id, parts=legs((shop, -20), (wallet, 20))))
    present = await now(books, placed.id)
    assert present.status is HoldStatus.PARTIALLY_POSTED
    assert [(leg.posted_minor, leg.remaining_minor) for leg in present.legs] == [(50, 50), (-50, -50)]
    with pytest.raises(HoldAmountExceeded):
        await settle(books, settling(placed.id, amount_minor=51))
    voided = await settle(books, settling(placed.id, HoldAction.VOID))
    assert [leg.amount_minor for leg in voided.entries] == [50, -50]
    held = await books.balance(wallet)
    assert (held.balance_minor, held.available_minor, held.pending_debits_minor) == (50, 50, 0)
    present = await now(books, placed.id)
    assert (present.status, present.legs[0].posted_minor) == (HoldStatus.VOIDED, 50)
    await books.assert_sound()


@pytest.mark.parametrize(
    ("amount", "kind"),
    [
        (0, AmountOutOfRange),
        (-1, AmountOutOfRange),
        (101, HoldAmountExceeded),
        (2**63 - 1, HoldAmountExceeded),
    ],
)
async def test_a_wrong_amount_is_refused(books: Books, amount: int, kind: type[Refusal]) -> None:
    wallet, cash = await funded(books, 100)
    placed = await place(books, (wallet, 100), (cash, -100))
    with pytest.raises(kind):
        await settle(books, settling(placed.id, amount_minor=amount))
    assert await now(books, placed.id) == placed


async def test_holds_of_three_legs_are_posted_in_part_by_naming_legs(books: Books) -> None:
    wallet, cash = await funded(books, 100)
    shop, fees = await books.open(), await books.open(AccountType.INCOME)
    placed = await place(books, (wallet, 100), (shop, -97), (fees, -3))
    with pytest.raises(LegsRequired):
        await settle(books, settling(placed.id, amount_minor=5))
    with pytest.raises(AccountNotInHold):
        await settle(books, settling(placed.id, parts=legs((wallet, 5), (cash, -5))))
    with pytest.raises(Unbalanced):
        await settle(books, settling(placed.id, parts=legs((wallet, 5), (shop, -4))))
    with pytest.raises(HoldAmountExceeded):
        await settle(books, settling(placed.id, parts=legs((wallet, 5), (fees, -5))))
    with pytest.raises(HoldAmountExceeded):
        await settle(books, settling(placed.id, parts=legs((wallet, -5), (shop, 5))))
    await settle(books, settling(placed.id, parts=legs((wallet, 97), (shop, -97))))
    await settle(books, settling(placed.id))
    assert (await now(books, placed.id)).status is HoldStatus.POSTED
    assert (await books.balance(fees)).balance_minor == 3
    await books.assert_sound()


async def test_an_unknown_hold_and_another_tenants_are_not_found(books: Books, other_books: Books) -> None:
    wallet, cash = await funded(other_books, 5)
    foreign = await place(other_books, (wallet, 5), (cash, -5))
    for hold_id in (new_id(), foreign.id):
        with pytest.raises(HoldNotFound):
            await settle(books, settling(hold_id))
        with pytest.raises(HoldNotFound):
            await now(books, hold_id)
    assert (await now(other_books, foreign.id)).status is HoldStatus.RESERVED


async def test_several_operations_on_one_hold_in_one_batch_are_taken_in_order(books: Books) -> None:
    wallet, _ = await funded(books, 100)
    shop = await books.open()
    one = await place(books, (wallet, 50), (shop, -50))
    two = await place(books, (wallet, 50), (shop, -50))
    batch = [
        settling(one.id, amount_minor=30),
        settling(two.id),
        settling(one.id, amount_minor=30),
        settling(one.id, amount_minor=20),
        settling(one.id, HoldAction.VOID),
        settling(two.id, HoldAction.VOID),
    ]
    told = await asyncio.gather(
        *(books.ledger.holding.call(books.tenant_id, item) for item in batch), return_exceptions=True
    )
    kinds = [type(answer).__name__ for answer in told]
    assert kinds == ["Recorded", "Recorded", "HoldAmountExceeded", "Recorded", "HoldClosed", "HoldClosed"]
    assert [entry.balance_after_minor for entry in await books.entries(shop)] == [30, 80, 100]
    await books.assert_sound()


async def test_a_frozen_account_keeps_a_hold_from_posting_but_not_from_release(books: Books) -> None:
    wallet, _ = await funded(books, 100)
    shop = await books.open()
    placed = await place(books, (wallet, 60), (shop, -60))
    await service.change_account(books.ledger, books.tenant_id, shop, status=AccountStatus.FROZEN)
    with pytest.raises(AccountFrozen):
        await settle(books, settling(placed.id))
    with pytest.raises(AccountFrozen):
        await place(books, (wallet, 5), (shop, -5))
    assert (await now(books, placed.id)).status is HoldStatus.RESERVED
    await settle(books, settling(placed.id, HoldAction.VOID))
    assert (await books.balance(shop)).pending_credits_minor == 0


async def test_a_hold_that_expires_in_the_past_is_refused(books: Books) -> None:
    wallet, cash = await funded(books, 100)
    past = datetime.now(UTC) - timedelta(minutes=1)
    with pytest.raises(ExpiryInThePast):
        await place(books, (wallet, 5), (cash, -5), expires_at=past)
    assert (await books.balance(wallet)).pending_debits_minor == 0


async def test_an_overdue_hold_is_closed_and_the_job_releases_it(
    books: Books, database_urls: AllDatabaseUrls
) -> None:
    wallet, cash = await funded(books, 100)
    later = datetime.now(UTC) + timedelta(hours=1)
    due = await place(books, (wallet, 60), (cash, -60), expires_at=later)
    other = await place(books, (wallet, 40), (cash, -40), expires_at=later)
    await settle(books, settling(due.id, amount_minor=10))
    with pytest.raises(HoldNotExpired):
        await settle(books, settling(due.id, HoldAction.EXPIRE))
    await overdue(books, database_urls.root, due.id)
    for action in (HoldAction.POST, HoldAction.VOID):
        with pytest.raises(HoldClosed):
            await settle(books, settling(due.id, action))
    assert await service.expire_holds(books.ledger, books.tenant_id) == 1
    assert await service.expire_holds(books.ledger, books.tenant_id) == 0
    expired = await now(books, due.id)
    assert (expired.status, expired.legs[0].posted_minor, expired.legs[0].remaining_minor) == (
        HoldStatus.EXPIRED,
        10,
        0,
    )
    assert (await now(books, other.id)).status is HoldStatus.RESERVED
    assert (await books.balance(wallet)).available_minor == 50
    [line] = await service.transfers(books.ledger, books.tenant_id, limit=2, kind=TransferKind.EXPIRY)
    assert line.related_id == due.id
    await books.assert_sound()


async def test_keys_replay_placing_and_posting_and_voiding(books: Books) -> None:
    wallet, _ = await funded(books, 100)
    shop = await books.open()
    wanted = holding((wallet, 60), (shop, -60))
    placed = await service.place_hold(books.ledger, books.tenant_id, wanted)
    part = settling(placed.id, amount_minor=10)
    posted = await settle(books, part)
    void = settling(placed.id, HoldAction.VOID)
    voided = await settle(books, void)
    assert await service.place_hold(books.ledger, books.tenant_id, wanted) == placed
    assert await settle(books, part) == posted
    assert await settle(books, void) == voided
    late = settling(placed.id)
    for _ in range(2):
        with pytest.raises(HoldClosed):
            await settle(books, late)
    assert part.idempotency is not None
    other = Idempotency(part.idempotency.slot, fresh_key().digest)
    with pytest.raises(IdempotencyKeyReused):
        await settle(books, settling(placed.id, amount_minor=11, key=other))
    assert (await books.balance(shop)).balance_minor == 10


async def test_holds_are_listed_newest_first_by_status_and_account(books: Books) -> None:
    wallet, cash = await funded(books, 100)
    shop = await books.open()
    made = [await place(books, (wallet, 5), (account, -5)) for account in (shop, cash, shop)]
    await settle(books, settling(made[0].id))
    listed = await service.holds(books.ledger, books.tenant_id, limit=2)
    assert [one.id for one in listed] == [made[2].id, made[1].id]
    rest = await service.holds(books.ledger, books.tenant_id, limit=2, starting_after=made[1].id)
    assert [one.id for one in rest] == [made[0].id]
    of_shop = await service.holds(
        books.ledger, books.tenant_id, limit=9, account_id=shop, status=HoldStatus.RESERVED
    )
    assert [one.id for one in of_shop] == [made[2].id]
