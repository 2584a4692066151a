"""A scripted life of one tenant that meets every rule of the ledger at least once, from both sides of it."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from florin.kernel.db import Database
from florin.ledger.model import TransferKind
from tests.conftest import AllDatabaseUrls
from tests.ledger.test_state_machine import NOBODY, Machine, Wanted

HOLD = TransferKind.HOLD


def wanted(
    accounts: list[int],
    amount: int,
    imbalance: int = 0,
    currency: str | None = None,
    kind: TransferKind = TransferKind.TRANSFER,
    year: int | None = None,
) -> Wanted:
    """A transfer as the machine draws them: the first account is debited, the others credited."""
    at = None if year is None else datetime(year, 6, 30, 12, tzinfo=UTC)
    return accounts, amount, imbalance, currency, kind, at


class Script:
    """The chapters, in order; database and model are compared after every step."""

    def __init__(self, machine: Machine, *, shared: bool) -> None:
        self.machine, self.shared = machine, shared

    def play(self) -> None:
        """All of it; raises where database and model disagree."""
        self.bounds_and_rules()
        self.moved_bounds()
        self.holds()
        self.sets()
        self.shared_limit()
        self.reversals()
        self.closed_period()
        self.machine.teardown()

    def post(self, *items: Wanted) -> None:
        for split in (1000, 1):
            self.machine.post(list(items), split)
            self.machine.balances_agree()

    def post_set(self, *items: Wanted) -> None:
        self.machine.post_sets([list(items), [wanted([0, 3], 1)]], 1000)
        self.machine.balances_agree()

    def newest(self, kind: TransferKind) -> int:
        transfers = self.machine.model.transfers.values()
        return [number for number, (its, _) in enumerate(transfers) if its is kind][-1]

    def bounds_and_rules(self) -> None:
        """Accounts 0 to 3 are dollars, 4 and 5 euros; 1 and 2 begin with 30 each, and 2 may have 60."""
        self.machine.begin(
            self.shared,
            [(0, "balance", "above", 61), (1, "available", "below", 25), (2, "balance", "above", 40)],
        )
        self.machine.balances_agree()
        self.post(wanted([1, 0], 31), wanted([1, 0], 5), wanted([0, 1], 5))
        self.post(wanted([0, 2], 31), wanted([0, 2], 1), wanted([2, 0], 1))
        self.post(wanted([5, 4], 31), wanted([4, 5], 51), wanted([4, 5], 50), wanted([5, 4], 50))
        self.post(wanted([0, 2], 12, kind=HOLD), wanted([0, 2], 15), wanted([0, 2], 3), wanted([2, 0], 3))
        self.post(wanted([1, 0], 12, kind=HOLD), wanted([1, 0], 15), wanted([1, 0], 1), wanted([0, 1], 1))
        self.post(
            wanted([4, 5], 25, kind=HOLD),
            wanted([4, 5], 30),
            wanted([5, 4], 15, kind=HOLD),
            wanted([5, 4], 18),
        )
        self.post(wanted([0, 1], 4, currency="EUR"), wanted([0, 1], 4, currency="USD"), wanted([1, 0], 4))
        self.post(
            wanted([0, 1], 4, 1), wanted([0, 1], 4, 1, kind=HOLD), wanted([0, 5], 4), wanted([0, NOBODY], 4)
        )
        self.post(
            wanted([0, 1], 10**15 + 1),
            wanted([0, 1, 2], 31),
            wanted([0, 1, 2], 31, kind=HOLD),
            wanted([0, 3], 2),
        )
        for kind in (TransferKind.TRANSFER, HOLD):  # what is refused at its last leg leaves nothing
            self.post(
                wanted([1, 0, NOBODY], 2, kind=kind), wanted([0, 1, NOBODY], 2, kind=kind), wanted([3, 0], 1)
            )

    def moved_bounds(self) -> None:
        """Bounds stop what moves towards them, and nothing else."""
        self.machine.move_the_lower_bound(1, 50)
        self.machine.move_the_upper_bound(2, 10)
        self.post(wanted([0, 1], 2), wanted([1, 0], 1), wanted([2, 0], 2), wanted([0, 2], 1))
        self.machine.move_the_lower_bound(1, 0)
        self.machine.move_the_upper_bound(2, 60)

    def holds(self) -> None:
        """Holds: too much, in part, what is left, too late; and out of a frozen account."""
        self.machine.settle(
            [
                (number, how, 40)
                for number in range(len(self.machine.model.holds))
                for how in ("amount", "legs")
            ],
            1000,
        )
        self.machine.settle(
            [(0, "amount", 3), (0, "amount", 10), (0, "legs", 2), (0, "all", 0), (0, "all", 0)], 1000
        )
        self.machine.balances_agree()
        self.machine.freeze(1, "frozen")
        self.post(wanted([0, 1], 1), wanted([0, 1], 1, kind=HOLD))
        self.machine.settle([(2, "amount", 1), (2, "void", 0), (2, "void", 0), (3, "void", 0)], 1000)
        self.machine.balances_agree()
        self.machine.freeze(1, "active")
        self.machine.settle([(number, "void", 0) for number in range(len(self.machine.model.holds))], 3)
        self.machine.balances_agree()

    def sets(self) -> None:
        """Sets: both or neither, and bounds are asked of what all of them leave."""
        self.post_set(wanted([1, 0], 50), wanted([0, 1], 40))
        self.post_set(wanted([1, 0], 50), wanted([0, 1], 2))
        self.post_set(wanted([0, 1], 3), wanted([0, NOBODY], 1), wanted([0, 1], 10**15 + 1))
        self.post_set(wanted([0, 1], 3, kind=HOLD), wanted([1, 0], 60, kind=HOLD))
        self.post_set(wanted([0, 2], 20), wanted([2, 0], 20))
        self.post_set(wanted([0, 2], 9), wanted([0, 1], 3, 1))

    def shared_limit(self) -> None:
        """Together 1 and 2 may have 70 and no less than -5."""
        self.machine.move_the_lower_bound(1, -50)
        self.machine.move_the_lower_bound(2, -50)
        self.machine.move_the_upper_bound(2, None)
        self.post(
            wanted([0, 1], 25), wanted([1, 2], 5), wanted([2, 1], 5), wanted([0, 1], 2), wanted([1, 0], 2)
        )
        self.post(wanted([1, 0], 50, kind=HOLD), wanted([2, 0], 40), wanted([2, 0], 20), wanted([0, 2], 20))
        self.post(wanted([0, 1, 2], 30), wanted([0, 1, 2], 30, kind=HOLD), wanted([0, 2], 1))
        self.post_set(wanted([2, 0], 40), wanted([1, 0], 20), wanted([2, 0], 9))
        self.post_set(wanted([2, 0], 60), wanted([0, 2], 55))
        self.machine.settle([(number, "void", 0) for number in range(len(self.machine.model.holds))], 1000)
        self.machine.balances_agree()

    def reversals(self) -> None:
        """Reversals: no amount twice. Corrections: judged by what both leave."""
        self.post(wanted([0, 1], 9))
        number = self.newest(TransferKind.TRANSFER)
        self.machine.reverse([(number, how, amount, None) for how, amount in (
            ("amount", 4), ("amount", 6), ("legs", 6), ("legs", 2), ("amount", 0))], 1000)  # fmt: skip
        self.machine.correct(number, [0, 1], 5, 0, None)
        self.machine.reverse(
            [(number, "all", 0, None), (self.newest(TransferKind.REVERSAL), "all", 0, None)], 1000
        )
        self.machine.balances_agree()
        self.post(wanted([0, 1], 9))
        number = self.newest(TransferKind.TRANSFER)
        left = self.machine.model.accounts[self.machine.ids[1]].balance
        self.machine.move_the_lower_bound(1, left - 4)
        self.machine.reverse([(number, "all", 0, None)], 1)
        self.machine.correct(number, [0, 1], 7, 0, None)
        self.machine.correct(self.newest(TransferKind.REPOST), [0, 1], 1, 0, None)
        self.machine.correct(self.newest(TransferKind.REPOST), [0, NOBODY], 7, 0, None)
        self.machine.balances_agree()

    def closed_period(self) -> None:
        """A period that is closed stays as it is."""
        self.machine.close_a_period(2022)
        then, since = (datetime(year, 6, 30, tzinfo=UTC) for year in (2021, 2023))
        self.post(
            wanted([0, 3], 2, year=2021),
            wanted([0, 3], 2, year=2023),
            wanted([0, 3], 2, kind=HOLD, year=2019),
        )
        self.post_set(wanted([0, 3], 2, year=2021), wanted([0, 3], 2))
        self.post(wanted([0, 3], 2))
        number = self.newest(TransferKind.TRANSFER)
        self.machine.reverse([(number, "amount", 1, then), (number, "amount", 1, since)], 1000)
        self.machine.correct(number, [0, 3], 3, 0, then)
        self.machine.correct(number, [0, 3], 3, 0, since)
        self.machine.balances_agree()
        for number in range(len(self.machine.items)):
            self.machine.repeat(number, number % 2 == 0)
        self.machine.balances_agree()


def play_both(runner: asyncio.Runner, urls: AllDatabaseUrls) -> None:
    """The script with and without a shared limit; raises where database and model disagree."""
    database = Database(urls.app, size=2)
    runner.run(database.open())
    try:
        for shared in (False, True):
            machine = Machine(runner, database, urls.root)
            try:
                Script(machine, shared=shared).play()
            finally:
                machine.connection.close()
    finally:
        runner.run(database.close())


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


def test_the_database_follows_the_script(runner: asyncio.Runner, database_urls: AllDatabaseUrls) -> None:
    play_both(runner, database_urls)
