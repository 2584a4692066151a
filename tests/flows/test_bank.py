"""The bank test: money moves among few accounts while readers look and everything is killed and cut.

Every operation is written down with when it was asked and when it was answered, and the history is judged
afterwards, as Jepsen does: the total never changes, what was acknowledged is there once, and nobody sees an
account go back in time.
"""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from tests.flows.conftest import Florin

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ACCOUNTS = 5
START = 10_000
CLIENTS, READERS = 12, 4
SECONDS = 8.0


@dataclass(frozen=True)
class Written:
    """A transfer that was acknowledged: for each account, the number of the entry that it made."""

    key: str
    transfer_id: str
    seqs: dict[str, int]
    asked: float
    answered: float


@dataclass(frozen=True)
class Read:
    """Balances and entry numbers of all accounts, seen in one look."""

    balances: dict[str, int]
    seqs: dict[str, int]
    asked: float
    answered: float


@dataclass
class History:
    """What clients asked and heard."""

    written: list[Written] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    refused: int = 0
    outages: int = 0


def judge(history: History, accounts: list[str], total: int) -> None:
    """Fails where the history is not one that a correct ledger can have."""
    for read in history.reads:
        assert sum(read.balances.values()) == total, f"the total changed: {read}"
        assert all(balance >= 0 for balance in read.balances.values()), f"an overdraft was seen: {read}"
    # Whatever was answered before a look began is in it; what a look has shown, later ones show too.
    known: list[tuple[float, dict[str, int]]] = sorted(
        [
            *((one.answered, one.seqs) for one in history.written),
            *((one.answered, one.seqs) for one in history.reads),
        ],
        key=lambda pair: pair[0],
    )
    floor = dict.fromkeys(accounts, 0)
    position = 0
    for read in sorted(history.reads, key=lambda one: one.asked):
        while position < len(known) and known[position][0] < read.asked:
            for account, seq in known[position][1].items():
                floor[account] = max(floor[account], seq)
            position += 1
        for account in accounts:
            assert read.seqs[account] >= floor[account], f"{account} went back in time: {read}"
    # No two transfers claim one place in an account's history.
    places = [(account, seq) for one in history.written for account, seq in one.seqs.items()]
    assert len(places) == len(set(places)), "two transfers have the same entry"


class Bank:
    """Clients and readers of one Florin, until the time is over."""

    def __init__(self, florin: Florin, accounts: list[str]) -> None:
        self.florin, self.accounts = florin, accounts
        self.history = History()
        self.until = time.monotonic() + SECONDS

    async def client(self, session: aiohttp.ClientSession, number: int) -> None:
        chance, turn = random.Random(number), 0
        while time.monotonic() < self.until:
            turn += 1
            key = f"bank-{number}-{turn}"
            debit, credit = chance.sample(self.accounts, 2)
            amount = chance.randint(1, 4000)
            legs = [
                {"account": debit, "direction": "debit", "amount": amount},
                {"account": credit, "direction": "credit", "amount": amount},
            ]
            asked = time.monotonic()
            status, told = await self._until_answered(session, "post", "/v1/transfers", key, {"legs": legs})
            if status == 422:
                assert told["code"] == "insufficient_funds", told
                self.history.refused += 1
                continue
            assert status == 201, told
            seqs = {entry["account"]: entry["seq"] for entry in told["entries"]}
            self.history.written.append(Written(key, told["id"], seqs, asked, time.monotonic()))

    async def reader(self, session: aiohttp.ClientSession) -> None:
        while time.monotonic() < self.until:
            asked = time.monotonic()
            status, told = await self._until_answered(
                session, "get", "/v1/accounts?code_prefix=bank:&limit=50"
            )
            assert status == 200, told
            found = {one["id"]: one for one in told["data"]}
            self.history.reads.append(
                Read(
                    {one: found[one]["balance"] for one in self.accounts},
                    {one: found[one]["entry_seq"] for one in self.accounts},
                    asked,
                    time.monotonic(),
                )
            )
            await asyncio.sleep(0.005)

    async def _until_answered(
        self, session: aiohttp.ClientSession, method: str, path: str, key: str = "", body: Any = None
    ) -> tuple[int, Any]:
        while True:
            try:
                async with session.request(
                    method,
                    f"{self.florin.base}{path}",
                    json=body,
                    headers={"idempotency-key": key} if key else {},
                ) as answer:
                    if answer.status not in (409, 429, 503):
                        return answer.status, await answer.json()
            except (aiohttp.ClientError, TimeoutError):
                pass
            self.history.outages += 1
            await asyncio.sleep(0.05)

    async def trouble(self, kinds: list[Callable[[], None]]) -> None:
        """Something breaks every second."""
        chance = random.Random(7)
        while time.monotonic() < self.until - 1:
            await asyncio.sleep(1)
            await asyncio.to_thread(chance.choice(kinds))


async def test_the_bank_holds_through_kills_and_cuts(florin: Florin) -> None:
    headers = {"authorization": f"Bearer {florin.key}"}
    timeout = aiohttp.ClientTimeout(total=30)

    def kill_database() -> None:
        florin.postmaster().kill()

    def kill_api() -> None:
        for child in florin.children("serve")[:1]:
            child.kill()

    def cut_connections() -> None:
        try:
            with florin.connect() as root:
                root.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'florin'"
                )
        except Exception as error:  # noqa: BLE001 - the database may be down just now: that is trouble enough
            assert "connect" in str(error).lower() or "terminat" in str(error).lower(), error

    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        accounts = await _open(session, florin)
        bank = Bank(florin, accounts)
        await asyncio.gather(
            *(bank.client(session, number) for number in range(CLIENTS)),
            *(bank.reader(session) for _ in range(READERS)),
            bank.trouble([kill_database, kill_api, cut_connections, cut_connections]),
        )
        history = bank.history
        assert len(history.written) > 200, "too little happened to judge"
        assert len(history.reads) > 50, "too little was seen to judge"
        assert history.refused > 0, "no client ever met the overdraft rule"
        judge(history, accounts, ACCOUNTS * START)
        await _everything_acknowledged_is_there(florin, history)


async def _open(session: aiohttp.ClientSession, florin: Florin) -> list[str]:
    opened = []
    for number in range(ACCOUNTS + 1):
        source = number == ACCOUNTS
        body = {
            "code": "source:bank" if source else f"bank:{number}",
            "name": "Bank test",
            "type": "asset",
            "currency": "USD",
            "min_balance": None if source else 0,
        }
        async with session.post(f"{florin.base}/v1/accounts", json=body) as answer:
            assert answer.status == 201, await answer.text()
            opened.append((await answer.json())["id"])
    *accounts, source = opened
    for number, account in enumerate(accounts):
        legs = [
            {"account": account, "direction": "debit", "amount": START},
            {"account": source, "direction": "credit", "amount": START},
        ]
        async with session.post(
            f"{florin.base}/v1/transfers", json={"legs": legs}, headers={"idempotency-key": f"start-{number}"}
        ) as answer:
            assert answer.status == 201, await answer.text()
    return accounts


async def _everything_acknowledged_is_there(florin: Florin, history: History) -> None:
    with florin.connect() as root:
        rows = root.execute(
            "SELECT a.code, e.seq, e.amount, e.balance_after, e.recorded_at FROM ledger.entries e"
            " JOIN ledger.accounts a ON a.tenant_id = e.tenant_id AND a.id = e.account_id"
            " WHERE a.code LIKE 'bank:%' ORDER BY a.code, e.seq"
        ).fetchall()
        transfers = root.execute(
            "SELECT count(DISTINCT e.transfer_id) FROM ledger.entries e"
            " JOIN ledger.accounts a ON a.tenant_id = e.tenant_id AND a.id = e.account_id"
            " WHERE a.code LIKE 'bank:%'"
        ).fetchone()
    # Every request was repeated until it was answered: what exists is what was acknowledged, and no more.
    assert transfers == (len(history.written) + ACCOUNTS,)
    assert len({one.transfer_id for one in history.written}) == len(history.written)
    last: dict[Any, tuple[Any, ...]] = {}
    for code, seq, amount, after, recorded_at in rows:
        before = last.get(code, (0, 0, recorded_at))
        assert (seq, after) == (before[0] + 1, before[1] + amount), f"{code} breaks at {seq}"
        assert recorded_at >= before[2], f"{code} goes back in time at {seq}"
        last[code] = (seq, after, recorded_at)


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        (Read({"a": 5, "b": 6}, {"a": 2, "b": 2}, 5, 6), "total changed"),
        (Read({"a": -1, "b": 11}, {"a": 2, "b": 2}, 5, 6), "overdraft"),
        (Read({"a": 5, "b": 5}, {"a": 1, "b": 2}, 5, 6), "back in time"),
    ],
)
def test_the_judge_finds_a_history_that_cannot_be(fault: Read, what: str) -> None:
    history = History(written=[Written("k", "tr", {"a": 2, "b": 2}, 1, 2)])
    judge(history, ["a", "b"], 10)
    history.reads.append(fault)
    with pytest.raises(AssertionError, match=what):
        judge(history, ["a", "b"], 10)
