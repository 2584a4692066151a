"""Reports are true: they add up, follow upon each other, and agree with the entries that they are made of."""

import tracemalloc
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from uuid import UUID

import psycopg
import pytest

from florin.ledger import service as ledger_service
from florin.ledger.errors import AccountNotFound
from florin.ledger.model import NORMAL_SIDE, AccountType, Direction
from florin.ledger.reports import service
from florin.ledger.reports.errors import ReportTooLarge, ScopeAmbiguous
from florin.ledger.reports.model import WHOLE_BOOKS, Scope, Section, SectionEnd, Totals, TrialRow
from florin.ledger.reports.render.csv_ import statement_csv
from florin.ledger.times.errors import PeriodOutOfOrder
from florin.ledger.times.model import TimeAxis
from florin.ledger.times.service import project
from tests.conftest import AllDatabaseUrls
from tests.ledger.books import Books, holding, reversing
from tests.ledger.reports.samples import (
    BEGINNING,
    END,
    instant,
    lines_of,
    listed,
    moved,
    opened,
    period,
    sections_of,
    totals_of,
)

DAY = timedelta(days=1)


async def three_accounts(books: Books) -> tuple[UUID, UUID, UUID]:
    bank = await opened(books, "assets:bank", AccountType.ASSET)
    fees = await opened(books, "assets:bank-fees", AccountType.EXPENSE)
    wallet = await opened(books, "wallets:1", AccountType.LIABILITY)
    return bank, fees, wallet


async def test_a_statement_leads_from_its_opening_to_its_closing_balance(books: Books) -> None:
    bank, fees, wallet = await three_accounts(books)
    await moved(books, bank, wallet, 1000)
    since = await instant(books)
    await moved(books, bank, wallet, 250, text="Top-up", correlation_id="order-7")
    await moved(books, fees, bank, 40)
    until = await instant(books)
    await moved(books, bank, wallet, 999)

    when = await period(books, since, until)
    found = (await sections_of(books, Scope(account_id=bank), when))["assets:bank"]
    assert (found.opening_minor, found.closing_minor) == (1000, 1210)
    assert found.turnover == (250, 40, 1, 1)
    first, second = await lines_of(books, Scope(account_id=bank), when)
    assert (first.seq, first.amount_minor, first.balance_minor) == (2, 250, 1250)
    assert (first.description, first.correlation_id) == ("Top-up", "order-7")
    assert (second.seq, second.amount_minor, second.balance_minor) == (3, -40, 1210)


async def test_statements_of_consecutive_periods_chain(books: Books) -> None:
    bank, _, wallet = await three_accounts(books)
    edges = [BEGINNING]
    for round_ in range(4):
        for amount in range(1, 4):
            await moved(books, bank, wallet, 100 * round_ + amount)
        edges.append(await instant(books))
    for by in TimeAxis:
        closing = 0
        seen: list[int] = []
        for since, until in pairwise(edges):
            when = await period(books, since, until, by=by)
            section = (await sections_of(books, Scope(account_id=wallet), when))["wallets:1"]
            assert section.opening_minor == closing
            closing = section.closing_minor
            seen += [line.seq for line in await lines_of(books, Scope(account_id=wallet), when)]
        assert seen == list(range(1, 13))
        assert closing == (await books.balance(wallet)).balance_minor


async def test_the_trial_balance_is_zero_in_every_pair_and_currency(books: Books) -> None:
    bank, fees, wallet = await three_accounts(books)
    yen_bank = await opened(books, "assets:yen", AccountType.ASSET, "JPY")
    yen_wallet = await opened(books, "wallets:yen", AccountType.LIABILITY, "JPY")
    await moved(books, bank, wallet, 1000)
    since = await instant(books)
    await moved(books, fees, bank, 40)
    await moved(books, yen_bank, yen_wallet, 7)
    for by in TimeAxis:
        when = await period(books, since, by=by)
        totals = await totals_of(books, WHOLE_BOOKS, when)
        assert totals["USD"].figures_minor == (1000, 1000, 40, 40, 1000, 1000)
        assert totals["JPY"].figures_minor == (0, 0, 7, 7, 7, 7)
        rows = await listed(await service.trial_balance(books.ledger, books.tenant_id, WHOLE_BOOKS, when))
        assert [row.code for row in rows if isinstance(row, TrialRow)] == [
            *("assets:bank", "assets:bank-fees", "assets:yen", "wallets:1", "wallets:yen")
        ]
        assert isinstance(rows[-1], Totals)
        assert {one.currency: one.figures_minor for one in rows[-1]} == {
            currency: total.figures_minor for currency, total in totals.items()
        }


async def test_nodes_of_the_chart_sum_what_lies_at_or_below_them(books: Books) -> None:
    bank, fees, wallet = await three_accounts(books)
    at_node = await opened(books, "assets", AccountType.ASSET)
    async with books.ledger.database.tenant(books.tenant_id) as connection:
        await connection.execute(
            "INSERT INTO ledger.chart (tenant_id, code, name, type, created_at)"
            " VALUES (%s, 'assets', 'What we have', 'asset', now())",
            [books.tenant_id],
        )
    await moved(books, bank, wallet, 1000)
    await moved(books, fees, bank, 40)
    await moved(books, at_node, wallet, 5)
    when = await period(books)
    rows = await listed(
        await service.trial_balance(books.ledger, books.tenant_id, WHOLE_BOOKS, when, depth=2)
    )
    shown = [
        (row.code, row.name, row.total.closing_debits_minor, row.total.closing_credits_minor)
        for row in rows
        if isinstance(row, TrialRow)
    ]
    assert shown == [
        ("assets", "What we have", 1005, 0),
        ("assets:bank", None, 960, 0),
        ("assets:bank-fees", None, 40, 0),
        ("wallets", None, 0, 1005),
        ("wallets:1", None, 0, 1005),
    ]


async def test_a_subtree_is_the_code_and_what_is_below_it_and_no_namesake(books: Books) -> None:
    bank, fees, wallet = await three_accounts(books)
    inner = await opened(books, "assets:bank:zar", AccountType.ASSET)
    await moved(books, bank, wallet, 10)
    await moved(books, fees, wallet, 20)
    await moved(books, inner, wallet, 30)
    under = Scope(under="assets:bank")
    when = await period(books, scope=under)
    assert list(await sections_of(books, under, when)) == ["assets:bank", "assets:bank:zar"]
    assert list(await sections_of(books, Scope(under="assets"), when)) == [
        *("assets:bank", "assets:bank-fees", "assets:bank:zar")
    ]


async def test_an_account_without_entries_and_an_empty_period_have_statements(books: Books) -> None:
    bank, _, wallet = await three_accounts(books)
    idle = await opened(books, "idle", AccountType.EQUITY)
    await moved(books, bank, wallet, 10)
    for by in TimeAxis:
        when = await period(books, by=by)
        section = (await sections_of(books, Scope(account_id=idle), when))["idle"]
        assert (section.opening_minor, section.closing_minor, section.turnover.entries) == (0, 0, 0)
        assert "idle" not in await sections_of(books, WHOLE_BOOKS, when)

        later = await period(books, when.until, by=by)
        parts = await listed(service.statement(books.ledger, books.tenant_id, Scope(account_id=bank), later))
        assert [type(part) for part in parts] == [Section, SectionEnd, Totals]
        assert isinstance(parts[0], Section)
        assert (parts[0].opening_minor, parts[0].closing_minor) == (10, 10)
        before = await period(books, BEGINNING, BEGINNING + DAY, by=by)
        assert await sections_of(books, WHOLE_BOOKS, before) == {}


async def test_both_times_agree_at_infinity_and_differ_before(books: Books) -> None:
    bank, fees, wallet = await three_accounts(books)
    await moved(books, bank, wallet, 100, at=datetime(2020, 1, 1, tzinfo=UTC))
    await moved(books, bank, wallet, 10)
    await moved(books, fees, bank, 1, at=datetime(2100, 1, 1, tzinfo=UTC))
    whole = {by: await period(books, BEGINNING, END, by=by) for by in TimeAxis}
    recorded = await sections_of(books, WHOLE_BOOKS, whole[TimeAxis.RECORDED])
    assert recorded == await sections_of(books, WHOLE_BOOKS, whole[TimeAxis.EFFECTIVE])
    assert recorded["assets:bank"].closing_minor == 109

    since, until = datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 2, 1, tzinfo=UTC)
    twenties = await period(books, since, until, by=TimeAxis.EFFECTIVE)
    section = (await sections_of(books, WHOLE_BOOKS, twenties))["assets:bank"]
    assert (section.opening_minor, section.closing_minor) == (0, 100)
    after = await period(books, datetime(2020, 1, 2, tzinfo=UTC), END, by=TimeAxis.EFFECTIVE)
    assert [
        (line.seq, line.balance_minor) for line in await lines_of(books, Scope(account_id=bank), after)
    ] == [(2, 110), (3, 109)]


async def test_as_known_at_an_instant_later_records_are_left_out(books: Books) -> None:
    bank, _, wallet = await three_accounts(books)
    at = datetime(2024, 5, 5, tzinfo=UTC)
    await moved(books, bank, wallet, 100, at=at)
    then = await instant(books)
    await moved(books, bank, wallet, 20, at=at)
    for known_at, closing in ((then, 100), (None, 120)):
        when = await period(books, at, at + DAY, by=TimeAxis.EFFECTIVE, known_at=known_at)
        section = (await sections_of(books, WHOLE_BOOKS, when))["wallets:1"]
        assert section.closing_minor == closing
    when = await period(books, BEGINNING, END, known_at=then)
    assert (await sections_of(books, WHOLE_BOOKS, when))["wallets:1"].closing_minor == 100


@pytest.mark.parametrize("projected", [False, True])
async def test_reports_agree_with_the_entries_by_either_time(
    books: Books, monkeypatch: pytest.MonkeyPatch, projected: bool
) -> None:
    monkeypatch.setattr(service, "LINES_PER_PAGE", 7)  # so that pages end in the middle of everything
    monkeypatch.setattr(service, "ACCOUNTS_PER_PAGE", 2)
    random = Random(5)
    ids = [await opened(books, f"x:{number}", random.choice(list(AccountType))) for number in range(5)]
    days = [datetime(2026, 3, day, tzinfo=UTC) for day in range(1, 9)]
    edges = [BEGINNING, *days, END]
    for number in range(90):
        debit, credit = random.sample(ids, 2)
        await moved(books, debit, credit, random.randint(1, 99), at=random.choice([None, *days]))
        if number % 30 == 15:
            edges.append(await instant(books))
            if projected:
                await project(books.ledger, books.tenant_id, ids)
    for by in TimeAxis:
        for _ in range(6):
            since, until = sorted(random.sample(edges, 2))
            when = await period(books, since, until, by=by)
            found = await sections_of(books, WHOLE_BOOKS, when)
            for number, account_id in enumerate(ids):
                kind = (await books.balance(account_id)).type
                sign = 1 if NORMAL_SIDE[kind] is Direction.DEBIT else -1
                entries = await books.entries(account_id)
                times = [one.recorded_at if by is TimeAxis.RECORDED else one.effective_at for one in entries]
                timed = list(zip(times, entries, strict=True))
                opening = sign * sum(one.amount_minor for at, one in timed if at < since)
                within = sorted((at, one.seq) for at, one in timed if since <= at < until)
                closing = sign * sum(one.amount_minor for at, one in timed if at < until)
                lines = await lines_of(books, Scope(account_id=account_id), when)
                assert [line.seq for line in lines] == [seq for _, seq in within]
                section = found.get(f"x:{number}")
                if section is None:
                    assert (opening, closing, within) == (0, 0, [])
                    continue
                assert (section.opening_minor, section.closing_minor) == (opening, closing)
                assert [line.balance_minor for line in lines[-1:]] in ([], [closing])


async def test_the_journal_has_what_moved_money_in_order_and_balanced(books: Books) -> None:
    bank, fees, wallet = await three_accounts(books)
    since = await instant(books)
    first = await moved(books, bank, wallet, 100, text="First")
    await ledger_service.place_hold(books.ledger, books.tenant_id, holding((wallet, 5), (bank, -5)))
    second = await moved(books, fees, bank, 7)
    undone = await ledger_service.reverse_transfer(books.ledger, books.tenant_id, reversing(second.id))
    dated = await moved(books, bank, wallet, 1, at=since - DAY)

    async def ids(scope: Scope, by: TimeAxis) -> list[UUID]:
        when = await period(books, since - 2 * DAY, by=by)
        batches = await listed(service.journal(books.ledger, books.tenant_id, scope, when))
        for transfer in (one for batch in batches for one in batch):
            assert sum(leg.amount_minor for leg in transfer.legs) == 0
        return [one.id for batch in batches for one in batch]

    assert await ids(WHOLE_BOOKS, TimeAxis.RECORDED) == [first.id, second.id, undone.id, dated.id]
    assert await ids(WHOLE_BOOKS, TimeAxis.EFFECTIVE) == [dated.id, first.id, second.id, undone.id]
    for by in TimeAxis:
        assert await ids(Scope(account_id=fees), by) == [second.id, undone.id]
        assert await ids(Scope(under="assets:bank-fees"), by) == [second.id, undone.id]
        assert await ids(Scope(account_code="assets:bank-fees"), by) == [second.id, undone.id]


async def test_the_journal_goes_on_page_by_page(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LINES_PER_PAGE", 3)
    bank, _, wallet = await three_accounts(books)
    random = Random(1)
    days = [datetime(2026, 3, day, tzinfo=UTC) for day in range(1, 4)]
    made = [
        await moved(books, bank, wallet, number, at=random.choice([None, *days])) for number in range(1, 18)
    ]
    for by in TimeAxis:
        when = await period(books, BEGINNING, END, by=by)
        batches = await listed(service.journal(books.ledger, books.tenant_id, WHOLE_BOOKS, when))
        found = [one for batch in batches for one in batch]
        times = [one.recorded_at if by is TimeAxis.RECORDED else one.effective_at for one in found]
        assert times == sorted(times)
        assert sorted(one.id for one in found) == sorted(one.id for one in made)


async def test_the_general_ledger_names_the_other_side(books: Books) -> None:
    bank, _, wallet = await three_accounts(books)
    await moved(books, bank, wallet, 100)
    when = await period(books)
    parts = await listed(service.statement(books.ledger, books.tenant_id, WHOLE_BOOKS, when, against=True))
    assert [line.against for part in parts if isinstance(part, list) for line in part] == [
        ("wallets:1",),
        ("assets:bank",),
    ]


async def test_what_is_posted_while_a_statement_is_read_does_not_come_into_it(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "LINES_PER_PAGE", 2)
    bank, _, wallet = await three_accounts(books)
    for _ in range(5):
        await moved(books, bank, wallet, 10)
    for by in TimeAxis:
        when = await period(books, BEGINNING, END, by=by)
        seen = 0
        async for part in service.statement(books.ledger, books.tenant_id, WHOLE_BOOKS, when):
            await moved(books, bank, wallet, 1, at=datetime(2026, 1, 1, tzinfo=UTC))
            seen += len(part) if isinstance(part, list) else 0
            if isinstance(part, Totals):
                (total,) = part
                assert total.debits_minor == total.credits_minor
        assert seen == 2 * (await sections_of(books, WHOLE_BOOKS, when))["assets:bank"].turnover.entries


async def test_what_cannot_be_reported_is_refused(books: Books, other_books: Books) -> None:
    bank, _, _ = await three_accounts(books)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(PeriodOutOfOrder) as refused:
        await period(books, at, at - DAY)
    assert refused.value.param == "from"
    with pytest.raises(ScopeAmbiguous):
        await period(books, scope=Scope(account_id=bank, under="assets"))
    for scope, param in ((Scope(account_id=bank), "account"), (Scope(under="assets"), "under")):
        with pytest.raises(AccountNotFound) as missing:
            await period(other_books, scope=scope)
        assert missing.value.param == param


@pytest.mark.parametrize("column", ["amount", "balance_after"])
async def test_books_that_were_tampered_with_make_no_statement(
    books: Books, database_urls: AllDatabaseUrls, column: str
) -> None:
    bank, _, wallet = await three_accounts(books)
    for _ in range(3):
        await moved(books, bank, wallet, 10)
    until = await instant(books)
    await moved(books, bank, wallet, 10)
    with psycopg.connect(database_urls.root) as root:
        root.execute("SET session_replication_role = replica")
        root.execute(
            f"UPDATE ledger.entries SET {column} = {column} + 1 WHERE tenant_id = %s AND account_id = %s"
            " AND seq = 3",
            [books.tenant_id, bank],
        )
    when = await period(books, BEGINNING, until)
    with pytest.raises(service.BooksDoNotAddUp, match=str(bank)):
        await lines_of(books, Scope(account_id=bank), when)
    assert len(await lines_of(books, Scope(account_id=wallet), when)) == 3


async def test_a_report_too_large_for_its_format_is_refused(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank, _, wallet = await three_accounts(books)
    for _ in range(3):
        await moved(books, bank, wallet, 10)
    when = await period(books)
    for max_lines in (7, 8):
        parts = service.statement(books.ledger, books.tenant_id, WHOLE_BOOKS, when)
        if max_lines == 8:  # two sections of three lines
            assert len(await service.collected(parts, max_lines=8, format="pdf")) == 7
            continue
        with pytest.raises(ReportTooLarge) as refused:
            await service.collected(parts, max_lines=max_lines, format="pdf")
        assert refused.value.param == "format"
        assert refused.value.status == 422
    monkeypatch.setattr(service, "MAX_NODES", 1)
    with pytest.raises(ReportTooLarge):
        await service.trial_balance(books.ledger, books.tenant_id, WHOLE_BOOKS, when, depth=1)


async def test_a_long_statement_streams_in_flat_memory(books: Books, database_urls: AllDatabaseUrls) -> None:
    bank, _, wallet = await three_accounts(books)
    await moved(books, bank, wallet, 100_000, text="the first of many")
    count = 20_000
    _write_entries(database_urls, books.tenant_id, bank, wallet, count)
    when = await period(books)
    parts = service.statement(books.ledger, books.tenant_id, Scope(account_id=bank), when)
    rows = early_peak = 0
    tracemalloc.start()
    try:
        async for chunk in statement_csv(parts):
            rows += chunk.count(b"\r\n")
            if not early_peak and rows > count // 5:
                _, early_peak = tracemalloc.get_traced_memory()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rows == 1 + 1 + (count + 1) + 1 + 3
    assert peak < 1.2 * early_peak


def _write_entries(urls: AllDatabaseUrls, tenant_id: int, debit: UUID, credit: UUID, count: int) -> None:
    """Transfers of a cent, written past the posting function, which would take its time."""
    with psycopg.connect(urls.root) as root:
        root.execute("SET session_replication_role = replica")
        root.execute(
            """
            WITH made AS MATERIALIZED (
                SELECT n, kernel.uuidv7() AS id, clock_timestamp() AS at FROM generate_series(1, %(count)s) n
            ), logged AS (
                INSERT INTO ledger.transfers
                    (tenant_id, id, kind, recorded_at, account_ids, amounts, entry_seqs)
                SELECT %(tenant)s, id, 'transfer', at, ARRAY[%(debit)s, %(credit)s]::uuid[], ARRAY[1, -1],
                       ARRAY[n + 1, n + 1]
                FROM made
            )
            INSERT INTO ledger.entries
                (tenant_id, account_id, seq, transfer_id, amount, balance_after, recorded_at)
            SELECT %(tenant)s, a.id, m.n + 1, m.id, a.amount, 100000 + m.n, m.at
            FROM made m, (VALUES (%(debit)s::uuid, 1), (%(credit)s::uuid, -1)) AS a (id, amount)
            """,
            {"count": count, "tenant": tenant_id, "debit": debit, "credit": credit},
        )
        root.execute(
            "UPDATE ledger.accounts"
            " SET balance = balance + %s, entry_seq = entry_seq + %s, last_entry_at = clock_timestamp()"
            " WHERE tenant_id = %s AND id IN (%s, %s)",
            [count, count, tenant_id, debit, credit],
        )
