"""The bank's transactions as ledger transfers over HTTP, one account's never two at a time."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import accumulate, islice
from typing import Any, Final

from florin.cli.replay import berka_file, proof
from florin.cli.replay.berka_file import CURRENCY, Counter, Row
from florin.cli.replay.client import Answer, Api
from florin.cli.replay.errors import ReplayError
from florin.cli.replay.lanes import run_lanes
from florin.cli.replay.report import Check, Tally, money

TRANSFERRED: Final = "transferred"
_PREFIX: Final = "berka:"
_TOLERANCE_MINOR: Final = 100
"""1.00: the bank rounded its running balances to tenths, row by row."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account to have in the ledger."""

    code: str
    name: str
    type: str


def customer_code(account_id: int) -> str:
    """`berka:2378`."""
    return f"{_PREFIX}{account_id}"


def accounts_of(rows: Sequence[Row]) -> list[Account]:
    """The bank's own accounts that the rows touch, then one per customer account."""
    counters: dict[str, Counter] = {row.counter.code: row.counter for row in rows}
    own = [Account(counter.code, counter.name, counter.type) for counter in counters.values()]
    return own + [
        Account(customer_code(account_id), f"Customer account {account_id}", "liability")
        for account_id in berka_file.by_account(rows)
    ]


def transfer(row: Row, ids: dict[str, str]) -> dict[str, Any]:
    """The body of a row's transfer. `ids` are the accounts' ids by code."""
    customer, counter = ids[customer_code(row.account_id)], ids[row.counter.code]
    debit, credit = (counter, customer) if row.signed_minor > 0 else (customer, counter)
    amount = abs(row.signed_minor)
    facts = {
        "trans_id": str(row.trans_id),
        "type": row.type,
        "operation": row.operation,
        "k_symbol": row.k_symbol,
        "counterparty": row.counterparty,
    }
    return {
        "legs": [
            {"account": debit, "direction": "debit", "amount": amount},
            {"account": credit, "direction": "credit", "amount": amount},
        ],
        "description": f"{row.counter.name}, {row.day.isoformat()}",
        "effective_at": f"{row.day.isoformat()}T00:00:00Z",
        "metadata": {name: value for name, value in facts.items() if value},
    }


def idempotency_key(row: Row) -> str:
    """`berka:695247`: the bank's own number of the transaction."""
    return f"{_PREFIX}{row.trans_id}"


def lanes_of(rows: Sequence[Row], count: int) -> list[list[Row]]:
    """The rows in at most `count` lanes: an account keeps to one, in file order, lanes of like length."""
    lanes: list[list[Row]] = [[] for _ in range(count)]
    loads = [0] * count
    lane_of: dict[int, list[Row]] = {}
    accounts = berka_file.by_account(rows)
    for account_id in sorted(accounts, key=lambda account_id: -len(accounts[account_id])):
        shortest = min(range(count), key=loads.__getitem__)
        lane_of[account_id] = lanes[shortest]
        loads[shortest] += len(accounts[account_id])
    for row in rows:
        lane_of[row.account_id].append(row)
    return [lane for lane in lanes if lane]


async def open_accounts(api: Api, accounts: Sequence[Account], concurrency: int) -> dict[str, str]:
    """The ids of these accounts by code; those that are not there are made.

    Raises:
        ReplayError: the API refuses one, or has one of another type or currency.
    """
    found = await proof.accounts(api, _PREFIX)
    for account in accounts:
        there = found.get(account.code)
        if there and (there["type"], there["currency"]) != (account.type, CURRENCY):
            raise ReplayError(
                f"account {account.code} is there already, as {there['type']} in {there['currency']}"
            )
    ids = {code: str(account["id"]) for code, account in found.items()}

    async def create(account: Account) -> None:
        body = {"code": account.code, "name": account.name, "type": account.type, "currency": CURRENCY}
        answer = await api.post("/v1/accounts", body, None)
        if answer.ok:
            ids[account.code] = str(answer.body["id"])
            return
        there = {}
        if answer.status == HTTPStatus.CONFLICT:  # made meanwhile, perhaps by a call without an answer
            there = await proof.accounts(api, account.code)
        if account.code not in there:
            raise ReplayError(f"account {account.code} is refused: {answer.body.get('detail', answer.code)}")
        ids[account.code] = str(there[account.code]["id"])

    missing = iter([account for account in accounts if account.code not in ids])
    await run_lanes([missing] * concurrency, create, api.stop)
    return ids


async def send(
    api: Api,
    rows: Sequence[Row],
    ids: dict[str, str],
    tally: Tally,
    *,
    concurrency: int,
    batch: int,
    advance: Callable[[int], None],
) -> None:
    """Sends every row as a transfer, `batch` of them a request (1: a request each); tells `advance`.

    In batches an answer does not say whether it is an earlier run's.
    """

    async def send_one(row: Row) -> None:
        answer = await api.post("/v1/transfers", transfer(row, ids), idempotency_key(row))
        tally.time(answer)
        _count(tally, row, None if answer.ok else answer.code, replayed=answer.replayed)
        advance(1)

    async def send_batch(some: Sequence[Row]) -> None:
        items = [transfer(row, ids) | {"idempotency_key": idempotency_key(row)} for row in some]
        answer = await api.post("/v1/transfers/batch", {"transfers": items}, None)
        tally.time(answer)
        for row, code in zip(some, _refusals(answer, len(some)), strict=True):
            _count(tally, row, code, replayed=False)
        advance(len(some))

    lanes = lanes_of(rows, concurrency)
    if batch == 1:
        await run_lanes(lanes, send_one, api.stop)
    else:
        await run_lanes([list(_chunks(lane, batch)) for lane in lanes], send_batch, api.stop)


def _count(tally: Tally, row: Row, refusal: str | None, *, replayed: bool) -> None:
    if refusal is None:
        tally.count(TRANSFERRED, abs(row.signed_minor), replayed=replayed)
    else:
        tally.refused[refusal] += 1


def _refusals(answer: Answer, count: int) -> list[str | None]:
    """Per item of a batch: the code it is refused with, or None. Replays are not told apart."""
    if not answer.ok:
        return [answer.code] * count
    return [
        None if item.get("transfer") else str((item.get("problem") or {}).get("code", "refused"))
        for item in answer.body["data"]
    ]


def _chunks(rows: Sequence[Row], size: int) -> Iterator[list[Row]]:
    rest = iter(rows)
    while chunk := list(islice(rest, size)):
        yield chunk


def held_rows(rows: Sequence[Row], sent: int, balance_minor: int | None) -> Sequence[Row]:
    """The rows of one account that its balance stands for: those sent, or the next ones as well.

    More than `sent` only after a longer replay before this one; if no such sum fits: those sent.
    """
    sums = list(accumulate(row.signed_minor for row in rows))
    fitting = (count for count in range(sent, len(rows) + 1) if sums[count - 1] == balance_minor)
    return rows[: next(fitting, sent)]


def expected_balances(rows: Iterable[Row]) -> dict[str, int]:
    """Plain sums by account code, each positive on its account's normal side."""
    sums: dict[str, int] = {}
    for row in rows:
        customer, counter = customer_code(row.account_id), row.counter
        normal = 1 if counter.type in ("asset", "expense") else -1
        sums[customer] = sums.get(customer, 0) + row.signed_minor
        sums[counter.code] = sums.get(counter.code, 0) + normal * row.signed_minor
    return sums


async def prove(api: Api, rows: Sequence[Row], sent: int) -> list[Check]:
    """Compares the ledger with plain sums of the file's first `sent` rows (more: see `held_rows`)."""
    balances = await proof.balances(api, _PREFIX)
    in_file = berka_file.by_account(rows)
    held = {
        account_id: held_rows(in_file[account_id], len(some), balances.get(customer_code(account_id)))
        for account_id, some in berka_file.by_account(rows[:sent]).items()
    }
    expected = expected_balances(row for some in held.values() for row in some)
    equal = sum(balances.get(code) == sum_minor for code, sum_minor in expected.items())
    customers = [customer_code(account_id) for account_id in held]
    by_bank = {
        customer_code(account_id): berka_file.closing_balance_minor(some) for account_id, some in held.items()
    }
    return [
        _check("accounts equal to the sum of their rows", f"{len(expected):,}", f"{equal:,}"),
        _check(
            "customers' money",
            money(sum(expected[code] for code in customers), CURRENCY),
            money(sum(balances.get(code, 0) for code in customers), CURRENCY),
        ),
        _check(
            f"of {len(customers):,} customers, within 1.00 of the bank's own last balance",
            f"{_near(expected, by_bank):,}",
            f"{_near(balances, by_bank):,}",
        ),
        await proof.trial_balance(api, CURRENCY),
    ]


def _near(balances: Mapping[str, int], by_bank: Mapping[str, int]) -> int:
    return sum(
        code in balances and abs(balances[code] - of_bank) <= _TOLERANCE_MINOR
        for code, of_bank in by_bank.items()
    )


def _check(what: str, expected: str, found: str) -> Check:
    return Check(what, expected, found, holds=expected == found)
