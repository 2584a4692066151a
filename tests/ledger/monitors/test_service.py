"""Conditions on balances: told exactly once per crossing, in the transaction that crosses."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from itertools import pairwise
from random import Random
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from florin.kernel.ids import new_id
from florin.ledger import service as ledger_service
from florin.ledger.errors import AccountClosed, AccountNotFound, CurrencyMismatch, InsufficientFunds
from florin.ledger.model import AccountStatus, AccountType, HoldAction
from florin.ledger.monitors import service
from florin.ledger.monitors.errors import MonitorNotFound, TooManyMonitors
from florin.ledger.monitors.model import MAX_ACTIVE, Comparison, Metric, Monitor, NewMonitor
from florin.ledger.posting import POST
from tests.conftest import AllDatabaseUrls
from tests.ledger.books import Books, fresh_key, holding, posting, reversing, settling
from tests.ledger.monitors.watching import (
    BY,
    Crossing,
    another_process,
    cash_and_wallet,
    crossings,
    expected,
    post_as_one_set,
    rows,
    watch,
)

BELOW, ABOVE = Comparison.BELOW, Comparison.ABOVE


async def test_crossing_there_and_back_is_told_once_each_way(books: Books) -> None:
    cash, wallet = await cash_and_wallet(books)
    monitor = await watch(books, wallet, 100)
    assert (monitor.holds, monitor.value_minor) == (True, 0)
    for amount in (60, 39, 1, 50):
        await books.ledger.posting.call(books.tenant_id, posting((cash, amount), (wallet, -amount)))
    assert await crossings(books, monitor) == [Crossing("cleared", 99, 100)]
    await books.ledger.posting.call(books.tenant_id, posting((wallet, 51), (cash, -51)))
    assert await crossings(books, monitor) == [Crossing("cleared", 99, 100), Crossing("triggered", 150, 99)]
    now = await service.monitor(books.ledger, books.tenant_id, monitor.id)
    assert (now.holds, now.value_minor) == (True, 99)


async def test_the_event_tells_all_that_is_known_of_the_crossing(books: Books) -> None:
    cash, wallet = await cash_and_wallet(books)
    monitor = await watch(books, wallet, 100, ABOVE)
    posted = await books.ledger.posting.call(books.tenant_id, posting((cash, 101), (wallet, -101)))
    ((kind, occurred_at, data),) = await rows(
        books, "SELECT type, occurred_at, data FROM kernel.events WHERE tenant_id = %s"
    )
    assert (kind, occurred_at) == ("balance_monitor.triggered", posted.recorded_at)
    assert data == {
        "id": str(monitor.id),
        "account_id": str(wallet),
        "name": "low",
        "metric": "balance",
        "comparison": "above",
        "threshold": 100,
        "value": 101,
        "previous_value": 0,
        "balance": 101,
        "available": 101,
        "transfer_id": str(posted.transfer_id),
        "holds": True,
    }


async def test_many_clients_around_the_threshold_make_one_event_per_crossing(books: Books) -> None:
    random = Random(20261120)
    cash, wallet = await cash_and_wallet(books, lowest=0)
    start = posting((cash, 100), (wallet, -100))
    await books.ledger.posting.call(books.tenant_id, start)
    monitors = [
        await watch(books, wallet, 100, BELOW),
        await watch(books, wallet, 100, ABOVE),
        await watch(books, cash, 100, BELOW),
    ]
    processes = [another_process(books) for _ in range(4)]

    async def client(number: int) -> None:
        for _ in range(8):
            amount = random.randint(1, 40)
            debit, credit = random.sample([cash, wallet], 2)
            for sign in (1, -1):  # there and back: it stays around the thresholds
                item = posting((debit, sign * amount), (credit, -sign * amount))
                with suppress(InsufficientFunds):
                    await processes[number % 4].posting.call(books.tenant_id, item)

    await asyncio.gather(*(client(number) for number in range(20)))
    for monitor in monitors:
        entries = await books.entries(monitor.account_id)
        values = [entry.balance_after_minor for entry in entries]  # from the first on: monitors came after it
        told = await crossings(books, monitor)
        assert told == expected(values, monitor.threshold_minor, monitor.comparison)
        assert told
        kinds = [one.type for one in told]
        assert all(one != two for one, two in pairwise(kinds))


async def test_what_comes_and_goes_within_one_call_is_told_per_item(books: Books) -> None:
    cash, wallet = await cash_and_wallet(books)
    monitor = await watch(books, wallet, 100, ABOVE)
    there, back = posting((cash, 150), (wallet, -150)), posting((wallet, 80), (cash, -80))
    parameters = POST.encode([there, back, posting((cash, 10), (wallet, -10))])
    async with books.ledger.database.tenant(books.tenant_id) as connection:
        await connection.execute(POST.statement.encode(), (books.tenant_id, *parameters))
    assert await crossings(books, monitor) == [Crossing("triggered", 0, 150), Crossing("cleared", 150, 70)]


async def test_a_set_is_told_by_what_all_of_it_leaves(books: Books) -> None:
    cash, wallet = await cash_and_wallet(books)
    monitor = await watch(books, wallet, 100, ABOVE)
    there, back = posting((cash, 150), (wallet, -150)), posting((wallet, 80), (cash, -80))
    assert await post_as_one_set(books, there, back) == [None, None]
    assert await crossings(books, monitor) == []
    more = [posting((cash, 20), (wallet, -20)) for _ in range(2)]
    assert await post_as_one_set(books, *more) == [None, None]
    assert await crossings(books, monitor) == [Crossing("triggered", 70, 110)]


async def test_what_is_refused_tells_nothing_alone_in_a_batch_or_in_a_set(books: Books) -> None:
    cash, wallet = await cash_and_wallet(books, lowest=0)
    monitor = await watch(books, wallet, 100, ABOVE)
    far, too_much = posting((cash, 500), (wallet, -500)), posting((wallet, 600), (cash, -600))
    assert set(await post_as_one_set(books, far, too_much)) == {"set_refused", "insufficient_funds"}
    refused = await ledger_service.post_transfers(
        books.ledger, books.tenant_id, [posting((wallet, 1), (cash, -1)), posting((cash, 90), (wallet, -90))]
    )
    assert isinstance(refused[0], InsufficientFunds)
    wrong = posting((cash, 500), (wallet, -500), currency="EUR")
    with pytest.raises(CurrencyMismatch):
        await books.ledger.posting.call(books.tenant_id, wrong)
    assert await crossings(books, monitor) == []


async def test_holds_are_seen_by_monitors_of_what_is_available(books: Books) -> None:
    cash, wallet = await cash_and_wallet(books)
    await books.ledger.posting.call(books.tenant_id, posting((cash, 200), (wallet, -200)))
    balance = await watch(books, wallet, 100, BELOW)
    available = await watch(books, wallet, 100, BELOW, Metric.AVAILABLE)
    of_asset = await watch(books, cash, 100, BELOW, Metric.AVAILABLE)
    held = await books.ledger.posting.call(books.tenant_id, holding((wallet, 150), (cash, -150)))
    first = Crossing("triggered", 200, 50)
    assert await crossings(books, available) == [first]
    assert await crossings(books, of_asset) == [first]
    assert (await service.monitor(books.ledger, books.tenant_id, available.id)).holds
    # Posting a part moves the balance and releases as much: what is available stays.
    await books.ledger.holding.call(books.tenant_id, settling(held.transfer_id, amount_minor=120))
    assert await crossings(books, available) == [first]
    assert await crossings(books, balance) == [Crossing("triggered", 200, 80)]
    await books.ledger.posting.call(books.tenant_id, posting((cash, 60), (wallet, -60)))
    assert await crossings(books, available) == [first, Crossing("cleared", 50, 110)]
    assert await crossings(books, balance) == [Crossing("triggered", 200, 80), Crossing("cleared", 80, 140)]
    await books.ledger.holding.call(books.tenant_id, settling(held.transfer_id, HoldAction.VOID))
    assert (await service.monitor(books.ledger, books.tenant_id, available.id)).value_minor == 140
    assert len(await crossings(books, available)) == 2


async def test_a_reversal_crosses_back(books: Books) -> None:
    cash, wallet = await cash_and_wallet(books)
    monitor = await watch(books, wallet, 100, ABOVE)
    posted = await books.ledger.posting.call(books.tenant_id, posting((cash, 101), (wallet, -101)))
    await books.ledger.reversing.call(books.tenant_id, reversing(posted.transfer_id))
    assert await crossings(books, monitor) == [Crossing("triggered", 0, 101), Crossing("cleared", 101, 0)]


async def test_a_repeated_request_tells_nothing_again(books: Books) -> None:
    cash, wallet = await cash_and_wallet(books)
    monitor = await watch(books, wallet, 100, ABOVE)
    key = fresh_key()
    for _ in range(3):
        item = posting((cash, 101), (wallet, -101), key=key)
        await books.ledger.posting.call(books.tenant_id, item)
    assert len(await crossings(books, monitor)) == 1


async def test_a_dry_run_tells_nothing(books: Books) -> None:
    cash, wallet = await cash_and_wallet(books)
    monitor = await watch(books, wallet, 100, ABOVE)
    parameters = POST.encode([posting((cash, 101), (wallet, -101))])
    async with books.ledger.database.tenant(books.tenant_id) as connection:
        await connection.execute(POST.statement.encode(), (books.tenant_id, *parameters))
        await connection.execute("ROLLBACK")
        await connection.execute("BEGIN")
    assert await crossings(books, monitor) == []
    assert (await books.balance(wallet)).balance_minor == 0


async def test_a_connection_killed_before_its_commit_tells_nothing(
    books: Books, database_urls: AllDatabaseUrls
) -> None:
    cash, wallet = await cash_and_wallet(books)
    monitor = await watch(books, wallet, 100, ABOVE)
    parameters = POST.encode([posting((cash, 101), (wallet, -101))])
    victim = await psycopg.AsyncConnection.connect(database_urls.app)
    await victim.execute(f"SET LOCAL app.tenant_id = {books.tenant_id}".encode())
    await victim.execute(POST.statement.encode(), (books.tenant_id, *parameters))
    async with await psycopg.AsyncConnection.connect(database_urls.root, autocommit=True) as root:
        await root.execute("SELECT pg_terminate_backend(%s)", (victim.info.backend_pid,))
    with pytest.raises(psycopg.OperationalError):
        await victim.commit()
    await victim.close()
    assert await crossings(books, monitor) == []
    await books.ledger.posting.call(books.tenant_id, posting((cash, 101), (wallet, -101)))
    assert await crossings(books, monitor) == [Crossing("triggered", 0, 101)]


async def test_monitors_made_and_paused_among_postings_miss_none_and_tell_none_twice(books: Books) -> None:
    cash, wallet = await cash_and_wallet(books)
    random, stop = Random(7), asyncio.Event()

    async def client() -> None:
        process = another_process(books)
        while not stop.is_set():
            amount = random.randint(1, 30)
            debit, credit = random.sample([cash, wallet], 2)
            for sign in (1, -1):  # there and back: it stays around zero
                item = posting((debit, sign * amount), (credit, -sign * amount))
                await process.posting.call(books.tenant_id, item)

    async def during(change: Awaitable[Monitor]) -> tuple[Monitor, range]:
        """What it answers, and between which entries it was done."""
        before = (await books.balance(wallet)).entry_seq
        monitor = await change
        return monitor, range(before, (await books.balance(wallet)).entry_seq + 1)

    clients = [asyncio.create_task(client()) for _ in range(6)]
    made = []
    for comparison in (ABOVE, BELOW) * 3:
        monitor, began = await during(watch(books, wallet, 0, comparison))
        await asyncio.sleep(0.1)
        change = service.change_monitor(books.ledger, books.tenant_id, monitor.id, BY, active=False)
        _, ended = await during(change)
        silent = len(await crossings(books, monitor))
        await asyncio.sleep(0.05)
        assert len(await crossings(books, monitor)) == silent
        change = service.change_monitor(books.ledger, books.tenant_id, monitor.id, BY, active=True)
        resumed, again = await during(change)
        made.append((monitor, began, ended, silent, resumed, again))
    await asyncio.sleep(0.1)
    stop.set()
    await asyncio.gather(*clients)
    values = [0, *(entry.balance_after_minor for entry in await books.entries(wallet))]
    for monitor, began, ended, silent, resumed, again in made:
        told = await crossings(books, monitor)
        assert any(
            values[start] == monitor.value_minor
            and told[:silent] == expected(values[start : end + 1], 0, monitor.comparison)
            for start in began
            for end in ended
        )
        assert any(
            values[start] == resumed.value_minor
            and told[silent:] == expected(values[start:], 0, monitor.comparison)
            for start in again
        )
        assert told


async def test_an_account_is_looked_at_only_while_a_monitor_is_active(books: Books) -> None:
    cash, wallet = await cash_and_wallet(books)

    async def monitored() -> bool:
        ((found,),) = await rows(
            books, "SELECT monitored FROM ledger.accounts WHERE tenant_id = %s AND id = %s", wallet
        )
        return bool(found)

    async def change(monitor_id: Any, **what: Any) -> bool:
        changed = await service.change_monitor(books.ledger, books.tenant_id, monitor_id, BY, **what)
        assert {name: getattr(changed, name) for name in what} == what
        return await monitored()

    assert not await monitored()
    one, two = await watch(books, wallet), await watch(books, wallet)
    assert await monitored()
    assert await change(one.id, active=False)
    assert not await change(two.id, active=False)
    await books.ledger.posting.call(books.tenant_id, posting((cash, 500), (wallet, -500)))
    assert await crossings(books, one) == await crossings(books, two) == []
    assert await change(two.id, active=True, threshold_minor=400, name="fewer")
    await books.ledger.posting.call(books.tenant_id, posting((wallet, 101), (cash, -101)))
    assert await crossings(books, one) == []
    assert await crossings(books, two) == [Crossing("triggered", 500, 399)]


async def test_what_cannot_be_watched_is_refused(books: Books, other_books: Books) -> None:
    theirs = await other_books.open()
    for nobody in (new_id(), theirs):
        with pytest.raises(AccountNotFound) as refused:
            await watch(books, nobody)
        assert refused.value.param == "account"
    closed = await books.open()
    await ledger_service.change_account(books.ledger, books.tenant_id, closed, status=AccountStatus.CLOSED)
    with pytest.raises(AccountClosed):
        await watch(books, closed)
    with pytest.raises(MonitorNotFound):
        await service.monitor(books.ledger, books.tenant_id, uuid4())
    with pytest.raises(MonitorNotFound):
        await service.change_monitor(books.ledger, books.tenant_id, uuid4(), BY, active=False)
    monitor = await watch(other_books, theirs)
    with pytest.raises(MonitorNotFound):
        await service.change_monitor(books.ledger, books.tenant_id, monitor.id, BY, active=False)


async def test_an_account_has_only_so_many_active_monitors(books: Books) -> None:
    wallet = await books.open()
    made = [await watch(books, wallet) for _ in range(MAX_ACTIVE)]
    with pytest.raises(TooManyMonitors):
        await watch(books, wallet)
    await service.change_monitor(books.ledger, books.tenant_id, made[0].id, BY, active=False)
    await watch(books, wallet)
    with pytest.raises(TooManyMonitors):
        await service.change_monitor(books.ledger, books.tenant_id, made[0].id, BY, active=True)
    still = await service.change_monitor(books.ledger, books.tenant_id, made[1].id, BY, active=True)
    assert still.active


async def test_monitors_are_listed_newest_first_by_account_and_activity(books: Books) -> None:
    one, two = await books.open(), await books.open(AccountType.ASSET)
    first, second, third = await watch(books, one), await watch(books, two), await watch(books, one)
    await service.change_monitor(books.ledger, books.tenant_id, first.id, BY, active=False)

    async def listed(**filters: Any) -> list[Any]:
        found = await service.monitors(books.ledger, books.tenant_id, **{"limit": 10} | filters)
        return [monitor.id for monitor in found]

    assert await listed() == [third.id, second.id, first.id]
    assert await listed(account_id=one) == [third.id, first.id]
    assert await listed(active=True) == [third.id, second.id]
    assert await listed(active=False, account_id=one) == [first.id]
    assert await listed(starting_after=third.id, limit=1) == [second.id]


async def test_who_made_and_changed_a_monitor_is_in_the_audit_log(books: Books) -> None:
    wallet = await books.open()
    new = NewMonitor(wallet, "low", Metric.BALANCE, BELOW, 5)
    made = await service.create_monitor(books.ledger, books.tenant_id, new, BY)
    await service.change_monitor(books.ledger, books.tenant_id, made.id, BY, threshold_minor=7)
    found = await rows(
        books,
        "SELECT actor, action, (before ->> 'threshold')::int, (after ->> 'threshold')::int FROM audit.log"
        " WHERE tenant_id = %s AND entity_type = 'monitor' AND entity_id = %s ORDER BY seq",
        str(made.id),
    )
    assert found == [("test", "created", None, 5), ("test", "changed", 5, 7)]
