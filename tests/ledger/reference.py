"""The ledger as plain Python: the model that the database is compared with.

One item after the other on dictionaries, with a copy to go back to. Nothing here is fast or clever.
"""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from florin.ledger.model import Correcting, HoldAction, Leg, Posting, Reversing, Settlement, TransferKind

LIMIT = 4 * 10**18


@dataclass
class Pool:
    """What bounds look at: an account's balance and holds, or the sums of those that share a limit."""

    sign: int
    """1 where debits raise the balance, else -1."""

    lowest: int | None = None
    highest: int | None = None
    balance: int = 0
    debits: int = 0
    credits: int = 0

    def take(self, move: "Move") -> None:
        self.balance += self.sign * move.amount
        self.debits += move.debit_hold
        self.credits += move.credit_hold

    @property
    def available(self) -> int:
        return self.balance - (self.credits if self.sign == 1 else self.debits)


@dataclass
class ModelAccount(Pool):
    currency: str = "USD"
    status: str = "active"
    seq: int = 0
    limit: UUID | None = None


@dataclass
class ModelMonitor:
    account_id: UUID
    metric: str
    comparison: str
    threshold: int

    def holds(self, account: ModelAccount) -> bool:
        value = self.value(account)
        return value < self.threshold if self.comparison == "below" else value > self.threshold

    def value(self, account: ModelAccount) -> int:
        return account.balance if self.metric == "balance" else account.available


@dataclass
class ModelHold:
    legs: dict[UUID, int]
    remaining: dict[UUID, int]
    status: str = "reserved"


class Move(NamedTuple):
    account_id: UUID
    amount: int
    debit_hold: int = 0
    credit_hold: int = 0


class Told(NamedTuple):
    """What a caller hears: a refusal and its account, or the entries' numbers and balances."""

    refusal: str | None
    account_id: UUID | None = None
    transfer_id: UUID | None = None
    entries: tuple[tuple[int, int, int], ...] = ()


class Refused(Exception):
    def __init__(self, code: str, account_id: UUID | None = None) -> None:
        super().__init__(code)
        self.code, self.account_id = code, account_id


Item = Posting | Settlement | Reversing | Correcting


@dataclass
class ModelLedger:
    accounts: dict[UUID, ModelAccount] = field(default_factory=dict)
    limits: dict[UUID, Pool] = field(default_factory=dict)
    holds: dict[UUID, ModelHold] = field(default_factory=dict)
    transfers: dict[UUID, tuple[TransferKind, tuple[Leg, ...]]] = field(default_factory=dict)
    reversed: dict[UUID, dict[UUID, int]] = field(default_factory=dict)
    """Per transfer and account, what has been taken back, with the transfer's sign."""

    closed_before: datetime | None = None
    answers: dict[UUID, tuple[UUID, Told]] = field(default_factory=dict)
    monitors: dict[UUID, ModelMonitor] = field(default_factory=dict)
    told: list[tuple[UUID, bool, int]] = field(default_factory=list)
    """Monitor, whether its condition holds now, and the value: in the order in which it was told."""

    def tell(self, item: Item) -> Told:
        """What the ledger answers to the item, after doing it."""
        answer = self._known(item)
        if answer is not None:
            return answer
        before = deepcopy((self.accounts, self.limits, self.told))
        try:
            told = self._do(item)
        except Refused as refused:
            self.accounts, self.limits, self.told = before
            told = Told(refused.code, refused.account_id)
        return self._answer(item, told)

    def tell_set(self, items: Sequence[Posting]) -> list[Told]:
        """What it answers to a set that stands or falls together."""
        known = [self._known(item) for item in items]
        if any(known):
            return [
                answer or self._answer(item, Told("set_refused"))
                for answer, item in zip(known, items, strict=True)
            ]
        before = deepcopy((self.accounts, self.limits, self.holds, self.transfers))
        early = {item.id: code for item in items if (code := self._early(item)) is not None}
        answers: list[Told] = []
        at_fault = items[0]
        try:
            for item in items:
                at_fault = item
                answers.append(self._post(item, alone=False))
            for item in items:
                at_fault = item
                self._check_net(before[0], before[1], _moves(item))
        except Refused as refused:
            self.accounts, self.limits, self.holds, self.transfers = before
            answers = [
                Told(refused.code, refused.account_id)
                if item is at_fault
                else Told(early.get(item.id, "set_refused"))
                for item in items
            ]
        else:
            touched = {leg.account_id for item in items for leg in item.legs}
            self._tell_monitors(before[0], touched)
        return [self._answer(item, told) for item, told in zip(items, answers, strict=True)]

    def _known(self, item: Item) -> Told | None:
        key = item.idempotency
        assert key is not None
        if key.slot not in self.answers:
            return None
        digest, told = self.answers[key.slot]
        return told if digest == key.digest else Told("idempotency_key_reused")

    def _answer(self, item: Item, told: Told) -> Told:
        assert item.idempotency is not None
        self.answers[item.idempotency.slot] = (item.idempotency.digest, told)
        return told

    def _do(self, item: Item) -> Told:
        if isinstance(item, Posting):
            return self._post(item)
        if isinstance(item, Settlement):
            return self._settle(item)
        if isinstance(item, Correcting):
            return self._correct(item)
        return self._reverse(item)

    def _early(self, item: Posting) -> str | None:
        if any(not 1 <= abs(leg.amount_minor) <= 10**15 for leg in item.legs):
            return "amount_out_of_range"
        return "period_closed" if self._closed(item.effective_at) else None

    def _closed(self, effective_at: datetime | None) -> bool:
        return (
            self.closed_before is not None and effective_at is not None and effective_at < self.closed_before
        )

    def _post(self, item: Posting, *, alone: bool = True) -> Told:
        code = self._early(item)
        if code is not None:
            raise Refused(code)
        entries = self._apply(_moves(item), item.currency, alone=alone)
        if item.kind is TransferKind.HOLD:
            self.holds[item.id] = ModelHold(dict(item.legs), dict(item.legs))
        self.transfers[item.id] = (item.kind, item.legs)
        return Told(None, None, item.id, entries)

    def _settle(self, item: Settlement) -> Told:
        hold = self.holds.get(item.hold_id)
        if hold is None:
            raise Refused("hold_not_found")
        if hold.status not in ("reserved", "partially_posted"):
            raise Refused("hold_closed")
        freed = dict(hold.remaining)
        if item.action is not HoldAction.VOID:
            freed = _asked(hold.legs, hold.remaining, item, "hold")
        posted = item.action is HoldAction.POST
        legs = tuple(Leg(a, amount) for a, amount in freed.items() if amount)
        self._apply(
            [Move(a, amount if posted else 0, -max(amount, 0), -max(-amount, 0)) for a, amount in legs],
            None,
        )
        hold.remaining = {a: left - freed[a] for a, left in hold.remaining.items()}
        if not posted:
            hold.status = "voided"
        else:
            hold.status = "partially_posted" if any(hold.remaining.values()) else "posted"
        self.transfers[item.id] = (TransferKind.POST if posted else TransferKind.VOID, legs)
        return Told(None, None, item.id)

    def _left(self, transfer_id: UUID) -> dict[UUID, int]:
        kind, legs = self.transfers.get(transfer_id, (None, ()))
        if kind is None:
            raise Refused("transfer_not_found")
        if kind not in (TransferKind.TRANSFER, TransferKind.POST, TransferKind.REPOST):
            raise Refused("not_reversible")
        taken = self.reversed.get(transfer_id, {})
        left = {a: amount - taken.get(a, 0) for a, amount in legs}
        if not any(left.values()):
            raise Refused("already_reversed")
        return left

    def _take_back(self, transfer_id: UUID, reversal_id: UUID, taken: dict[UUID, int]) -> None:
        so_far = self.reversed.setdefault(transfer_id, {})
        for account_id, amount in taken.items():
            so_far[account_id] = so_far.get(account_id, 0) + amount
        legs = tuple(Leg(a, -amount) for a, amount in taken.items() if amount)
        self.transfers[reversal_id] = (TransferKind.REVERSAL, legs)

    def _reverse(self, item: Reversing) -> Told:
        if self._closed(item.effective_at):
            raise Refused("period_closed")
        left = self._left(item.transfer_id)
        taken = _asked(dict(self.transfers[item.transfer_id][1]), left, item, "transfer")
        self._apply([Move(a, -amount) for a, amount in taken.items() if amount], None)
        self._take_back(item.transfer_id, item.id, taken)
        return Told(None, None, item.id)

    def _correct(self, item: Correcting) -> Told:
        left = self._left(item.transfer_id)
        if any(not 1 <= abs(leg.amount_minor) <= 10**15 for leg in item.legs):
            raise Refused("amount_out_of_range")
        if self._closed(item.effective_at):
            raise Refused("period_closed")
        before = deepcopy((self.accounts, self.limits))
        backwards = [Move(a, -amount) for a, amount in left.items() if amount]
        self._apply(backwards, None, alone=False)
        forwards = [Move(a, amount) for a, amount in item.legs]
        self._apply(forwards, item.currency, alone=False)
        self._check_net(*before, backwards + forwards)
        self._tell_monitors(before[0], {move.account_id for move in backwards + forwards})
        self._take_back(item.transfer_id, item.reversal_id, left)
        self.transfers[item.repost_id] = (TransferKind.REPOST, item.legs)
        return Told(None, None, item.repost_id)

    def _apply(
        self, moves: list[Move], currency: str | None, *, alone: bool = True
    ) -> tuple[tuple[int, int, int], ...]:
        entries = []
        start = deepcopy((self.accounts, self.limits))
        for move in moves:
            account = self.accounts.get(move.account_id)
            if account is None:
                raise Refused("account_not_found", move.account_id)
            releases = move.amount == 0 and move.debit_hold <= 0 and move.credit_hold <= 0
            if account.status == "closed" or (account.status == "frozen" and not releases):
                raise Refused(f"account_{account.status}", move.account_id)
            before = deepcopy(account)
            account.take(move)
            account.seq += move.amount != 0
            if account.limit is not None:
                self.limits[account.limit].take(move)
            code = _bound_broken(before, account) if alone else None
            if currency not in (None, account.currency):
                code = "currency_mismatch"
            if code is not None:
                raise Refused(code, move.account_id)
            if alone:
                self._tell_monitors({move.account_id: before}, {move.account_id})
            if move.amount:
                entries.append((account.seq, before.balance, account.balance))
        for one in {self.accounts[move.account_id].currency for move in moves}:
            same = [move for move in moves if self.accounts[move.account_id].currency == one]
            if sum(move.amount for move in same) or sum(m.debit_hold - m.credit_hold for m in same):
                raise Refused("unbalanced")
        if alone:
            self._check_limits(start[1], [move.account_id for move in moves])
        return tuple(entries)

    def _check_net(
        self, accounts: dict[UUID, ModelAccount], limits: dict[UUID, Pool], moves: Sequence[Move]
    ) -> None:
        for account_id, amount, *_ in moves:
            before, after = accounts[account_id], self.accounts[account_id]
            if after.sign * amount * (after.balance - before.balance) < 0:
                continue  # it moves the account the other way than all together do: it is not to blame
            code = _bound_broken(before, after)
            if code is not None:
                raise Refused(code, account_id)
            self._check_limits(limits, [account_id])

    def _check_limits(self, before: dict[UUID, Pool], touched: Sequence[UUID]) -> None:
        for account_id in touched:
            limit = self.accounts[account_id].limit
            if limit is not None and _bound_broken(before[limit], self.limits[limit]) is not None:
                raise Refused("shared_limit_exceeded", account_id)

    def _tell_monitors(self, before: dict[UUID, ModelAccount], touched: Iterable[UUID]) -> None:
        for monitor_id, monitor in self.monitors.items():
            if monitor.account_id in touched:
                account = self.accounts[monitor.account_id]
                if monitor.holds(account) != monitor.holds(before[monitor.account_id]):
                    self.told.append((monitor_id, monitor.holds(account), monitor.value(account)))


def _moves(item: Posting) -> list[Move]:
    if item.kind is TransferKind.HOLD:
        return [Move(a, 0, max(amount, 0), max(-amount, 0)) for a, amount in item.legs]
    return [Move(a, amount) for a, amount in item.legs]


def _asked(
    legs: dict[UUID, int], left: dict[UUID, int], item: Settlement | Reversing, what: str
) -> dict[UUID, int]:
    """How much of each leg the item asks for, of what is left of it."""
    if item.amount_minor is not None:
        if len(legs) != 2:
            raise Refused("legs_required")
        if item.amount_minor < 1:
            raise Refused("amount_out_of_range")
        asked = {a: item.amount_minor * (1 if amount > 0 else -1) for a, amount in legs.items()}
    elif item.legs:
        if any(leg.account_id not in legs for leg in item.legs):
            raise Refused(f"account_not_in_{what}")
        asked = dict.fromkeys(legs, 0) | dict(item.legs)
    else:
        asked = dict(left)
    for account_id, amount in asked.items():
        if abs(amount) > abs(left[account_id]) or amount * left[account_id] < 0:
            raise Refused("hold_amount_exceeded" if what == "hold" else "reversal_amount_exceeded")
    return asked


def _bound_broken(before: Pool, after: Pool) -> str | None:
    """A bound stands in the way of what moves towards it, with what holds may still move."""
    moved = after.balance - before.balance
    debits, credits_ = after.debits - before.debits, after.credits - before.credits
    out, into = (after.credits, after.debits) if after.sign == 1 else (after.debits, after.credits)
    more_out, more_into = (credits_, debits) if after.sign == 1 else (debits, credits_)
    lowest = -LIMIT if after.lowest is None else after.lowest
    highest = LIMIT if after.highest is None else after.highest
    if moved - more_out < 0 and after.balance - out < lowest:
        return "insufficient_funds"
    if moved + more_into > 0 and after.balance + into > highest:
        return "balance_above_maximum"
    return None
