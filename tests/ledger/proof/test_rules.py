"""Each rule: broken by one column of one row, it is named, and nothing is found in sound books."""

from datetime import timedelta
from typing import Any, Final

import pytest

from florin.ledger.proof.rebuild import compare
from florin.ledger.proof.service import prove
from tests.ledger.proof.conftest import History, Tamper, verified

NOW: Final = timedelta(0)
"""A grace that leaves nothing behind the mark: then sums are compared first, and rows where they differ."""

BROKEN: list[tuple[str, str, str | None, str, str | None, str | None]] = [
    # rule; table, what is set in it (None: the row is taken out), which row; transfer and account named
    ("legs_balance", "ledger.transfers", "amounts = '{10001,-10000}'", "id = %(top_up)s", "top_up", None),
    ("legs_on_known_accounts", "ledger.transfers", "account_ids[1] = %(top_up)s",
     "id = %(reserved)s", "reserved", None),
    ("accounts_distinct", "ledger.transfers", "account_ids[1] = account_ids[2]",
     "id = %(top_up)s", "top_up", None),
    ("related_is_there", "ledger.transfers", "related_id = %(top_up)s", "id = %(capture)s", "capture", None),
    ("legs_have_entries", "ledger.entries", None,
     "transfer_id = %(fee)s AND account_id = %(fees)s", "fee", "fees"),
    ("legs_have_entries", "ledger.transfers", "amounts = '{301,-301}'", "id = %(fee)s", "fee", None),
    ("legs_have_entries", "ledger.entries", "recorded_at = recorded_at + interval '1 us'",
     "transfer_id = %(fee)s AND account_id = %(fees)s", "fee", "fees"),
    ("legs_have_entries", "ledger.entries", "effective_at = effective_at + interval '1 us'",
     "transfer_id = %(late)s AND account_id = %(cash)s", "late", "cash"),
    ("legs_have_entries", "ledger.transfers", "effective_at = recorded_at + interval '1 us'",
     "id = %(fee)s", "fee", None),
    ("entries_have_legs", "ledger.transfers", None, "id = %(fee)s", "fee", None),
    ("entries_on_known_accounts", "ledger.accounts", None, "id = %(yen)s", None, "yen"),
    ("entries_numbered", "ledger.entries", "seq = 100",
     "transfer_id = %(fee)s AND account_id = %(fees)s", "fee", "fees"),
    ("balances_chained", "ledger.entries", "balance_after = balance_after + 1",
     "transfer_id = %(fee)s AND account_id = %(fees)s", "fee", "fees"),
    ("balances_chained", "ledger.entries", "amount = amount - 1",
     "transfer_id = %(fee)s AND account_id = %(fees)s", "fee", "fees"),
    ("recorded_in_order", "ledger.entries", "recorded_at = recorded_at + interval '1 day'",
     "transfer_id = %(fee)s AND account_id = %(wallet)s", None, "wallet"),
    ("dated_where_marked", "ledger.accounts", "dated = false", "id = %(cash)s", "late", "cash"),
    ("accounts_at_last_entry", "ledger.accounts", "balance = balance + 1", "id = %(cash)s", None, "cash"),
    ("accounts_at_last_entry", "ledger.accounts", "entry_seq = entry_seq - 1", "id = %(cash)s", None, "cash"),
    ("accounts_at_last_entry", "ledger.accounts", "last_entry_at = now()", "id = %(idle)s", None, "idle"),
    ("trial_balance_is_zero", "ledger.accounts", "balance = balance + 1", "id = %(cash)s", None, None),
    ("holds_are_pending", "ledger.accounts", "pending_debits = pending_debits + 1",
     "id = %(wallet)s", None, "wallet"),
    ("holds_are_pending", "ledger.holds", "remaining = '{99,-99}'", "id = %(reserved)s", None, "wallet"),
    ("holds_fold", "ledger.holds", "remaining = '{99,-99}'", "id = %(reserved)s", "reserved", "wallet"),
    ("holds_fold", "ledger.holds", "posted = '{0,0}'", "id = %(partial)s", "partial", "wallet"),
    ("holds_fold", "ledger.holds", "reserved = '{401,-401}'", "id = %(partial)s", "partial", "wallet"),
    ("holds_fold", "ledger.holds", "status = 'expired'", "id = %(voided)s", "voided", None),
    ("holds_fold", "ledger.holds", "created_at = now()", "id = %(voided)s", "voided", None),
    ("holds_fold", "ledger.holds", None, "id = %(voided)s", "voided", "wallet"),
    ("holds_fold", "ledger.transfers", None, "id = %(void)s", "voided", "wallet"),
    ("reversals_recorded", "ledger.reversals", None, "reversal_id = %(reversal_50)s", "reversal_50", None),
    ("reversals_numbered", "ledger.reversals", "number = 3", "reversal_id = %(reversal_50)s", "fee", None),
    ("reversals_in_log", "ledger.reversals", "reversal_id = %(fee)s",
     "reversal_id = %(reversal_50)s", "fee", None),
    ("reversals_add_up", "ledger.reversals", "amounts = '{49,-49}'",
     "reversal_id = %(reversal_50)s", "fee", None),
    ("reversals_add_up", "ledger.reversals", "reversed = '{149,-149}'",
     "reversal_id = %(reversal_50)s", "fee", None),
    ("reversed_at_most_once", "ledger.reversals", "reversed = '{350,-350}'",
     "reversal_id = %(reversal_50)s", "fee", None),
    ("limits_add_up", "ledger.limits", "balance = balance + 1", "true", None, None),
    ("limits_fit_members", "ledger.limits", "side = 'debit'", "true", None, "wallet"),
    ("monitored_where_marked", "ledger.accounts", "monitored = false", "id = %(cash)s", None, "cash"),
    ("audit_digested", "audit.log", "actor = actor || '.'", "seq = 1", None, None),
    ("audit_digested", "audit.log", "digest = sha256('')", "seq = 1", None, None),
    ("audit_chained", "audit.log", "digest = sha256('')", "seq = 1", None, None),
    ("audit_numbered", "audit.log", None, "seq = 2", None, None),
    ("audit_ends_at_head", "audit.heads", "digest = sha256('')", "true", None, None),
    ("periods_audited", "ledger.period_closings", "name = name || '.'", "true", None, None),
    ("periods_audited", "ledger.period_closings", "closed_at = closed_at + interval '1 us'",
     "true", None, None),
    ("periods_audited", "ledger.period_closings", None, "true", None, None),
    ("periods_audited", "ledger.books", "closed_before = NULL", "true", None, None),
    ("templates_audited", "ledger.templates", "body = '{\"legs\": 3}'", "version = 2", None, None),
    ("templates_audited", "ledger.templates", "created_at = created_at + interval '1 us'",
     "version = 2", None, None),
    ("templates_numbered", "ledger.templates", None, "version = 1", None, None),
]  # fmt: skip


def named(history: History) -> dict[str, Any]:
    """What the statements may speak of."""
    return {"tenant": history.tenant_id, **history.accounts, **history.transfers}


async def test_sound_books_have_no_faults(history: History) -> None:
    assert await verified(history.books) == []
    assert await verified(history.books, grace=NOW, transfers_each=2, entries_each=3) == []


@pytest.mark.parametrize(
    ("rule", "table", "change", "row", "transfer", "account"),
    BROKEN,
    ids=[f"{one[0]}-{n}" for n, one in enumerate(BROKEN)],
)
async def test_a_broken_rule_is_named(
    history: History,
    tamper: Tamper,
    rule: str,
    table: str,
    change: str | None,
    row: str,
    transfer: str | None,
    account: str | None,
) -> None:
    begun = f"DELETE FROM {table}" if change is None else f"UPDATE {table} SET {change}"
    assert tamper(f"{begun} WHERE tenant_id = %(tenant)s AND {row}", named=named(history)) >= 1
    for pieces in ({}, {"grace": NOW, "transfers_each": 5, "entries_each": 10}):
        faults = [one for one in await verified(history.books, **pieces) if one.rule == rule]
        assert faults
        assert all(one.detail for one in faults)
        if transfer is not None:
            assert history.transfers[transfer] in {one.transfer_id for one in faults}
        if account is not None:
            assert history.accounts[account] in {one.account_id for one in faults}


async def test_an_entry_that_no_leg_speaks_of_is_named(history: History, tamper: Tamper) -> None:
    tamper(
        "INSERT INTO ledger.entries SELECT tenant_id, account_id, seq + 1, transfer_id, -300,"
        " balance_after - 300, recorded_at, NULL FROM ledger.entries"
        " WHERE tenant_id = %(tenant)s AND account_id = %(fees)s ORDER BY seq DESC LIMIT 1",
        named=named(history),
    )
    for pieces in ({}, {"grace": NOW}):
        rules = {one.rule for one in await verified(history.books, **pieces)}
        assert {"entries_have_legs", "accounts_at_last_entry"} <= rules


async def test_books_from_before_two_times_are_sound(history: History, tamper: Tamper) -> None:
    """As migration 0014 leaves them: every transfer with an effective_at, and some recorded out of order."""
    named_ = named(history)
    for statement in (
        "UPDATE ledger.transfers SET effective_at = recorded_at"
        " WHERE tenant_id = %(tenant)s AND effective_at IS NULL",
        "UPDATE ledger.entries e SET recorded_at = p.recorded_at FROM ledger.entries p"
        " WHERE e.tenant_id = %(tenant)s AND p.tenant_id = %(tenant)s AND e.transfer_id = %(late)s"
        " AND p.account_id = e.account_id AND p.seq = e.seq - 1",
        "UPDATE ledger.transfers t SET recorded_at = e.recorded_at - interval '1 hour'"
        " FROM ledger.entries e WHERE t.id = %(late)s AND e.transfer_id = %(late)s",
    ):
        assert tamper(statement, named=named_) >= 1
    assert await verified(history.books) == []
    assert await verified(history.books, grace=NOW) == []
    assert (await prove(history.books.ledger, history.tenant_id, grace=NOW)).faults == ()
    assert await compare(history.books.ledger, history.tenant_id) == []
