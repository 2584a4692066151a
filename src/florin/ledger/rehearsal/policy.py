"""Which rule refused: the arithmetic of `ledger.apply`, told afterwards. No I/O."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from florin.ledger.errors import FUNDS
from florin.ledger.model import Leg
from florin.ledger.rehearsal.model import Refused, Rule, Standing


@dataclass(frozen=True, slots=True)
class Asked:
    """The legs of one transfer, and what it met; None: it passed."""

    legs: Sequence[Leg]
    refused: Refused | None


def explain(asked: Sequence[Asked], standings: Sequence[Standing], *, atomic: bool) -> list[Refused | None]:
    """The refusals with the bound that each met.

    Args:
        asked: in the order of posting.
        standings: how the accounts stand after those that passed.
        atomic: bounds are asked of what all leave together, not of each in turn.
    """
    known = {standing.balance.account_id: standing for standing in standings}
    passed = [leg for one in asked if one.refused is None for leg in one.legs]
    moved = _Moves(known)
    moved.add(passed, sign=-1)  # back to how they stood before
    told: list[Refused | None] = []
    if atomic:
        moved.add([leg for one in asked for leg in one.legs])
    for one in asked:
        refused = one.refused
        if refused is None:
            if not atomic:
                moved.add(one.legs)
        elif refused.refusal.code in FUNDS and refused.account_id in known:
            if not atomic:
                moved.add(one.legs)
            refused = replace(refused, rule=moved.rule(refused.account_id, refused.refusal.code))
            if not atomic:
                moved.add(one.legs, sign=-1)
        told.append(refused)
    return told


class _Moves:
    """How far balances, of accounts and of those that share a limit, are from where they stand."""

    def __init__(self, known: Mapping[UUID, Standing]) -> None:
        self._known = known
        self._by_account: dict[UUID, int] = {}
        self._by_pool: dict[UUID, int] = {}

    def add(self, legs: Sequence[Leg], *, sign: int = 1) -> None:
        for account_id, amount_minor in legs:
            standing = self._known.get(account_id)
            if standing is None:
                continue
            moved_minor = sign * standing.sign * amount_minor
            self._by_account[account_id] = self._by_account.get(account_id, 0) + moved_minor
            if standing.pool is not None:
                self._by_pool[standing.pool.id] = self._by_pool.get(standing.pool.id, 0) + moved_minor

    def rule(self, account_id: UUID, code: str) -> Rule | None:
        standing = self._known[account_id]
        if code != "shared_limit_exceeded":
            balance = standing.balance
            return _broken(
                standing,
                balance.balance_minor + self._by_account[account_id],
                (balance.pending_debits_minor, balance.pending_credits_minor),
                (standing.lowest_minor, standing.highest_minor),
                Rule,
                only="min_balance" if code == "insufficient_funds" else "max_balance",
            )
        pool = standing.pool
        if pool is None:
            return None
        return _broken(
            standing,
            pool.balance_minor + self._by_pool[pool.id],
            (pool.pending_debits_minor, pool.pending_credits_minor),
            (pool.lowest_minor, pool.highest_minor),
            lambda bound, value, found: Rule(bound, value, found, pool.name),
        )


def _broken(
    standing: Standing,
    balance_minor: int,
    pending_minor: tuple[int, int],
    bounds_minor: tuple[int | None, int | None],
    rule: Callable[[str, int, int], Rule],
    only: str | None = None,
) -> Rule | None:
    debits, credits_ = pending_minor
    falls, rises = (credits_, debits) if standing.sign == 1 else (debits, credits_)
    lowest, highest = bounds_minor
    if only != "max_balance" and lowest is not None and balance_minor - falls < lowest:
        return rule("min_balance", lowest, balance_minor - falls)
    if only != "min_balance" and highest is not None and balance_minor + rises > highest:
        return rule("max_balance", highest, balance_minor + rises)
    return None
