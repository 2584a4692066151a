"""Random postings at random times, projections at random moments: the past is the sum of its entries."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from florin.kernel.db import Database
from florin.ledger import service as ledger_service
from florin.ledger.model import AccountType
from florin.ledger.service import Ledger
from florin.ledger.times import service, store
from florin.ledger.times.model import TimeAxis
from tests.conftest import AllDatabaseUrls
from tests.ledger.books import Books, posting
from tests.ledger.conftest import new_tenant

KINDS = (AccountType.ASSET, AccountType.LIABILITY, AccountType.INCOME)
SIGNS = (1, -1, -1)
NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)

# How far from noon of a day a posting counts; None: when it is recorded.
OFFSETS = st.one_of(
    st.none(),
    st.none(),
    st.integers(-90, 90).map(lambda days: timedelta(days=days)),
    st.sampled_from(
        [
            timedelta(0),
            timedelta(hours=-12),
            timedelta(hours=12),
            timedelta(microseconds=-1),
            timedelta(hours=3),
        ]
    ),
)
ENDS = OFFSETS.map(lambda offset: timedelta(days=3000) if offset is None else offset)
SHIFTS = st.sampled_from([timedelta(0), timedelta(microseconds=-1), timedelta(microseconds=1)])


class Line(NamedTuple):
    """An entry as the model knows it."""

    seq: int
    transfer_id: UUID
    amount_minor: int
    recorded_at: datetime
    effective_at: datetime


class Machine(RuleBasedStateMachine):
    """One tenant, new for each example; transactions of one moment stand in one batch."""

    def __init__(self, runner: asyncio.Runner, database: Database, url: str) -> None:
        super().__init__()
        self.run = runner.run
        self.books = Books(Ledger(database), new_tenant(url))
        self.accounts: list[UUID] = []
        self.lines: list[list[Line]] = [[] for _ in KINDS]

    @initialize()
    def open(self) -> None:
        for kind in KINDS:
            self.accounts.append(self.run(self.books.open(kind)))

    @rule(
        items=st.lists(
            st.tuples(st.permutations(range(3)), st.integers(1, 9), OFFSETS), min_size=1, max_size=30
        ),
        times=st.sampled_from([1, 1, 1, 10]),
    )
    def post(self, items: list[tuple[list[int], int, timedelta | None]], times: int) -> None:
        self.run(self._post(items * times))

    async def _post(self, items: list[tuple[list[int], int, timedelta | None]]) -> None:
        made = []
        for (debit, credit, _), amount, offset in items:
            asked = posting((self.accounts[debit], amount), (self.accounts[credit], -amount))
            if offset is not None:
                asked = type(asked)(
                    **{name: getattr(asked, name) for name in asked.__slots__}
                    | {"effective_at": NOON + offset}
                )
            made.append(asked)
        for answer in await ledger_service.post_transfers(self.books.ledger, self.books.tenant_id, made):
            assert not isinstance(answer, Exception)
            for entry in answer.entries:
                assert entry.seq is not None
                self.lines[self.accounts.index(entry.account_id)].append(
                    Line(entry.seq, answer.id, entry.amount_minor, answer.recorded_at, answer.effective_at)
                )
        for known in self.lines:
            known.sort()

    @rule(which=st.sets(st.integers(0, 2)), step=st.sampled_from([1, 7, 128, 5000]))
    def project(self, which: set[int], step: int) -> None:
        self.run(self._project([self.accounts[number] for number in which], step))

    async def _project(self, accounts: list[UUID], step: int) -> None:
        async with self.books.ledger.database.tenant(self.books.tenant_id) as connection:
            await store.project(connection, self.books.tenant_id, accounts, step)

    @rule()
    def project_due(self) -> None:
        self.run(service.project_due(self.books.ledger, self.books.tenant_id))

    @rule(which=st.integers(0, 2))
    def unproject(self, which: int) -> None:
        self.run(service.unproject(self.books.ledger, self.books.tenant_id, [self.accounts[which]]))

    @rule(data=st.data())
    def any_past_balance_is_the_sum_of_its_entries(self, data: st.DataObject) -> None:
        moments = [
            (
                number,
                data.draw(
                    st.one_of(
                        st.none(),
                        OFFSETS.map(lambda off: None if off is None else NOON + off),
                        self._instants(number),
                    )
                ),
                data.draw(st.one_of(st.none(), self._instants(number))),
            )
            for number in data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=8))
        ]
        self.run(self._compare(moments))

    def _instants(self, number: int) -> st.SearchStrategy[datetime | None]:
        times = sorted({line.recorded_at for line in self.lines[number]})
        if not times:
            return st.none()
        return st.tuples(st.sampled_from(times), SHIFTS).map(lambda pair: pair[0] + pair[1])

    async def _compare(self, moments: list[tuple[int, datetime | None, datetime | None]]) -> None:
        answers = await asyncio.gather(
            *(
                service.balance_at(
                    self.books.ledger, self.books.tenant_id, self.accounts[number], at=at, known_at=known_at
                )
                for number, at, known_at in moments
            )
        )
        for (number, at, known_at), answer in zip(moments, answers, strict=True):
            assert answer.balance_minor == self._sum(number, at, known_at), (number, at, known_at)

    def _sum(self, number: int, at: datetime | None, known_at: datetime | None) -> int:
        at = at or datetime.now(UTC)
        return SIGNS[number] * sum(
            line.amount_minor
            for line in self.lines[number]
            if line.effective_at <= at and (known_at is None or line.recorded_at <= known_at)
        )

    @rule(data=st.data(), axis=st.sampled_from(TimeAxis), size=st.sampled_from([1, 3, 50, 1000]))
    def any_statement_has_its_entries_in_order(self, data: st.DataObject, axis: TimeAxis, size: int) -> None:
        number = data.draw(st.integers(0, 2))
        ends = [data.draw(ENDS) for _ in range(2)]
        since, until = sorted(NOON + end for end in ends)
        if axis is TimeAxis.RECORDED:
            drawn = [data.draw(self._instants(number)) for _ in range(2)]
            since, until = sorted(at or NOON for at in drawn)
        self.run(self._check_statement(number, axis, since, until, data.draw(self._instants(number)), size))

    async def _check_statement(
        self,
        number: int,
        axis: TimeAxis,
        since: datetime,
        until: datetime,
        known_at: datetime | None,
        size: int,
    ) -> None:
        ledger, tenant_id = self.books.ledger, self.books.tenant_id
        found = await service.statement(
            ledger, tenant_id, self.accounts[number], since=since, until=until, by=axis, known_at=known_at
        )
        read = [line async for page in service.pages(ledger, tenant_id, found, size=size) for line in page]
        known = [line for line in self.lines[number] if known_at is None or line.recorded_at <= known_at]

        def time_of(line: Line) -> datetime:
            return line.recorded_at if axis is TimeAxis.RECORDED else line.effective_at

        known.sort(key=lambda line: (time_of(line), line.seq))
        balance = SIGNS[number] * sum(line.amount_minor for line in known if time_of(line) < since)
        assert found.opening_balance_minor == balance
        expected = []
        for line in known:
            if since <= time_of(line) < until:
                balance += SIGNS[number] * line.amount_minor
                expected.append((line.seq, line.transfer_id, line.amount_minor, balance))
        assert [
            (one.seq, one.transfer_id, one.amount_minor, one.balance_after_minor) for one in read
        ] == expected
        assert found.closing_balance_minor == balance

    @invariant()
    def projections_say_what_the_entries_say(self) -> None:
        if self.accounts:
            self.run(self._check_projections())

    async def _check_projections(self) -> None:
        async with self.books.ledger.database.tenant(self.books.tenant_id) as connection:
            cursor = await connection.execute(
                "SELECT n.account_id, n.seq, n.balance, n.dated, n.recorded_at FROM ledger.snapshots n"
                " WHERE n.tenant_id = %s",
                (self.books.tenant_id,),
            )
            for account_id, seq, balance, dated, recorded_at in await cursor.fetchall():
                number = self.accounts.index(account_id)
                before = [line for line in self.lines[number] if line.seq <= seq]
                assert recorded_at == before[-1].recorded_at
                assert balance == SIGNS[number] * sum(line.amount_minor for line in before)
                assert dated == SIGNS[number] * sum(
                    line.amount_minor for line in before if line.effective_at != line.recorded_at
                )


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def test_past_balances_and_statements_agree_with_sums_over_all_entries(
    runner: asyncio.Runner, database_urls: AllDatabaseUrls
) -> None:
    database = Database(database_urls.app, size=4)
    runner.run(database.open())
    try:
        run_state_machine_as_test(
            lambda: Machine(runner, database, database_urls.root),  # type: ignore[arg-type]
            settings=settings(
                max_examples=8,
                stateful_step_count=20,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate],
            ),
        )
    finally:
        runner.run(database.close())
