"""Imports on a real database: what good rows leave in the books, what bad ones leave in the report."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from florin.kernel.errors import Refusal
from florin.ledger import service as ledger_service
from florin.ledger.bulk import service
from florin.ledger.bulk.errors import FileUnreadable, ImportInProgress, ImportNotFound
from florin.ledger.bulk.files import File
from florin.ledger.bulk.model import FileFormat, Import, ImportKind, ImportStatus
from florin.ledger.model import AccountStatus, AccountType
from florin.ledger.service import Ledger
from tests.conftest import AllDatabaseUrls
from tests.ledger.books import Books, posting
from tests.ledger.bulk.files import balances, bring_in, csv_file, errors_of, open_as, row
from tests.ledger.conftest import new_tenant


async def test_history_is_posted_row_by_row_with_its_times_and_words(books: Books) -> None:
    await open_as(books, "bank", AccountType.ASSET)
    await open_as(books, "wallet")
    file = csv_file(
        [
            row("bank", "wallet", 500, currency="USD", effective_at="2024-03-01", reference="A-1"),
            row("wallet", "bank", 200, description="Payout\twith a tab", correlation_id="order-7"),
        ]
    )
    done = await bring_in(books, ImportKind.TRANSFERS, file)
    assert (done.status, done.rows_total, done.rows_done, done.rows_refused) == ("completed", 2, 2, 0)
    second, first = await ledger_service.transfers(books.ledger, books.tenant_id, limit=10)
    assert first.effective_at == datetime(2024, 3, 1, tzinfo=UTC)
    assert first.metadata == {"reference": "A-1"}
    assert (second.description, second.origin.correlation_id) == ("Payout\twith a tab", "order-7")
    assert await balances(books.ledger, books.tenant_id) == {"bank": 300, "wallet": 300}
    await books.assert_sound()


async def test_rows_that_share_a_transfer_are_its_legs(books: Books) -> None:
    for code, type_ in (
        ("bank", AccountType.ASSET),
        ("fee", AccountType.INCOME),
        ("shop", AccountType.LIABILITY),
    ):
        await open_as(books, code, type_)
    file = csv_file(
        [
            {"transfer": "t1", "debit_account": "bank", "amount": 100},
            {"transfer": "t1", "credit_account": "shop", "amount": 97},
            {"transfer": "t1", "credit_account": "fee", "amount": 3},
            {"transfer": "t2", "debit_account": "bank", "credit_account": "shop", "amount": 5},
            {"transfer": "t3", "debit_account": "bank", "amount": 7},
            {"transfer": "t3", "credit_account": "shop", "amount": 8},
        ],
        ("transfer", "debit_account", "credit_account", "amount"),
    )
    done = await bring_in(books, ImportKind.TRANSFERS, file, chunk_rows=2)
    assert [(error.row_number, error.code) for error in await errors_of(books, done)] == [
        (5, "unbalanced"),
        (6, "transfer_refused"),
    ]
    assert await balances(books.ledger, books.tenant_id) == {"bank": 105, "shop": 102, "fee": 3}
    assert [
        len(one.entries) for one in await ledger_service.transfers(books.ledger, books.tenant_id, limit=9)
    ] == [2, 3]
    await books.assert_sound()


async def test_bad_rows_are_told_with_number_field_and_reason_and_good_ones_go_on(books: Books) -> None:
    await open_as(books, "a")
    await open_as(books, "b")
    await open_as(books, "e", currency="EUR")
    await open_as(books, "ice")
    [frozen] = [books.opened[-1]]
    await ledger_service.change_account(books.ledger, books.tenant_id, frozen, status=AccountStatus.FROZEN)
    file = csv_file(
        [
            row("a", "b", 1),
            row("nobody", "b", 1),
            row("a", "", 1),
            row("a", "b", "1.5"),
            row("a", "b", 0),
            row("a", "b", 10**15 + 1),
            row("a", "a", 1),
            row("a", "e", 1),
            row("a", "b", 1, currency="EUR"),
            row("a", "b", 1, effective_at="yesterday"),
            row("a", "b", 1, description="paid with 4242 4242 4242 4242"),
            row("a", "b", 1, metadata="[]"),
            row("a", "ice", 1),
            row("a", "\x00", 1),
            row("b", "a", 1, effective_at="2024-01-01T00:00:00.5+00:00:30.5"),
        ]
    )
    done = await bring_in(books, ImportKind.TRANSFERS, file)
    assert (done.rows_done, done.rows_refused) == (15, 13)
    assert {(e.row_number, e.field, e.code) for e in await errors_of(books, done)} == {
        (2, "debit_account", "account_not_found"),
        (3, "credit_account", "field_missing"),
        (4, "amount", "amount_out_of_range"),
        (5, "amount", "amount_out_of_range"),
        (6, "amount", "amount_out_of_range"),
        (7, "credit_account", "account_repeated"),
        (8, "credit_account", "currency_mismatch"),
        (9, "debit_account", "currency_mismatch"),
        (10, "effective_at", "field_malformed"),
        (11, "description", "card_number_refused"),
        (12, "metadata", "field_malformed"),
        (14, "credit_account", "account_not_found"),
        (13, "credit_account", "account_frozen"),
    }
    assert set((await balances(books.ledger, books.tenant_id)).values()) == {0}
    await books.assert_sound()


async def test_a_row_of_another_shape_is_refused_alone(books: Books) -> None:
    await open_as(books, "a")
    await open_as(books, "b")
    file = File(b"debit_account,credit_account,amount\na,b,1\na,b\n\na,b,2\n", FileFormat.CSV)
    done = await bring_in(books, ImportKind.TRANSFERS, file)
    assert [(e.row_number, e.code) for e in await errors_of(books, done)] == [(2, "row_malformed")]
    assert await balances(books.ledger, books.tenant_id) == {"a": -3, "b": 3}


async def test_opening_balances_come_from_equity_on_each_accounts_normal_side(books: Books) -> None:
    await open_as(books, "bank", AccountType.ASSET)
    await open_as(books, "wallet", lowest=0)
    await open_as(books, "yen", currency="JPY")
    file = csv_file(
        [
            {"code": "bank", "amount": 700},
            {"code": "wallet", "amount": 300},
            {"code": "wallet", "amount": -400},
            {"code": "yen", "amount": -5},
            {"code": "yen", "amount": 0},
        ]
    )
    done = await bring_in(books, ImportKind.BALANCES, file)
    assert [(e.row_number, e.field, e.code) for e in await errors_of(books, done)] == [
        (3, "amount", "insufficient_funds")
    ]
    assert await balances(books.ledger, books.tenant_id) == {
        "bank": 700, "wallet": 300, "yen": -5, "opening:USD": 400, "opening:JPY": 5,
    }  # fmt: skip
    await books.assert_sound()


async def test_accounts_are_opened_once_and_bad_ones_told(books: Books) -> None:
    await open_as(books, "taken")
    good = {"name": "New", "type": "liability", "currency": "USD"}
    file = csv_file(
        [
            {"code": "new", **good, "min_balance": 0, "metadata": '{"k": "v"}'},
            {"code": "taken", **good},
            {"code": "new", **good},
            {"code": "bad code", **good},
            {"code": "x", **good, "type": "bank"},
            {"code": "y", **good, "currency": "XAU"},
            {"code": "z", **good, "min_balance": 2, "max_balance": 1},
            {"code": "provider:mine", **good},
            {"code": "partner:tenant:payable:USD", **good},
        ]
    )
    done = await bring_in(books, ImportKind.ACCOUNTS, file)
    assert {(e.row_number, e.field, e.code) for e in await errors_of(books, done)} == {
        (2, "code", "account_code_taken"),
        (3, "code", "account_code_taken"),
        (4, "code", "field_malformed"),
        (5, "type", "field_malformed"),
        (6, "currency", "currency_unknown"),
        (7, "min_balance", "bounds_out_of_order"),
        (8, "code", "account_code_reserved"),
    }
    assert set(await balances(books.ledger, books.tenant_id)) == {
        "new",
        "taken",
        "partner:tenant:payable:USD",
    }


async def test_accounts_fit_the_chart_and_take_its_bounds(books: Books) -> None:
    async with books.ledger.database.tenant(books.tenant_id) as connection:
        await connection.execute(
            "INSERT INTO ledger.chart (tenant_id, code, name, type, currency, min_balance, created_at)"
            " VALUES (%s, 'wallets', 'Wallets', 'liability', 'USD', 0, now())",
            (books.tenant_id,),
        )
    fits = {"code": "wallets:1", "type": "liability", "currency": "USD"}
    file = csv_file(
        [
            fits,
            fits | {"code": "wallets:2", "type": "asset"},
            fits | {"code": "wallets:3", "currency": "EUR"},
            fits | {"code": "wallets:4", "max_balance": -1},
            fits | {"code": "walletsmith", "type": "asset"},
        ]
    )
    done = await bring_in(books, ImportKind.ACCOUNTS, file)
    assert [(e.row_number, e.code) for e in await errors_of(books, done)] == [
        (number, "chart_conflict") for number in (2, 3, 4)
    ]
    overdraft = csv_file([row("wallets:1", "walletsmith", 1)])
    [error] = await errors_of(books, await bring_in(books, ImportKind.TRANSFERS, overdraft))
    assert error.code == "insufficient_funds"


async def test_shared_limits_and_monitors_are_asked_row_by_row(books: Books) -> None:
    await open_as(books, "bank", AccountType.ASSET)
    await open_as(books, "one")
    await open_as(books, "two")
    async with books.ledger.database.tenant(books.tenant_id) as connection:
        await connection.execute(
            "INSERT INTO ledger.limits (tenant_id, id, name, side, currency, max_balance, created_at)"
            " VALUES (%s, %s, 'both', 'credit', 'USD', 100, now())",
            (books.tenant_id, books.opened[1]),
        )
        await connection.execute(
            "UPDATE ledger.accounts SET limit_id = %s, monitored = true"
            " WHERE tenant_id = %s AND code IN ('one', 'two')",
            (books.opened[1], books.tenant_id),
        )
    file = csv_file(
        [row("bank", "one", 60), row("bank", "two", 60), row("bank", "two", 40), row("bank", "one", 1)]
    )
    done = await bring_in(books, ImportKind.TRANSFERS, file)
    assert [(e.row_number, e.field, e.code) for e in await errors_of(books, done)] == [
        (2, "amount", "shared_limit_exceeded"),
        (4, "amount", "shared_limit_exceeded"),
    ]
    assert await balances(books.ledger, books.tenant_id) == {"bank": 100, "one": 60, "two": 40}


async def test_sums_that_no_balance_can_hold_are_refused_where_they_begin(books: Books) -> None:
    await open_as(books, "a")
    await open_as(books, "b")
    done = await bring_in(books, ImportKind.TRANSFERS, csv_file([row("a", "b", 10**15)] * 4003))
    assert [e.row_number for e in await errors_of(books, done)] == [4001, 4002, 4003]
    assert (await balances(books.ledger, books.tenant_id))["b"] == 4 * 10**18


async def test_the_same_file_again_changes_nothing(books: Books) -> None:
    await open_as(books, "a")
    await open_as(books, "b")
    file = csv_file([row("a", "b", 1), row("a", "c", 1)])
    done = await bring_in(books, ImportKind.TRANSFERS, file)
    assert await bring_in(books, ImportKind.TRANSFERS, file) == done
    assert await balances(books.ledger, books.tenant_id) == {"a": -1, "b": 1}


async def test_an_import_that_was_broken_off_goes_on_where_it_stopped(books: Books) -> None:
    await open_as(books, "a")
    await open_as(books, "b")
    file = csv_file([row("a", "b", number) for number in range(1, 101)])

    def break_off(so_far: Import) -> None:
        if so_far.rows_done >= 40:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        await service.import_file(
            books.ledger, books.tenant_id, ImportKind.TRANSFERS, file, chunk_rows=10, on_progress=break_off
        )
    [broken] = await service.imports(books.ledger, books.tenant_id, limit=2)
    assert broken.status is ImportStatus.RUNNING
    assert 40 <= broken.rows_done < 100
    done = await bring_in(books, ImportKind.TRANSFERS, file, chunk_rows=7)
    assert (done.id, done.rows_done) == (broken.id, 100)
    assert await balances(books.ledger, books.tenant_id) == {"a": -5050, "b": 5050}
    await books.assert_sound()


async def test_two_that_import_one_file_at_once_post_it_once(books: Books) -> None:
    await open_as(books, "a")
    await open_as(books, "b")
    file = csv_file([row("a", "b", 1) for _ in range(400)])
    outcomes = await asyncio.gather(
        *(bring_in(books, ImportKind.TRANSFERS, file, chunk_rows=20) for _ in range(2)),
        return_exceptions=True,
    )
    assert all(isinstance(one, Import | ImportInProgress) for one in outcomes), outcomes
    await bring_in(books, ImportKind.TRANSFERS, file, chunk_rows=20)
    assert await balances(books.ledger, books.tenant_id) == {"a": -400, "b": 400}


async def test_whoever_posts_meanwhile_disturbs_nothing(books: Books) -> None:
    await open_as(books, "a")
    await open_as(books, "b")
    a, b = books.opened
    file = csv_file([row("a", "b", 1) for _ in range(1000)])

    async def post() -> None:
        for _ in range(40):
            await ledger_service.post_transfer(books.ledger, books.tenant_id, posting((b, 1), (a, -1)))

    done, _ = await asyncio.gather(bring_in(books, ImportKind.TRANSFERS, file, chunk_rows=50), post())
    assert done.rows_refused == 0
    assert await balances(books.ledger, books.tenant_id) == {"a": -960, "b": 960}
    await books.assert_sound()


async def test_what_cannot_be_read_fails_the_import_and_posts_what_came_before(books: Books) -> None:
    await open_as(books, "a")
    await open_as(books, "b")
    text = b"debit_account,credit_account,amount\n" + b"a,b,1\n" * 20 + b'a,b,"1'
    with pytest.raises(FileUnreadable):
        await bring_in(books, ImportKind.TRANSFERS, File(text, FileFormat.CSV), chunk_rows=10)
    [failed] = await service.imports(books.ledger, books.tenant_id, limit=2, status=ImportStatus.FAILED)
    assert (await balances(books.ledger, books.tenant_id))["b"] == failed.rows_done


async def test_a_closed_period_refuses_its_rows(books: Books) -> None:
    await open_as(books, "a")
    await open_as(books, "b")
    async with books.ledger.database.tenant(books.tenant_id) as connection:
        await connection.execute(
            "INSERT INTO ledger.books (tenant_id, closed_before) VALUES (%s, '2024-01-01T00:00:00Z')",
            (books.tenant_id,),
        )
    file = csv_file(
        [row("a", "b", 1, effective_at="2023-12-31"), row("a", "b", 2, effective_at="2024-01-01")]
    )
    done = await bring_in(books, ImportKind.TRANSFERS, file)
    assert [(e.row_number, e.code) for e in await errors_of(books, done)] == [(1, "period_closed")]
    assert (await balances(books.ledger, books.tenant_id))["b"] == 2


async def test_an_unknown_import_and_that_of_another_tenant_are_not_found(
    books: Books, other_books: Books
) -> None:
    await open_as(books, "a")
    await open_as(books, "b")
    done = await bring_in(books, ImportKind.TRANSFERS, csv_file([row("a", "b", 1)]))
    for tenant_id, import_id in ((other_books.tenant_id, done.id), (books.tenant_id, UUID(int=0))):
        with pytest.raises(ImportNotFound):
            await service.import_by_id(books.ledger, tenant_id, import_id)


CODES = ("plain", "other", "floor", "ceiling", "gone")
MOVES = st.lists(
    st.tuples(st.sampled_from(CODES), st.sampled_from(CODES), st.integers(0, 60)), min_size=1, max_size=40
)


async def _four_accounts(ledger: Ledger, tenant_id: int) -> Books:
    books = Books(ledger, tenant_id)
    await open_as(books, "plain")
    await open_as(books, "other", AccountType.ASSET)
    await open_as(books, "floor", lowest=0)
    await open_as(books, "ceiling", AccountType.EXPENSE, highest=100)
    return books


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES, chunk_rows=st.integers(1, 45))
async def test_an_import_leaves_what_posting_the_rows_one_by_one_would(
    ledger: Ledger, database_urls: AllDatabaseUrls, moves: list[tuple[str, str, int]], chunk_rows: int
) -> None:
    imported = await _four_accounts(ledger, new_tenant(database_urls.root))
    posted = await _four_accounts(ledger, new_tenant(database_urls.root))
    ids = dict(zip(CODES, posted.opened, strict=False))
    refused = []
    for number, (debit, credit, amount) in enumerate(moves, 1):
        try:
            legs = [(ids[debit], amount), (ids[credit], -amount)]
            await ledger_service.post_transfer(ledger, posted.tenant_id, posting(*legs))
        except (KeyError, Refusal):
            refused.append(number)
    done = await bring_in(
        imported, ImportKind.TRANSFERS, csv_file([row(*move) for move in moves]), chunk_rows=chunk_rows
    )
    assert [error.row_number for error in await errors_of(imported, done)] == refused
    assert await balances(ledger, imported.tenant_id) == await balances(ledger, posted.tenant_id)
    await imported.assert_sound()
