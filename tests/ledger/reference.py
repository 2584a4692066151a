"""The ledger as plain Python: the model that the database is compared with.

One item after the other on dictionaries, with a copy to go back to. Nothing here is fast or clever.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from florin.ledger.model import HoldAction, Leg, Posting, Reversing, Settlement, TransferKind

LIMIT = 4 * 10**18


@dataclass
class ModelAccount:
    sign: int
    """1 where debits raise the balance, else -1."""

    currency: str
    lowest: int | None = None
    highest: int | None = None
    status: str = "active"
    balance: int = 0
    debits: int = 0
    credits: int = 0
    seq: int = 0


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


@dataclass
class ModelLedger:
    accounts: dict[UUID, ModelAccount] = field(default_factory=dict)
    holds: dict[UUID, ModelHold] = field(default_factory=dict)
    transfers: dict[UUID, tuple[TransferKind, tuple[Leg, ...]]] = field(default_factory=dict)
    reversed: set[UUID] = field(default_factory=set)
    answers: dict[UUID, tuple[UUID, Told]] = field(default_factory=dict)

    def tell(self, item: Posting | Settlement | Reversing) -> Told:
        """What the ledger answers to the item, after doing it."""
        key = item.idempotency
        assert key is not None
        if key.slot in self.answers:
            digest, told = self.answers[key.slot]
            return told if digest == key.digest else Told("idempotency_key_reused")
        before = deepcopy(self.accounts)
        try:
            told = self._do(item)
        except Refused as refused:
            self.accounts = before
            told = Told(refused.code, refused.account_id)
        self.answers[key.slot] = (key.digest, told)
        return told

    def _do(self, item: Posting | Settlement | Reversing) -> Told:
        if isinstance(item, Posting):
            return self._post(item)
        if isinstance(item, Settlement):
            return self._settle(item)
        return self._reverse(item)

    def _post(self, item: Posting) -> Told:
        if any(not 1 <= abs(leg.amount_minor) <= 10**15 for leg in item.legs):
            raise Refused("amount_out_of_range")
        if item.kind is TransferKind.HOLD:
            entries = self._apply(
                [Move(a, 0, max(amount, 0), max(-amount, 0)) for a, amount in item.legs], item.currency
            )
            self.holds[item.id] = ModelHold(dict(item.legs), dict(item.legs))
        else:
            entries = self._apply([Move(a, amount) for a, amount in item.legs], item.currency)
        self.transfers[item.id] = (item.kind, item.legs)
        return Told(None, None, item.id, entries)

    def _settle(self, item: Settlement) -> Told:
        hold = self.holds.get(item.hold_id)
        if hold is None:
            raise Refused("hold_not_found")
        if hold.status not in ("reserved", "partially_posted"):
            raise Refused("hold_closed")
        freed = dict(hold.remaining) if item.action is HoldAction.VOID else self._asked(hold, item)
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

    def _asked(self, hold: ModelHold, item: Settlement) -> dict[UUID, int]:
        if item.amount_minor is not None:
            if len(hold.legs) != 2:
                raise Refused("legs_required")
            if item.amount_minor < 1:
                raise Refused("amount_out_of_range")
            asked = {a: item.amount_minor * (1 if amount > 0 else -1) for a, amount in hold.legs.items()}
        elif item.legs:
            if any(leg.account_id not in hold.legs for leg in item.legs):
                raise Refused("account_not_in_hold")
            asked = dict.fromkeys(hold.legs, 0) | dict(item.legs)
        else:
            asked = dict(hold.remaining)
        for account_id, amount in asked.items():
            left = hold.remaining[account_id]
            if abs(amount) > abs(left) or amount * left < 0:
                raise Refused("hold_amount_exceeded")
        return asked

    def _reverse(self, item: Reversing) -> Told:
        kind, legs = self.transfers.get(item.transfer_id, (None, ()))
        if kind is None:
            raise Refused("transfer_not_found")
        if kind not in (TransferKind.TRANSFER, TransferKind.POST):
            raise Refused("not_reversible")
        if item.transfer_id in self.reversed:
            raise Refused("already_reversed")
        self._apply([Move(a, -amount) for a, amount in legs], None)
        self.reversed.add(item.transfer_id)
        self.transfers[item.id] = (TransferKind.REVERSAL, tuple(Leg(a, -amount) for a, amount in legs))
        return Told(None, None, item.id)

    def _apply(self, moves: list[Move], currency: str | None) -> tuple[tuple[int, int, int], ...]:
        entries = []
        for move in moves:
            account = self.accounts.get(move.account_id)
            if account is None:
                raise Refused("account_not_found", move.account_id)
            releases = move.amount == 0 and move.debit_hold <= 0 and move.credit_hold <= 0
            if account.status == "closed" or (account.status == "frozen" and not releases):
                raise Refused(f"account_{account.status}", move.account_id)
            before = account.balance
            self._move(account, move)
            code = _bound_broken(account, move)
            if currency not in (None, account.currency):
                code = "currency_mismatch"
            if code is not None:
                raise Refused(code, move.account_id)
            if move.amount:
                entries.append((account.seq, before, account.balance))
        for one in {self.accounts[move.account_id].currency for move in moves}:
            same = [move for move in moves if self.accounts[move.account_id].currency == one]
            if sum(move.amount for move in same) or sum(m.debit_hold - m.credit_hold for m in same):
                raise Refused("unbalanced")
        return tuple(entries)

    @staticmethod
    def _move(account: ModelAccount, move: Move) -> None:
        account.balance += account.sign * move.amount
        account.debits += move.debit_hold
        account.credits += move.credit_hold
        account.seq += move.amount != 0


def _bound_broken(account: ModelAccount, move: Move) -> str | None:
    out, into = (account.credits, account.debits) if account.sign == 1 else (account.debits, account.credits)
    more_out, more_into = (
        (move.credit_hold, move.debit_hold) if account.sign == 1 else (move.debit_hold, move.credit_hold)
    )
    moved = account.sign * move.amount
    lowest = -LIMIT if account.lowest is None else account.lowest
    highest = LIMIT if account.highest is None else account.highest
    if moved - more_out < 0 and account.balance - out < lowest:
        return "insufficient_funds"
    if moved + more_into > 0 and account.balance + into > highest:
        return "balance_above_maximum"
    return None
