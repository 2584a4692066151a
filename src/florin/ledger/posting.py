"""The ledger's array functions: how their items are encoded, and what is read from their rows.

The hot path of the whole system: array literals instead of adapted objects, one pass over the items.
"""

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Protocol
from uuid import UUID

import orjson
from psycopg.rows import TupleRow

from florin.kernel.coalescer import ArrayFunction, array
from florin.kernel.errors import Refusal
from florin.kernel.idempotency import Idempotency
from florin.ledger.errors import FUNDS, REFUSALS
from florin.ledger.model import (
    NOWHERE,
    AccountType,
    Balance,
    Leg,
    Metadata,
    Origin,
    Posted,
    Posting,
    Recorded,
    Reversing,
    Settlement,
)

_INT = attrgetter("int")
_ORIGIN = ("correlation_id", "causation_id", "template", "exchange")


class _Described(Protocol):
    @property
    def description(self) -> str | None: ...
    @property
    def metadata(self) -> Metadata | None: ...
    @property
    def origin(self) -> Origin: ...


def details(items: Sequence[_Described]) -> str | None:
    """What is said beside the items, as a JSON array; None where nothing is."""
    if all(item.description is None and not item.metadata and item.origin is NOWHERE for item in items):
        return None
    return orjson.dumps([detail(item) for item in items]).decode()


def detail(item: _Described) -> dict[str, Any] | None:
    """What is said beside one item; None: nothing."""
    said: dict[str, Any] = {}
    if item.description is not None:
        said["description"] = item.description
    if item.metadata:
        said["metadata"] = item.metadata
    if item.origin is not NOWHERE:
        for name in _ORIGIN:
            value = getattr(item.origin, name)
            if value is not None:
                said[name] = value
    return said or None


def _times(items: Sequence[datetime | None]) -> str | None:
    if all(item is None for item in items):
        return None
    return array([None if item is None else item.isoformat() for item in items])


def _keys(given: Sequence[Idempotency | None]) -> tuple[str, str]:
    return (
        array([None if key is None else key.slot for key in given]),
        array([None if key is None else key.digest for key in given]),
    )


def refusal(code: str, account_id: UUID | None, legs: Sequence[Leg]) -> Refusal:
    """The refusal with this code; `param` names the leg whose account caused it."""
    kind = REFUSALS[code]
    for index, leg in enumerate(legs):
        if leg.account_id == account_id:
            return kind(param=f"legs[{index}].{'amount' if code in FUNDS else 'account'}")
    return kind()


def encode_postings(items: Sequence[Posting], sets: str | None = None) -> tuple[Any, ...]:
    """The parameters of `ledger.post` after the tenant; `sets`: an array literal of each item's set."""
    accounts = sorted({leg[0] for item in items for leg in item.legs}, key=_INT)
    position = {account: at for at, account in enumerate(accounts, 1)}
    leg_items: list[int] = []
    leg_accounts: list[int] = []
    leg_amounts: list[int] = []
    for number, item in enumerate(items, 1):
        for account_id, amount_minor in item.legs:
            leg_items.append(number)
            leg_accounts.append(position[account_id])
            leg_amounts.append(amount_minor)
    return (
        array([item.id for item in items]),
        *_keys([item.idempotency for item in items]),
        array([item.kind for item in items]),
        array([item.currency for item in items]),
        _times([item.effective_at for item in items]),
        array([None if item.expires_at is None else item.expires_at.isoformat() for item in items]),
        sets,
        details(items),
        array(accounts),
        array(leg_items),
        array(leg_accounts),
        array(leg_amounts),
    )


def decode_postings(items: Sequence[Posting], rows: list[TupleRow]) -> list[Posted | Exception]:
    """One answer per item, of the rows of `ledger.post`."""
    answers: list[Any] = [None] * len(items)
    for item, code, account_id, *posted in rows:
        answers[item - 1] = (
            Posted(*posted) if code is None else refusal(code, account_id, items[item - 1].legs)
        )
    return answers


POST: ArrayFunction[Posting, Posted] = ArrayFunction(
    """SELECT item, refusal, refused_account, transfer_id, replayed, recorded_at, entry_seqs,
              balances_before, balances, currencies
       FROM ledger.post(%s, %s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::text[],
                        %s::timestamptz[], %s::timestamptz[], %s::integer[], %s::jsonb,
                        %s::uuid[], %s::integer[], %s::integer[], %s::bigint[])""",
    encode_postings,
    decode_postings,
)
"""Posts transfers and places holds."""


def _encode_settlements(items: Sequence[Settlement]) -> tuple[Any, ...]:
    return (
        array([item.id for item in items]),
        *_keys([item.idempotency for item in items]),
        array([item.hold_id for item in items]),
        array([item.action for item in items]),
        array([item.amount_minor for item in items]),
        details(items),
        *_part_legs(items),
    )


def _part_legs(items: Sequence[Settlement | Reversing]) -> tuple[str, str, str]:
    legs = [(number, leg) for number, item in enumerate(items, 1) for leg in item.legs]
    return (
        array([number for number, _ in legs]),
        array([leg.account_id for _, leg in legs]),
        array([leg.amount_minor for _, leg in legs]),
    )


def _decode_settlements(items: Sequence[Settlement], rows: list[TupleRow]) -> list[Recorded | Exception]:
    answers: list[Any] = [None] * len(items)
    for item, code, account_id, transfer_id, replayed in rows:
        answers[item - 1] = (
            Recorded(transfer_id, replayed)
            if code is None
            else refusal(code, account_id, items[item - 1].legs)
        )
    return answers


SETTLE: ArrayFunction[Settlement, Recorded] = ArrayFunction(
    """SELECT item, refusal, refused_account, transfer_id, replayed
       FROM ledger.settle_holds(%s, %s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::bigint[],
                                %s::jsonb, %s::integer[], %s::uuid[], %s::bigint[])""",
    _encode_settlements,
    _decode_settlements,
)
"""Posts, voids and expires holds."""


def _encode_reversals(items: Sequence[Reversing]) -> tuple[Any, ...]:
    return (
        array([item.id for item in items]),
        *_keys([item.idempotency for item in items]),
        array([item.transfer_id for item in items]),
        _times([item.effective_at for item in items]),
        array([item.amount_minor for item in items]),
        details(items),
        *_part_legs(items),
    )


def _decode_reversals(items: Sequence[Reversing], rows: list[TupleRow]) -> list[Recorded | Exception]:
    answers: list[Any] = [None] * len(items)
    for item, code, account_id, transfer_id, replayed in rows:
        answers[item - 1] = (
            Recorded(transfer_id, replayed)
            if code is None
            else refusal(code, account_id, items[item - 1].legs)
        )
    return answers


REVERSE: ArrayFunction[Reversing, Recorded] = ArrayFunction(
    """SELECT item, refusal, refused_account, transfer_id, replayed
       FROM ledger.reverse(%s, %s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::timestamptz[],
                           %s::bigint[], %s::jsonb, %s::integer[], %s::uuid[], %s::bigint[])""",
    _encode_reversals,
    _decode_reversals,
)
"""Reverses transfers."""


def _encode_balances(items: Sequence[UUID]) -> tuple[Any, ...]:
    return (array(items),)


def _decode_balances(items: Sequence[UUID], rows: list[TupleRow]) -> list[Balance | Exception]:
    found = {row[0]: Balance(row[0], AccountType(row[1]), *row[2:]) for row in rows}
    return [found.get(item) or REFUSALS["account_not_found"]() for item in items]


BALANCES: ArrayFunction[UUID, Balance] = ArrayFunction(
    """SELECT id, type, currency, balance, pending_debits, pending_credits, entry_seq
       FROM ledger.accounts WHERE tenant_id = %s AND id = ANY (%s::uuid[])""",
    _encode_balances,
    _decode_balances,
)
"""Reads balances: callers of one moment share one query."""
