"""Dry runs as plain data for JSON."""

from typing import Any

import orjson
from fastapi import Response

from florin.kernel.ids import encode_id
from florin.ledger.http import render
from florin.ledger.model import Transfer
from florin.ledger.rehearsal.model import Refused, Rehearsal


def dry(answer: dict[str, Any]) -> Response:
    """The response 200 of an endpoint that answers 201 when it posts."""
    return Response(orjson.dumps(answer), media_type="application/json")


def rehearsal(found: Rehearsal, *, many: bool = False) -> dict[str, Any]:
    """A DryRunResponse; with `many`, a problem's `param` begins with `transfers[n].`."""
    return {
        "data": [
            _refused(one, index if many else None) if isinstance(one, Refused) else _passed(one)
            for index, one in enumerate(found.answers)
        ],
        "balances": [render.balance(standing.balance) for standing in found.standings],
    }


def _passed(posted: Transfer) -> dict[str, Any]:
    legs = [
        {
            "account": encode_id("acct", entry.account_id),
            "currency": entry.currency,
            "direction": "debit" if entry.amount_minor > 0 else "credit",
            "amount": abs(entry.amount_minor),
            "balance_before": entry.balance_before_minor,
            "balance_after": entry.balance_after_minor,
        }
        for entry in posted.entries
    ]
    return {"status": 201, "legs": legs, "problem": None}


def _refused(refused: Refused, index: int | None) -> dict[str, Any]:
    refusal, rule = refused.refusal, refused.rule
    param = refusal.param
    if index is not None:
        param = f"transfers[{index}].{param}" if param else f"transfers[{index}]"
    problem = {
        "code": refusal.code,
        "detail": refusal.detail,
        "param": param,
        "account": None if refused.account_id is None else encode_id("acct", refused.account_id),
        "rule": None
        if rule is None
        else {
            "bound": rule.bound,
            "value": rule.value_minor,
            "balance": rule.balance_minor,
            "limit": rule.limit,
        },
    }
    return {"status": int(refusal.status), "legs": None, "problem": problem}
