"""Each rule: broken by one column of one row, it is named, and nothing is found in sound books."""

from typing import Any

import pytest

from florin.ledger.proof.model import Fault
from tests.ledger.proof.conftest import History, Tamper, verified

OF = "WHERE tenant_id = %(tenant)s AND"

BROKEN: list[tuple[str, str, str | None, str | None]] = [
    # rule, statement, the transfer and the account that it names
    ("legs_balance", f"UPDATE ledger.transfers SET amounts = '{{10001,-10000}}' {OF} id = %(top_up)s", "top_up", None),
    ("legs_on_known_accounts", f"UPDATE ledger.transfers SET account_ids[1] = %(top_up)s {OF} id = %(reserved)s", "reserved", None),
    ("accounts_distinct", f"UPDATE ledger.transfers SET account_ids[1] = account_ids[2] {OF} id = %(top_up)s", "top_up", None),
    ("related_is_there", f"UPDATE ledger.transfers SET related_id = %(top_up)s {OF} id = %(capture)s", "capture", None),
    ("legs_have_entries", f"DELETE FROM ledger.entries {OF} transfer_id = %(fee)s AND account_id = %(fees)s", "fee", "fees"),
    ("legs_have_entries", f"UPDATE ledger.transfers SET amounts = '{{301,-301}}' {OF} id = %(fee)s", "fee", None),
    ("legs_have_entries", f"UPDATE ledger.entries SET recorded_at = recorded_at + interval '1 us' {OF} transfer_id = %(fee)s AND account_id = %(fees)s", "fee", "fees"),
    ("legs_have_entries", f"UPDATE ledger.entries SET effective_at = effective_at + interval '1 us' {OF} transfer_id = %(late)s AND account_id = %(cash)s", "late", "cash"),
    ("legs_have_entries", f"UPDATE ledger.transfers SET effective_at = recorded_at {OF} id = %(fee)s", "fee", None),
    ("entries_have_legs", f"DELETE FROM ledger.transfers {OF} id = %(fee)s", "fee", None),
    ("entries_have_legs", "INSERT INTO ledger.entries SELECT tenant_id, account_id, seq + 1, transfer_id, -amount, balance_after - 300, recorded_at, NULL FROM ledger.entries WHERE transfer_id = %(capture)s AND account_id = %(fees)s", "capture", "fees"),
    ("entries_on_known_accounts", f"DELETE FROM ledger.accounts {OF} id = %(yen)s", None, "yen"),
    ("entries_numbered", f"UPDATE ledger.entries SET seq = 100 {OF} transfer_id = %(fee)s AND account_id = %(fees)s", "fee", "fees"),
    ("balances_chained", f"UPDATE ledger.entries SET balance_after = balance_after + 1 {OF} transfer_id = %(fee)s AND account_id = %(fees)s", "fee", "fees"),
    ("balances_chained", f"UPDATE ledger.entries SET amount = amount - 1 {OF} transfer_id = %(fee)s AND account_id = %(fees)s", "fee", "fees"),
    ("recorded_in_order", f"UPDATE ledger.entries SET recorded_at = recorded_at + interval '1 day' {OF} transfer_id = %(fee)s AND account_id = %(wallet)s", None, "wallet"),
    ("dated_where_marked", f"UPDATE ledger.accounts SET dated = false {OF} id = %(cash)s", "late", "cash"),
    ("accounts_at_last_entry", f"UPDATE ledger.accounts SET balance = balance + 1 {OF} id = %(cash)s", None, "cash"),
    ("accounts_at_last_entry", f"UPDATE ledger.accounts SET entry_seq = entry_seq - 1 {OF} id = %(cash)s", None, "cash"),
    ("accounts_at_last_entry", f"UPDATE ledger.accounts SET last_entry_at = now() {OF} id = %(idle)s", None, "idle"),
    ("trial_balance_is_zero", f"UPDATE ledger.accounts SET balance = balance + 1 {OF} id = %(cash)s", None, None),
    ("holds_are_pending", f"UPDATE ledger.accounts SET pending_debits = pending_debits + 1 {OF} id = %(wallet)s", None, "wallet"),
    ("holds_are_pending", f"UPDATE ledger.holds SET remaining = '{{99,-99}}' {OF} id = %(reserved)s", None, "wallet"),
    ("holds_fold", f"UPDATE ledger.holds SET remaining = '{{99,-99}}' {OF} id = %(reserved)s", "reserved", "wallet"),
    ("holds_fold", f"UPDATE ledger.holds SET posted = '{{0,0}}' {OF} id = %(partial)s", "partial", "wallet"),
    ("holds_fold", f"UPDATE ledger.holds SET reserved = '{{401,-401}}' {OF} id = %(partial)s", "partial", "wallet"),
    ("holds_fold", f"UPDATE ledger.holds SET status = 'expired' {OF} id = %(voided)s", "voided", None),
    ("holds_fold", f"UPDATE ledger.holds SET created_at = now() {OF} id = %(voided)s", "voided", None),
    ("holds_fold", f"DELETE FROM ledger.holds {OF} id = %(voided)s", "voided", "wallet"),
    ("holds_fold", f"DELETE FROM ledger.transfers {OF} id = %(void)s", "voided", "wallet"),
    ("reversals_recorded", f"DELETE FROM ledger.reversals {OF} reversal_id = %(reversal_50)s", "reversal_50", None),
    ("reversals_numbered", f"UPDATE ledger.reversals SET number = 3 {OF} reversal_id = %(reversal_50)s", "fee", None),
    ("reversals_in_log", f"UPDATE ledger.reversals SET reversal_id = %(fee)s {OF} reversal_id = %(reversal_50)s", "fee", None),
    ("reversals_add_up", f"UPDATE ledger.reversals SET amounts = '{{49,-49}}' {OF} reversal_id = %(reversal_50)s", "fee", None),
    ("reversals_add_up", f"UPDATE ledger.reversals SET reversed = '{{149,-149}}' {OF} reversal_id = %(reversal_50)s", "fee", None),
    ("reversed_at_most_once", f"UPDATE ledger.reversals SET reversed = '{{350,-350}}' {OF} reversal_id = %(reversal_50)s", "fee", None),
    ("limits_add_up", f"UPDATE ledger.limits SET balance = balance + 1 {OF} true", None, None),
    ("limits_fit_members", f"UPDATE ledger.limits SET side = 'debit' {OF} true", None, "wallet"),
    ("monitored_where_marked", f"UPDATE ledger.accounts SET monitored = false {OF} id = %(cash)s", None, "cash"),
    ("audit_digested", f"UPDATE audit.log SET actor = actor || '.' {OF} seq = 1", None, None),
    ("audit_digested", f"UPDATE audit.log SET digest = sha256('') {OF} seq = 1", None, None),
    ("audit_chained", f"UPDATE audit.log SET digest = sha256('') {OF} seq = 1", None, None),
    ("audit_numbered", f"DELETE FROM audit.log {OF} seq = 2", None, None),
    ("audit_ends_at_head", f"UPDATE audit.heads SET digest = sha256('') {OF} true", None, None),
    ("periods_audited", f"UPDATE ledger.period_closings SET name = name || '.' {OF} true", None, None),
    ("periods_audited", f"UPDATE ledger.period_closings SET closed_at = closed_at + interval '1 us' {OF} true", None, None),
    ("periods_audited", f"DELETE FROM ledger.period_closings {OF} true", None, None),
    ("periods_audited", f"UPDATE ledger.books SET closed_before = NULL {OF} true", None, None),
    ("templates_audited", f"UPDATE ledger.templates SET body = '{{\"legs\": 3}}' {OF} version = 2", None, None),
    ("templates_audited", f"UPDATE ledger.templates SET created_at = created_at + interval '1 us' {OF} version = 2", None, None),
    ("templates_numbered", f"DELETE FROM ledger.templates {OF} version = 1", None, None),
]  # fmt: skip


def named(history: History) -> dict[str, Any]:
    """What the statements may speak of."""
    return {"tenant": history.tenant_id, **history.accounts, **history.transfers}


async def test_sound_books_have_no_faults(history: History) -> None:
    assert await verified(history.books) == []
    assert await verified(history.books, transfers_each=2, entries_each=3) == []


@pytest.mark.parametrize(
    ("rule", "statement", "transfer", "account"),
    BROKEN,
    ids=[f"{one[0]}-{n}" for n, one in enumerate(BROKEN)],
)
async def test_a_broken_rule_is_named(
    history: History, tamper: Tamper, rule: str, statement: str, transfer: str | None, account: str | None
) -> None:
    assert tamper(statement, named=named(history)) >= 1
    faults = [one for one in await verified(history.books) if one.rule == rule]
    assert faults
    if transfer is not None:
        assert history.transfers[transfer] in {one.transfer_id for one in faults}
    if account is not None:
        assert history.accounts[account] in {one.account_id for one in faults}
    assert all(isinstance(one, Fault) and one.detail for one in faults)
