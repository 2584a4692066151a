"""Faults, and how the proof stands, as plain data for JSON."""

from typing import Any
from uuid import UUID

from florin.kernel.clock import rfc3339
from florin.kernel.events import Snapshot, instant
from florin.kernel.ids import encode_id
from florin.ledger.proof.model import Fault, Standing
from florin.ledger.proof.rebuild import Rebuilt


def fault(found: Fault) -> dict[str, Any]:
    """A FaultResponse."""
    return {
        "rule": found.rule,
        "detail": found.detail,
        "transfer": None if found.transfer_id is None else encode_id("tr", found.transfer_id),
        "account": None if found.account_id is None else encode_id("acct", found.account_id),
        "seq": found.seq,
    }


def standing(found: Standing) -> dict[str, Any]:
    """A StandingResponse."""
    return {
        "status": "faulty" if found.fault_count else "behind" if found.behind_transfers else "proven",
        "transfers": found.transfers,
        "entries": found.entries,
        "last_transfer": (
            None if found.last_transfer_id is None else encode_id("tr", found.last_transfer_id)
        ),
        "last_recorded_at": None if found.last_recorded_at is None else rfc3339(found.last_recorded_at),
        "proven_at": None if found.proven_at is None else rfc3339(found.proven_at),
        "behind_transfers": found.behind_transfers,
        "behind_seconds": round(found.behind_s, 3),
        "fault_count": found.fault_count,
        "faults": [fault(one) for one in found.faults],
    }


def render_fault(snapshot: Snapshot) -> dict[str, Any]:
    """A fault as its event shows it, from its row of ledger.faults."""
    transfer_id, account_id = snapshot["transfer_id"], snapshot["account_id"]
    shown = fault(
        Fault(
            rule=snapshot["rule"],
            detail=snapshot["detail"],
            transfer_id=UUID(transfer_id) if transfer_id else None,
            account_id=UUID(account_id) if account_id else None,
            seq=snapshot["seq"],
        )
    )
    return {"object": "ledger_fault", **shown, "found_at": instant(snapshot["found_at"])}


def rebuilt(done: Rebuilt) -> dict[str, Any]:
    """What a rebuild has put in its place."""
    return {
        "accounts": [encode_id("acct", one) for one in done.accounts],
        "limits": [str(one) for one in done.limits],
        "projected": [encode_id("acct", one) for one in done.projected],
    }
