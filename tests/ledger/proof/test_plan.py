"""How the books are cut into pieces, and how a plan is kept."""

from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from florin.ledger.proof.model import AccountRange, EntrySum, Fault, LegSum
from florin.ledger.proof.plan import HIGHEST, LOWEST, MAX_SEQ, BadPlan, Plan, ranges_of_accounts


@given(
    st.dictionaries(st.uuids().filter(lambda one: one != HIGHEST), st.integers(0, 50), max_size=30),
    st.integers(1, 20),
)
def test_ranges_of_accounts_cover_every_entry_once(accounts: dict[UUID, int], entries_each: int) -> None:
    ranges = ranges_of_accounts(sorted(accounts.items()), entries_each)
    assert ranges[0].from_account == LOWEST
    assert ranges[-1].to_account == HIGHEST
    for account_id in [LOWEST, *accounts]:
        for seq in (1, 2, 49, 10**9):
            holding = [
                one
                for one in ranges
                if one.from_account <= account_id < one.to_account and one.from_seq <= seq < one.to_seq
            ]
            assert len(holding) == 1


def test_a_plan_is_the_same_after_it_was_kept(tmp_path: Path) -> None:
    plan = Plan(7, [LOWEST, UUID(int=9)], [AccountRange(LOWEST, HIGHEST, 1, MAX_SEQ)], 4)
    plan.legs_done[1] = LegSum(2, 4, -(2**80), True)
    plan.add_entries(0, [EntrySum(1, 4, 2**80, True)])
    plan.faults.append(Fault("rule", "detail", UUID(int=1), None, 3))
    plan.save(tmp_path / "plan")
    assert Plan.load(tmp_path / "plan", 7) == plan
    assert plan.unequal() == [1]
    assert (plan.done, plan.total) == (8, 8)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"tenant_id": 7}', b'{"tenant_id": 8}'])
def test_what_is_not_a_plan_of_these_books_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "plan"
    with pytest.raises(BadPlan):
        Plan.load(file, 7)
    file.write_bytes(content)
    with pytest.raises(BadPlan):
        Plan.load(file, 7)
