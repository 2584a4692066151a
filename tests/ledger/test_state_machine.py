"""The database and the plain model, asked the same things in the same order, say the same."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from florin.kernel.coalescer import ArrayFunction, Coalescer, array
from florin.kernel.db import Database
from florin.kernel.errors import Refusal
from florin.kernel.idempotency import Idempotency
from florin.kernel.ids import new_id
from florin.ledger import service
from florin.ledger.model import (
    AccountStatus,
    AccountType,
    Correcting,
    HoldAction,
    Leg,
    Posted,
    Posting,
    Reversing,
    Settlement,
    TransferKind,
)
from florin.ledger.posting import POST, REVERSE, SETTLE
from florin.ledger.service import Ledger
from tests.conftest import AllDatabaseUrls
from tests.ledger.books import Books, fresh_key, legs
from tests.ledger.conftest import new_tenant
from tests.ledger.reference import Item, ModelAccount, ModelLedger, ModelMonitor, Pool, Told

KINDS = [
    (AccountType.ASSET, "USD", None, None),
    (AccountType.LIABILITY, "USD", 0, None),
    (AccountType.LIABILITY, "USD", 0, 60),
    (AccountType.INCOME, "USD", -20, 100),
    (AccountType.ASSET, "EUR", 0, 80),
    (AccountType.EQUITY, "EUR", -50, None),
]
DOLLARS, EUROS, NOBODY = [0, 1, 2, 3], [4, 5], len(KINDS)  # the last one does not exist
# Mostly what can pass: a machine that is always refused learns little.
SMALL = st.integers(1, 9)
AMOUNTS = st.one_of(*[SMALL] * 8, st.integers(1, 40), st.sampled_from([10**15, 10**15 + 1]))
ACCOUNTS = st.one_of(
    *[st.lists(st.sampled_from(DOLLARS), min_size=2, max_size=3, unique=True)] * 8,
    *[st.lists(st.sampled_from(EUROS), min_size=2, max_size=2, unique=True)] * 2,
    st.lists(st.integers(0, NOBODY), min_size=2, max_size=3, unique=True),
)
RARELY_ONE = st.sampled_from([0] * 15 + [1])
SPLITS = st.sampled_from([1, 2, 3, 1000])

TIMES = st.sampled_from([None] * 6 + [2019, 2021, 2023, 2025, 2040]).map(
    lambda year: None if year is None else datetime(year, 6, 30, 12, tzinfo=UTC)
)

# (accounts, amount, imbalance, claimed currency, kind, time): two or three legs; amounts mostly balance
POSTINGS = st.tuples(
    ACCOUNTS,
    AMOUNTS,
    RARELY_ONE,
    st.sampled_from([None] * 8 + ["USD", "USD", "EUR"]),
    st.sampled_from([TransferKind.TRANSFER, TransferKind.TRANSFER, TransferKind.HOLD]),
    TIMES,
)
Wanted = tuple[list[int], int, int, str | None, TransferKind, datetime | None]
REVERSALS = st.tuples(
    st.integers(0, 1000),
    st.sampled_from(["all", "all", "amount", "amount", "legs"]),
    st.integers(0, 12),
    TIMES,
)
MONITORS = st.tuples(
    st.integers(0, len(KINDS) - 1),
    st.sampled_from(["balance", "available"]),
    st.sampled_from(["below", "above"]),
    st.integers(10, 40),
)
SETTLEMENTS = st.tuples(
    st.integers(0, 1000),
    st.sampled_from(["all", "amount", "amount", "legs", "void"]),
    st.integers(0, 12),
)


def _encode_sets(sets: Sequence[Sequence[Posting]]) -> tuple[Any, ...]:
    encoded = list(POST.encode([item for one in sets for item in one]))
    encoded[7] = array([number for number, one in enumerate(sets) for _ in one])
    return tuple(encoded)


def _decode_sets(sets: Sequence[Sequence[Posting]], rows: list[Any]) -> list[Any]:
    answers = iter(POST.decode([item for one in sets for item in one], rows))
    return [[next(answers) for _ in one] for one in sets]


SETS: ArrayFunction[Sequence[Posting], Any] = ArrayFunction(POST.statement, _encode_sets, _decode_sets)


class Machine(RuleBasedStateMachine):
    """One tenant, new for each example."""

    def __init__(self, runner: asyncio.Runner, database: Database, url: str) -> None:
        super().__init__()
        self.run = runner.run
        self.database = database
        self.books = Books(Ledger(database), new_tenant(url))
        self.model = ModelLedger()
        self.items: list[Posting | Settlement | Reversing] = []
        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.execute("SELECT set_config('app.tenant_id', %s, false)", (str(self.books.tenant_id),))

    @initialize(shared=st.booleans(), watched=st.lists(MONITORS, max_size=3))
    def begin(self, shared: bool, watched: list[tuple[int, str, str, int]]) -> None:
        self.open_accounts()
        if shared:
            self.share_a_limit()
        self.watch(watched)

    def open_accounts(self) -> None:
        self.ids = [
            self.run(self.books.open(kind, currency, lowest=lowest, highest=highest))
            for kind, currency, lowest, highest in KINDS
        ]
        for account_id, (kind, currency, lowest, highest) in zip(self.ids, KINDS, strict=True):
            sign = 1 if kind in (AccountType.ASSET, AccountType.EXPENSE) else -1
            self.model.accounts[account_id] = ModelAccount(sign, lowest, highest, currency=currency)
        self.ids.append(new_id())
        self.ask(POST, [Posting(new_id(), fresh_key(), self.legs([0, 1, 2], 30, 0)),
                        Posting(new_id(), fresh_key(), self.legs([4, 5], 30, 0))], 2)  # fmt: skip

    def root(self, statement: str, *values: object) -> None:
        """Past the service, for what has no service of its own here."""
        self.connection.execute(statement.encode(), values)

    def share_a_limit(self) -> None:
        limit_id = new_id()
        self.root(
            "INSERT INTO ledger.limits"
            " (tenant_id, id, name, side, currency, min_balance, max_balance, created_at)"
            " VALUES (%s, %s, 'shared', 'credit', 'USD', -5, 70, now())",
            self.books.tenant_id,
            limit_id,
        )
        self.model.limits[limit_id] = Pool(-1, -5, 70)
        for number in (1, 2):
            self.root(
                "UPDATE ledger.accounts SET limit_id = %s WHERE tenant_id = %s AND id = %s",
                limit_id,
                self.books.tenant_id,
                self.ids[number],
            )
            self.model.accounts[self.ids[number]].limit = limit_id

    def watch(self, wanted: list[tuple[int, str, str, int]]) -> None:
        for number, metric, comparison, threshold in wanted:
            monitor_id = new_id()
            self.root(
                "INSERT INTO ledger.monitors (tenant_id, id, account_id, name, metric, comparison, threshold,"
                " created_at) VALUES (%s, %s, %s, 'm', %s, %s, %s, now())",
                self.books.tenant_id,
                monitor_id,
                self.ids[number],
                metric,
                comparison,
                threshold,
            )
            self.root("UPDATE ledger.accounts SET monitored = true WHERE id = %s", self.ids[number])
            self.model.monitors[monitor_id] = ModelMonitor(self.ids[number], metric, comparison, threshold)

    def ask(self, function: Any, items: list[Any], split: int) -> None:
        """Sends the items in groups of `split`, in order, and compares every answer."""
        told = self.run(self._send(function, items, split))
        for item, answer in zip(items, told, strict=True):
            self.compare(item, answer, self.model.tell(item))
        self.items += items

    def compare(self, item: Item, answer: Any, expected: Told) -> None:
        """Fails where the database said something else than the model."""
        if expected.refusal is not None:
            expected = expected._replace(account_id=None)
        assert _heard(answer) == expected or (
            isinstance(answer, Posted) and answer.replayed and answer.transfer_id == expected.transfer_id
        ), (item, answer, expected)

    async def _send(self, function: Any, items: list[Any], split: int) -> list[Any]:
        coalescer: Coalescer[Any, Any] = Coalescer(self.database, function, flights=1, max_items=split)
        calls = [coalescer.call(self.books.tenant_id, item) for item in items]
        return await asyncio.gather(*calls, return_exceptions=True)

    @rule(wanted=st.lists(POSTINGS, min_size=1, max_size=8), split=SPLITS)
    def post(self, wanted: list[Wanted], split: int) -> None:
        self.ask(POST, [self.posting(one) for one in wanted], split)

    def posting(self, wanted: Wanted) -> Posting:
        accounts, amount, imbalance, currency, kind, effective_at = wanted
        parts = self.legs(accounts, amount, imbalance)
        return Posting(new_id(), fresh_key(), parts, kind, currency, effective_at=effective_at)

    def legs(self, accounts: list[int], amount: int, imbalance: int) -> tuple[Leg, ...]:
        first, *others = [self.ids[number] for number in accounts]
        parts = [(one, -amount) for one in others]
        return legs((first, amount * len(others) + imbalance), *parts)

    @rule(wanted=st.lists(st.lists(POSTINGS, min_size=1, max_size=4), min_size=1, max_size=3), split=SPLITS)
    def post_sets(self, wanted: list[list[Wanted]], split: int) -> None:
        sets = [[self.posting(one) for one in of_set] for of_set in wanted]
        for one, answers in zip(sets, self.run(self._send(SETS, sets, split)), strict=True):
            assert isinstance(answers, list), answers
            for item, answer, expected in zip(one, answers, self.model.tell_set(one), strict=True):
                self.compare(item, answer, expected)

    @rule(number=st.integers(0, 1000), accounts=ACCOUNTS,
          amount=AMOUNTS, imbalance=RARELY_ONE, effective_at=TIMES)  # fmt: skip
    def correct(
        self, number: int, accounts: list[int], amount: int, imbalance: int, effective_at: datetime | None
    ) -> None:
        known = [*self.model.transfers, *self.model.transfers, new_id()]
        item = Correcting(
            new_id(),
            new_id(),
            fresh_key(),
            known[number % len(known)],
            self.legs(accounts, amount, imbalance),
            effective_at=effective_at,
        )
        for _ in range(2):  # the second time it is said again
            refusal, transfer_id = self.run(self._correct(item))
            expected = self.model.tell(item)
            assert (refusal, None if refusal else transfer_id) == (expected.refusal, expected.transfer_id), (
                item
            )

    async def _correct(self, item: Correcting) -> tuple[str | None, UUID]:
        assert item.idempotency is not None
        async with self.database.tenant(self.books.tenant_id) as connection:
            cursor = await connection.execute(
                "SELECT c.refusal, c.transfer_id"
                " FROM ledger.correct(%s, %s, %s, %s, %s, %s, %s, %s, NULL, %s, %s) c",
                (
                    self.books.tenant_id, item.reversal_id, item.repost_id, item.idempotency.slot,
                    item.idempotency.digest, item.transfer_id, item.currency, item.effective_at,
                    [leg.account_id for leg in item.legs], [leg.amount_minor for leg in item.legs],
                ),
            )  # fmt: skip
            row = await cursor.fetchone()
        assert row is not None
        return row[0], row[1]

    @rule(year=st.sampled_from([2020, 2020, 2022, 2024]))
    def close_a_period(self, year: int) -> None:
        instant = datetime(year, 1, 1, tzinfo=UTC)
        if self.model.closed_before is None or self.model.closed_before < instant:
            self.model.closed_before = instant
            self.root(
                "INSERT INTO ledger.books (tenant_id, closed_before) VALUES (%s, %s)"
                " ON CONFLICT (tenant_id) DO UPDATE SET closed_before = excluded.closed_before",
                self.books.tenant_id,
                instant,
            )

    @rule(wanted=st.lists(SETTLEMENTS, min_size=1, max_size=8), split=SPLITS)
    def settle(self, wanted: list[tuple[int, str, int]], split: int) -> None:
        holds = list(self.model.holds) or [new_id()]
        items = []
        for number, how, amount in wanted:
            hold_id = holds[number % len(holds)]
            hold = self.model.holds.get(hold_id)
            parts: tuple[Leg, ...] = ()
            if how == "legs" and hold is not None:
                first, second, *_ = hold.legs
                sign = 1 if hold.legs[first] > 0 else -1
                parts = legs((first, sign * (amount or 1)), (second, -sign * (amount or 1)))
            items.append(
                Settlement(
                    new_id(),
                    fresh_key(),
                    hold_id,
                    HoldAction.VOID if how == "void" else HoldAction.POST,
                    amount if how == "amount" else None,
                    parts,
                )
            )
        self.ask(SETTLE, items, split)

    @rule(wanted=st.lists(REVERSALS, min_size=1, max_size=6), split=SPLITS)
    def reverse(self, wanted: list[tuple[int, str, int, datetime | None]], split: int) -> None:
        known = [*self.model.transfers, *self.model.transfers, new_id()]
        items = []
        for number, how, amount, effective_at in wanted:
            transfer_id = known[number % len(known)]
            _, its_legs = self.model.transfers.get(transfer_id, (None, ()))
            parts: tuple[Leg, ...] = ()
            if how == "legs" and its_legs:
                first, second, *_ = its_legs
                sign = 1 if first.amount_minor > 0 else -1
                parts = legs(
                    (first.account_id, sign * (amount or 1)), (second.account_id, -sign * (amount or 1))
                )
            items.append(
                Reversing(
                    new_id(),
                    fresh_key(),
                    transfer_id,
                    amount if how == "amount" else None,
                    parts,
                    effective_at,
                )
            )
        self.ask(REVERSE, items, split)

    @rule(number=st.integers(0, 1000), other_body=st.booleans())
    def repeat(self, number: int, other_body: bool) -> None:
        if not self.items:
            return
        item: Any = self.items[number % len(self.items)]
        if other_body:
            key = Idempotency(item.idempotency.slot, fresh_key().digest)
            fields = {name: getattr(item, name) for name in item.__slots__} | {"idempotency": key}
            item = type(item)(**fields)
        function = {Posting: POST, Settlement: SETTLE, Reversing: REVERSE}[type(item)]
        self.ask(function, [item], 1)

    @rule(number=st.integers(0, len(KINDS) - 1), status=st.sampled_from(["active"] * 4 + ["frozen"]))
    def freeze(self, number: int, status: str) -> None:
        account_id = self.ids[number]
        self._change(account_id, status=AccountStatus(status))
        self.model.accounts[account_id].status = status

    @rule(number=st.integers(0, len(KINDS) - 1), lowest=st.one_of(st.none(), st.integers(-50, 50)))
    def move_the_lower_bound(self, number: int, lowest: int | None) -> None:
        account_id = self.ids[number]
        highest = self.model.accounts[account_id].highest
        if highest is None or lowest is None or lowest <= highest:
            self._change(account_id, min_balance_minor=lowest)
            self.model.accounts[account_id].lowest = lowest

    @rule(number=st.integers(0, len(KINDS) - 1), highest=st.one_of(st.none(), st.integers(-10, 50)))
    def move_the_upper_bound(self, number: int, highest: int | None) -> None:
        account_id = self.ids[number]
        lowest = self.model.accounts[account_id].lowest
        if highest is None or lowest is None or lowest <= highest:
            self._change(account_id, max_balance_minor=highest)
            self.model.accounts[account_id].highest = highest

    def _change(self, account_id: UUID, **what: Any) -> None:
        self.run(service.change_account(self.books.ledger, self.books.tenant_id, account_id, **what))

    @invariant()
    def balances_agree(self) -> None:
        async def all_balances() -> list[Any]:
            return await asyncio.gather(*(self.books.balance(one) for one in self.model.accounts))

        for now, expected in zip(self.run(all_balances()), self.model.accounts.values(), strict=True):
            assert (
                now.balance_minor,
                now.pending_debits_minor,
                now.pending_credits_minor,
                now.entry_seq,
            ) == (expected.balance, expected.debits, expected.credits, expected.seq)

    def told(self) -> list[tuple[UUID, bool, int]]:
        """What monitors have told, in order."""
        rows = self.connection.execute(
            "SELECT e.object_id, (e.data ->> 'holds')::boolean, (e.data ->> 'value')::bigint"
            " FROM kernel.events e"
            " JOIN kernel.outbox o ON o.tenant_id = e.tenant_id AND o.event_id = e.id"
            " WHERE e.tenant_id = %s AND e.type LIKE 'balance_monitor.%%' ORDER BY e.id",
            (self.books.tenant_id,),
        ).fetchall()
        return [(monitor_id, holds, value) for monitor_id, holds, value in rows]

    def sums_of_limits(self) -> list[tuple[object, ...]]:
        return self.connection.execute(
            "SELECT id, balance, pending_debits, pending_credits FROM ledger.limits WHERE tenant_id = %s",
            (self.books.tenant_id,),
        ).fetchall()

    def teardown(self) -> None:
        try:
            self._compare_the_end()
        finally:
            self.connection.close()

    def _compare_the_end(self) -> None:
        self.run(self.books.assert_sound())
        for monitor_id in self.model.monitors:
            ours = [one for one in self.model.told if one[0] == monitor_id]
            assert [one for one in self.told() if one[0] == monitor_id] == ours
        assert self.sums_of_limits() == [
            (limit_id, limit.balance, limit.debits, limit.credits)
            for limit_id, limit in self.model.limits.items()
        ]
        listed = self.run(service.holds(self.books.ledger, self.books.tenant_id, limit=10_000))
        assert {one.id: one.status for one in listed} == {
            hold_id: hold.status for hold_id, hold in self.model.holds.items()
        }
        for one in listed:
            assert [leg.remaining_minor for leg in one.legs] == list(
                self.model.holds[one.id].remaining.values()
            )


def _heard(answer: Any) -> Told:
    if isinstance(answer, Refusal):
        return Told(answer.code)
    if isinstance(answer, BaseException):
        raise answer
    if isinstance(answer, Posted) and None not in answer.seqs:
        entries = zip(answer.seqs, answer.balances_before, answer.balances_after, strict=True)
        return Told(None, None, answer.transfer_id, tuple(entries))
    return Told(None, None, answer.transfer_id)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


def compare_with_the_model(runner: asyncio.Runner, urls: AllDatabaseUrls, wanted: settings) -> None:
    """Runs the machine; raises where database and model disagree."""
    database = Database(urls.app, size=2)
    runner.run(database.open())
    try:
        run_state_machine_as_test(
            lambda: Machine(runner, database, urls.root),  # type: ignore[arg-type]
            settings=settings(wanted, deadline=None, suppress_health_check=list(HealthCheck)),
        )
    finally:
        runner.run(database.close())


def test_the_database_agrees_with_the_model(runner: asyncio.Runner, database_urls: AllDatabaseUrls) -> None:
    compare_with_the_model(runner, database_urls, settings(max_examples=40, stateful_step_count=25))
