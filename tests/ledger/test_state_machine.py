"""The database and the plain model, asked the same things in the same order, say the same."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import UUID

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

from florin.kernel.coalescer import Coalescer
from florin.kernel.db import Database
from florin.kernel.errors import Refusal
from florin.kernel.idempotency import Idempotency
from florin.kernel.ids import new_id
from florin.ledger import service
from florin.ledger.model import (
    AccountStatus,
    AccountType,
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
from tests.ledger.reference import ModelAccount, ModelLedger, Told

KINDS = [
    (AccountType.ASSET, "USD", None, None),
    (AccountType.LIABILITY, "USD", 0, None),
    (AccountType.LIABILITY, "USD", 0, 60),
    (AccountType.INCOME, "USD", -20, 100),
    (AccountType.ASSET, "EUR", 0, 80),
    (AccountType.EQUITY, "EUR", -50, None),
]
ACCOUNTS = st.integers(0, len(KINDS))  # the last one does not exist
AMOUNTS = st.one_of(st.integers(1, 40), st.sampled_from([10**15, 10**15 + 1]))
SPLITS = st.sampled_from([1, 2, 3, 1000])

# (accounts, amount, imbalance, claimed currency, kind): two or three legs; amounts mostly balance
POSTINGS = st.tuples(
    st.lists(ACCOUNTS, min_size=2, max_size=3, unique=True),
    AMOUNTS,
    st.sampled_from([0, 0, 0, 0, 0, 1]),
    st.sampled_from([None, None, None, "USD", "EUR"]),
    st.sampled_from([TransferKind.TRANSFER, TransferKind.TRANSFER, TransferKind.HOLD]),
)
SETTLEMENTS = st.tuples(
    st.integers(0, 1000),
    st.sampled_from(["all", "amount", "amount", "legs", "void"]),
    st.integers(0, 45),
)


class Machine(RuleBasedStateMachine):
    """One tenant, new for each example."""

    def __init__(self, runner: asyncio.Runner, database: Database, url: str) -> None:
        super().__init__()
        self.run = runner.run
        self.database = database
        self.books = Books(Ledger(database), new_tenant(url))
        self.model = ModelLedger()
        self.items: list[Posting | Settlement | Reversing] = []

    @initialize()
    def open_accounts(self) -> None:
        self.ids = [
            self.run(self.books.open(kind, currency, lowest=lowest, highest=highest))
            for kind, currency, lowest, highest in KINDS
        ]
        for account_id, (kind, currency, lowest, highest) in zip(self.ids, KINDS, strict=True):
            sign = 1 if kind in (AccountType.ASSET, AccountType.EXPENSE) else -1
            self.model.accounts[account_id] = ModelAccount(sign, currency, lowest, highest)
        self.ids.append(new_id())

    def ask(self, function: Any, items: list[Any], split: int) -> None:
        """Sends the items in groups of `split`, in order, and compares every answer."""
        told = self.run(self._send(function, items, split))
        for item, answer in zip(items, told, strict=True):
            expected = self.model.tell(item)
            if expected.refusal is not None:
                expected = expected._replace(account_id=None)
            assert _heard(answer) == expected or (
                isinstance(answer, Posted) and answer.replayed and answer.transfer_id == expected.transfer_id
            ), (item, answer, expected)
        self.items += items

    async def _send(self, function: Any, items: list[Any], split: int) -> list[Any]:
        coalescer: Coalescer[Any, Any] = Coalescer(self.database, function, flights=1, max_items=split)
        calls = [coalescer.call(self.books.tenant_id, item) for item in items]
        return await asyncio.gather(*calls, return_exceptions=True)

    @rule(wanted=st.lists(POSTINGS, min_size=1, max_size=8), split=SPLITS)
    def post(self, wanted: list[tuple[list[int], int, int, str | None, TransferKind]], split: int) -> None:
        items = []
        for accounts, amount, imbalance, currency, kind in wanted:
            first, *others = [self.ids[number] for number in accounts]
            parts = [(one, -amount) for one in others]
            items.append(
                Posting(
                    new_id(),
                    fresh_key(),
                    legs((first, amount * len(others) + imbalance), *parts),
                    kind,
                    currency,
                )
            )
        self.ask(POST, items, split)

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

    @rule(numbers=st.lists(st.integers(0, 1000), min_size=1, max_size=6), split=SPLITS)
    def reverse(self, numbers: list[int], split: int) -> None:
        known = [*self.model.transfers, new_id()]
        self.ask(REVERSE, [Reversing(new_id(), fresh_key(), known[n % len(known)]) for n in numbers], split)

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

    @rule(number=st.integers(0, len(KINDS) - 1), status=st.sampled_from(["active", "active", "frozen"]))
    def freeze(self, number: int, status: str) -> None:
        account_id = self.ids[number]
        self._change(account_id, status=AccountStatus(status))
        self.model.accounts[account_id].status = status

    @rule(number=st.integers(0, len(KINDS) - 1), lowest=st.one_of(st.none(), st.integers(-50, 50)))
    def move_the_lower_bound(self, number: int, lowest: int | None) -> None:
        account_id = self.ids[number]
        self._change(account_id, min_balance_minor=lowest)
        self.model.accounts[account_id].lowest = lowest

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

    def teardown(self) -> None:
        self.run(self.books.assert_sound())
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


def test_the_database_agrees_with_the_model(runner: asyncio.Runner, database_urls: AllDatabaseUrls) -> None:
    database = Database(database_urls.app, size=2)
    runner.run(database.open())
    try:
        run_state_machine_as_test(
            lambda: Machine(runner, database, database_urls.root),  # type: ignore[arg-type]
            settings=settings(
                max_examples=40,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        runner.run(database.close())
