"""The ledger's model as plain data for JSON."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from florin.kernel.clock import rfc3339
from florin.kernel.ids import encode_id
from florin.ledger.http.schemas import LegRequest, OriginRequest
from florin.ledger.model import (
    NORMAL_SIDE,
    NOWHERE,
    Account,
    Balance,
    Entry,
    Hold,
    Leg,
    Origin,
    Transfer,
    TransferKind,
    TrialBalanceLine,
)


def legs_of(requested: Iterable[LegRequest]) -> tuple[Leg, ...]:
    """Legs with signed amounts, debits positive."""
    return tuple(
        [Leg(leg.account, leg.amount if leg.direction == "debit" else -leg.amount) for leg in requested]
    )


def origin_of(requested: OriginRequest) -> Origin:
    """Where a request says that it comes from."""
    if requested.correlation_id is None and requested.causation_id is None:
        return NOWHERE
    return Origin(correlation_id=requested.correlation_id, causation_id=requested.causation_id)


def balance(found: Balance) -> dict[str, Any]:
    """A BalanceResponse."""
    return {
        "account": encode_id("acct", found.account_id),
        "currency": found.currency,
        "balance": found.balance_minor,
        "pending_debits": found.pending_debits_minor,
        "pending_credits": found.pending_credits_minor,
        "available": found.available_minor,
        "entry_seq": found.entry_seq,
    }


def account(found: Account) -> dict[str, Any]:
    """An AccountResponse."""
    held = balance(found.balance)
    return {
        "id": held.pop("account"),
        "code": found.code,
        "name": found.name,
        "type": found.type,
        "normal_side": NORMAL_SIDE[found.type],
        "status": found.status,
        "min_balance": found.min_balance_minor,
        "max_balance": found.max_balance_minor,
        **held,
        "metadata": found.metadata,
        "created_at": rfc3339(found.created_at),
    }


def transfer(found: Transfer) -> dict[str, Any]:
    """A TransferResponse."""
    related = found.related_id
    hold_id = (
        found.id if found.kind == "hold" else related if found.kind in ("post", "void", "expiry") else None
    )
    return {
        "id": encode_id("tr", found.id),
        "kind": found.kind,
        "recorded_at": rfc3339(found.recorded_at),
        "effective_at": rfc3339(found.effective_at),
        "description": found.description,
        "metadata": found.metadata or {},
        "hold": None if hold_id is None else encode_id("hold", hold_id),
        "reverses": encode_id("tr", related) if related and found.kind is TransferKind.REVERSAL else None,
        "reversed_by": [encode_id("tr", one) for one in found.reversal_ids],
        "corrects": encode_id("tr", related) if related and found.kind is TransferKind.REPOST else None,
        "correlation_id": found.origin.correlation_id,
        "causation_id": found.origin.causation_id,
        "template": found.origin.template,
        "exchange": found.origin.exchange,
        "entries": [
            {
                "account": encode_id("acct", account_id),
                "currency": currency,
                "direction": "debit" if amount_minor > 0 else "credit",
                "amount": abs(amount_minor),
                "seq": seq,
                "balance_before": before,
                "balance_after": after,
                "reversed": abs(reversed_minor),
            }
            for account_id, currency, amount_minor, seq, before, after, reversed_minor in found.entries
        ],
    }


def entry(found: Entry) -> dict[str, Any]:
    """A StatementEntry."""
    return {
        "seq": found.seq,
        "transfer": encode_id("tr", found.transfer_id),
        "direction": "debit" if found.amount_minor > 0 else "credit",
        "amount": abs(found.amount_minor),
        "balance_before": found.balance_before_minor,
        "balance_after": found.balance_after_minor,
        "recorded_at": rfc3339(found.recorded_at),
        "effective_at": rfc3339(found.effective_at),
    }


def hold(found: Hold) -> dict[str, Any]:
    """A HoldResponse."""
    return {
        "id": encode_id("hold", found.id),
        "status": found.status,
        "legs": [
            {
                "account": encode_id("acct", leg.account_id),
                "currency": leg.currency,
                "direction": "debit" if leg.reserved_minor > 0 else "credit",
                "amount": abs(leg.reserved_minor),
                "posted": abs(leg.posted_minor),
                "remaining": abs(leg.remaining_minor),
            }
            for leg in found.legs
        ],
        "expires_at": rfc3339(found.expires_at) if found.expires_at else None,
        "description": found.description,
        "metadata": found.metadata or {},
        "created_at": rfc3339(found.created_at),
        "updated_at": rfc3339(found.updated_at),
    }


def trial_balance(lines: Sequence[TrialBalanceLine]) -> dict[str, Any]:
    """A TrialBalanceResponse of lines that stand in the order of their currencies."""
    books = []
    for currency, grouped in groupby(lines, key=lambda line: line.currency):
        of_currency = list(grouped)
        debits = sum(line.debits_minor for line in of_currency)
        credits_ = sum(line.credits_minor for line in of_currency)
        books.append(
            {
                "currency": currency,
                "types": [
                    {"type": line.type, "debits": line.debits_minor, "credits": line.credits_minor}
                    for line in of_currency
                ],
                "debits": debits,
                "credits": credits_,
                "difference": debits - credits_,
            }
        )
    return {"data": books}
