"""A chunk of rows, made ready for the database: what goes in one by one, what all at once, what not at all.

Most rows touch accounts on which nothing can be refused, whatever the order. Those are laid out here as the
entries that they will be, account by account with running sums; the database only adds where each account
stands. Rows of delicate accounts go through `ledger.post`, in the file's order. No I/O.

A careful plan also takes accounts with bounds for delicate. Plain ones may be shared by both ways: on them
nothing is refused, so what is on them in the end does not depend on the order.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from florin.kernel.ids import new_id
from florin.ledger.bulk.fields import Misread, amount_minor, check_text, copied, instant, metadata
from florin.ledger.bulk.files import Row, Rows
from florin.ledger.bulk.model import ImportKind, KnownAccount, RowError
from florin.ledger.model import NOWHERE, Leg, Origin, Posting

OPENING_PREFIX: Final = "opening:"
MAX_LEGS: Final = 100
_PAIR: Final = ("debit_account", "credit_account")
_NO_DETAILS: Final = [""] * 5


class Gain:
    """What one account gains in a chunk."""

    __slots__ = ("account", "currency", "dated", "legs", "one_by_one", "position")

    def __init__(self, account: KnownAccount, position: int, *, one_by_one: bool) -> None:
        self.account = account
        self.currency = account.currency
        self.position = position
        self.one_by_one = one_by_one
        self.legs: list[tuple[int, int, str]] = []  # item, amount, effective_at as COPY reads it
        self.dated = False


class SlowRow(NamedTuple):
    """What goes through `ledger.post`, and the rows that it stands for."""

    rows: range
    posting: Posting
    fields: tuple[str, ...]
    """Per leg, the field that names its account."""


@dataclass(slots=True)
class Plan:
    """A chunk, ready to be written."""

    rows: range
    careful: bool
    items: int = 0
    transfers: list[str] = field(default_factory=list)
    """Lines for COPY into import_transfers."""

    gains: dict[str, Gain] = field(default_factory=dict)
    slow: list[SlowRow] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)
    earliest: datetime | None = None


class Details(NamedTuple):
    """When a transfer counts and what is said of it."""

    effective_at: datetime | None = None
    description: str = ""
    correlation_id: str = ""
    causation_id: str = ""
    metadata: dict[str, Any] | None = None

    def line(self) -> str:
        """The last four fields of a line for COPY."""
        texts = (self.description, None, self.correlation_id, self.causation_id)
        fields = [copied(text) if text else "\\N" for text in texts]
        if self.metadata:
            fields[1] = copied(orjson.dumps(self.metadata).decode())
        return "\t".join(fields)


_SAID_NOTHING: Final = (Details(), Details().line())


class Planner:
    """Makes plans of one import's chunks."""

    def __init__(
        self, kind: ImportKind, book: Mapping[str, KnownAccount], closed_before: datetime | None
    ) -> None:
        """`book`: every account that the rows name, where there is one, and the opening accounts."""
        self._book = book
        self._closed_before = closed_before
        self._times: dict[str, datetime] = {}
        self._fill: Callable[[Plan, Rows], None] = (
            self._transfers if kind is ImportKind.TRANSFERS else self._balances
        )

    def plan(self, rows: Rows, *, careful: bool) -> Plan:
        """The plan of these rows; `careful`: bounds are in the way."""
        plan = Plan(range(rows.first, rows.first + len(rows.rows)), careful)
        self._fill(plan, rows)
        return plan

    def _gain(self, plan: Plan, code: str, column: str) -> Gain:
        gain = plan.gains.get(code)
        if gain is None:
            account = self._book.get(code)
            if account is None:
                if not code:
                    raise Misread(column, "field_missing", f"{column} is empty")
                raise Misread(column, "account_not_found", f"there is no account {code[:120]!r}")
            gain = plan.gains[code] = Gain(
                account,
                len(plan.gains) + 1,
                one_by_one=account.delicate or (plan.careful and account.bounded),
            )
        return gain

    def _effective(self, plan: Plan, text: str) -> datetime:
        at = self._times.get(text)
        if at is None:
            if len(self._times) > 100_000:  # noqa: PLR2004 - days repeat, microseconds do not
                self._times.clear()
            at = self._times[text] = instant("effective_at", text)
        if self._closed_before is not None and at < self._closed_before:
            raise Misread("effective_at", "period_closed", "the books are closed for this time")
        if plan.earliest is None or at < plan.earliest:
            plan.earliest = at
        return at

    def _transfers(self, plan: Plan, rows: Rows) -> None:
        number = rows.first
        for row in rows.rows:
            if row[0] or len(row) == 1:
                break
            try:
                self._pair(plan, number, row)
            except Misread as error:
                plan.errors += _refused(range(number, number + 1), number, error)
            number += 1
        else:
            return
        for key, group in _groups(rows.rows[number - rows.first :]):
            try:
                if len(group) == 1 and (not key or (group[0][1] and group[0][2])):
                    self._pair(plan, number, group[0])
                else:
                    self._group(plan, number, group)
            except Misread as error:
                plan.errors += _refused(range(number, number + len(group)), number, error)
            number += len(group)

    def _pair(self, plan: Plan, number: int, row: Row) -> None:
        """A row that is a transfer: the hot path of an import."""
        if len(row) == 1:
            raise _misshapen()
        _, debit_code, credit_code, amount_text, currency, effective_text, *rest = row
        gains = plan.gains
        debit = gains.get(debit_code) or self._gain(plan, debit_code, "debit_account")
        credit = gains.get(credit_code) or self._gain(plan, credit_code, "credit_account")
        amount = amount_minor(amount_text)
        if debit is credit:
            raise Misread("credit_account", "account_repeated", "both sides are the same account")
        if (currency and currency != debit.currency) or credit.currency != debit.currency:
            raise _other_currency(debit, credit, currency)
        details, said = _SAID_NOTHING
        if rest != _NO_DETAILS:
            details = _details(*rest)
            said = details.line()
        at = self._effective(plan, effective_text) if effective_text else None
        if debit.one_by_one or credit.one_by_one:
            legs = (Leg(debit.account.id, amount), Leg(credit.account.id, -amount))
            posting = _posting(legs, details._replace(effective_at=at))
            plan.slow.append(SlowRow(range(number, number + 1), posting, _PAIR))
            return
        plan.items = item = plan.items + 1
        effective = "\\N"
        if at is not None:
            effective = at.isoformat()
            debit.dated = credit.dated = True
        debit_legs, credit_legs = debit.legs, credit.legs
        debit_legs.append((item, amount, effective))
        credit_legs.append((item, -amount, effective))
        plan.transfers.append(
            f"{item}\t{{{debit.position},{credit.position}}}\t{{{amount},-{amount}}}\t"
            f"{{{len(debit_legs)},{len(credit_legs)}}}\t{effective}\t{said}\n"
        )

    def _group(self, plan: Plan, first: int, group: Sequence[Row]) -> None:
        """Rows that are one transfer. What several of them move on one account is added up."""
        moved: dict[str, int] = {}
        columns: dict[str, str] = {}
        details = Details()
        for number, row in enumerate(group, first):
            try:
                said = self._row_of_group(plan, row, moved, columns)
                details = said if number == first else _agreed(details, said)
            except Misread as error:
                error.row = number
                raise
        legs = [(plan.gains[code], amount) for code, amount in moved.items()]
        _check_legs([(gain.currency, amount) for gain, amount in legs])
        self._add(plan, range(first, first + len(group)), legs, details, tuple(columns.values()))

    def _row_of_group(self, plan: Plan, row: Row, moved: dict[str, int], columns: dict[str, str]) -> Details:
        if len(row) == 1:
            raise _misshapen()
        _, debit, credit, amount_text, currency, effective_text, *rest = row
        amount = amount_minor(amount_text)
        if not debit and not credit:
            raise Misread("debit_account", "field_missing", "the row names no account")
        for code, signed, column in zip((debit, credit), (amount, -amount), _PAIR, strict=True):
            if code:
                gain = self._gain(plan, code, column)
                if currency and currency != gain.currency:
                    raise _wrong_currency(column, gain, currency)
                moved[code] = moved.get(code, 0) + signed
                columns.setdefault(code, column)
        at = self._effective(plan, effective_text) if effective_text else None
        return _details(*rest)._replace(effective_at=at)

    def _balances(self, plan: Plan, rows: Rows) -> None:
        for number, row in enumerate(rows.rows, rows.first):
            try:
                self._balance(plan, number, row)
            except Misread as error:
                plan.errors += _refused(range(number, number + 1), number, error)

    def _balance(self, plan: Plan, number: int, row: Row) -> None:
        """An opening balance comes from the equity account of its currency; one of 0 is there already."""
        if len(row) == 1:
            raise _misshapen()
        code, amount_text, currency, effective_text, description = row
        gain = self._gain(plan, code, "code")
        amount = amount_minor(amount_text, signed=True) * gain.account.sign
        if currency and currency != gain.currency:
            raise _wrong_currency("code", gain, currency)
        check_text("description", description)
        at = self._effective(plan, effective_text) if effective_text else None
        opening_code = OPENING_PREFIX + gain.currency
        if amount and code == opening_code:
            raise Misread("code", "account_repeated", "opening balances come from this very account")
        if amount:
            legs = [(gain, amount), (self._gain(plan, opening_code, "code"), -amount)]
            details = Details(at, description or "Opening balance")
            self._add(plan, range(number, number + 1), legs, details, ("code", "code"))

    def _add(
        self, plan: Plan, rows: range, legs: list[tuple[Gain, int]], details: Details, fields: tuple[str, ...]
    ) -> None:
        if any(gain.one_by_one for gain, _ in legs):
            posted = tuple(Leg(gain.account.id, amount) for gain, amount in legs)
            plan.slow.append(SlowRow(rows, _posting(posted, details), fields))
            return
        plan.items = item = plan.items + 1
        effective = "\\N" if details.effective_at is None else details.effective_at.isoformat()
        for gain, amount in legs:
            gain.legs.append((item, amount, effective))
            gain.dated |= details.effective_at is not None
        lists = (
            [gain.position for gain, _ in legs],
            [amount for _, amount in legs],
            [len(gain.legs) for gain, _ in legs],
        )
        arrays = "\t".join("{" + ",".join(map(str, values)) + "}" for values in lists)
        plan.transfers.append(f"{item}\t{arrays}\t{effective}\t{details.line()}\n")


MOST_MINOR: Final = 2_000_000_000_000_000_000
"""What a chunk may move on one account all at once: added to any balance it still fits a bigint."""


class Staged(NamedTuple):
    """A plan's legs as lines for COPY into import_legs, account by account, and what they come to.

    The arrays have an element per account, in the order of `Gain.position`.
    """

    lines: list[str]
    accounts: list[UUID]
    counts: list[int]
    totals: list[int]
    lows: list[int]
    highs: list[int]
    dated: list[bool]

    @property
    def beyond(self) -> list[UUID]:
        """Accounts on which the chunk moves more than can be added up in the database."""
        return [
            account_id
            for account_id, low, high in zip(self.accounts, self.lows, self.highs, strict=True)
            if low < -MOST_MINOR or high > MOST_MINOR
        ]


def staged(plan: Plan) -> Staged:
    """The legs in the order of the index that they go into, with running sums per account."""
    size = len(plan.gains)
    accounts = [gain.account.id for gain in plan.gains.values()]
    result = Staged([], accounts, [0] * size, [0] * size, [0] * size, [0] * size, [False] * size)
    lines = result.lines
    for gain in sorted(plan.gains.values(), key=lambda one: one.account.id.int):
        position, sign = gain.position, gain.account.sign
        moved = low = high = number = 0
        for number, (item, amount, effective) in enumerate(gain.legs, 1):
            moved += sign * amount
            if moved < low:
                low = moved
            elif moved > high:
                high = moved
            lines.append(f"{item}\t{position}\t{number}\t{amount}\t{moved}\t{effective}\n")
        at = position - 1
        result.counts[at], result.totals[at], result.dated[at] = number, moved, gain.dated
        result.lows[at], result.highs[at] = low, high
    return result


def _groups(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Rows with the same transfer; those without one stand alone."""
    for key, same in groupby(rows, key=itemgetter(0)):
        if key:
            yield key, list(same)
        else:
            for row in same:
                yield "", [row]


def _misshapen() -> Misread:
    return Misread(None, "row_malformed", "the row has another number of fields than the header")


def _check_legs(legs: Sequence[tuple[str, int]]) -> None:
    if not 2 <= len(legs) <= MAX_LEGS:  # noqa: PLR2004 - a transfer's least
        raise Misread(None, "too_few_legs", f"{len(legs)} accounts; a transfer has 2 to {MAX_LEGS}")
    if any(amount == 0 for _, amount in legs):
        raise Misread("amount", "amount_out_of_range", "on one of the accounts the rows come to nothing")
    totals: dict[str, int] = {}
    for currency, amount in legs:
        totals[currency] = totals.get(currency, 0) + amount
    for currency, total in totals.items():
        if total:
            raise Misread("amount", "unbalanced", f"debits exceed credits by {total} {currency}")


def _agreed(details: Details, said: Details) -> Details:
    """What the rows of one transfer say of it: the same, or nothing."""
    values: list[Any] = []
    for name, before, now in zip(Details._fields, details, said, strict=True):
        if before and now and before != now:
            raise Misread(name, "field_malformed", f"the rows of one transfer differ in {name}")
        values.append(before or now)
    return Details(*values)


def _details(description: str, correlation_id: str, causation_id: str, reference: str, notes: str) -> Details:
    for name, text in (
        ("description", description),
        ("correlation_id", correlation_id),
        ("causation_id", causation_id),
        ("reference", reference),
    ):
        if text:
            check_text(name, text)
    found = metadata(notes) if notes else {}
    if reference:
        found["reference"] = reference
    return Details(None, description, correlation_id, causation_id, found or None)


def _posting(legs: tuple[Leg, ...], details: Details) -> Posting:
    origin = (
        Origin(details.correlation_id or None, details.causation_id or None)
        if details.correlation_id or details.causation_id
        else NOWHERE
    )
    return Posting(
        id=new_id(),
        idempotency=None,
        legs=legs,
        description=details.description or None,
        metadata=details.metadata,
        effective_at=details.effective_at,
        origin=origin,
    )


def _other_currency(debit: Gain, credit: Gain, currency: str) -> Misread:
    if currency and currency != debit.currency:
        return _wrong_currency("debit_account", debit, currency)
    return _wrong_currency("credit_account", credit, debit.currency)


def _wrong_currency(column: str, gain: Gain, currency: str) -> Misread:
    return Misread(column, "currency_mismatch", f"the account has {gain.currency}, not {currency[:10]!r}")


def _refused(rows: range, at: int, error: Misread) -> Iterator[RowError]:
    culprit = error.row or at
    for number in rows:
        if number == culprit:
            yield RowError(number, error.field, error.code, error.message)
        else:
            yield RowError(
                number, None, "transfer_refused", f"row {culprit} of the same transfer was refused"
            )
