"""Plans: what goes in all at once, as which entries, and what goes one by one."""

from collections.abc import Sequence
from uuid import UUID

from florin.ledger.bulk.files import Row, Rows
from florin.ledger.bulk.model import ImportKind, KnownAccount
from florin.ledger.bulk.planning import MOST_MINOR, Plan, Planner, staged
from florin.ledger.model import AccountType, Leg


def known(number: int, type_: AccountType = AccountType.LIABILITY, **more: bool) -> KnownAccount:
    delicate, bounded = more.get("delicate", False), more.get("bounded", False)
    return KnownAccount(UUID(int=number), str(number), type_, "USD", bounded, delicate, 0, 0, None)


BOOK = {
    "bank": known(3, AccountType.ASSET),
    "shop": known(1),
    "fees": known(2, AccountType.INCOME),
    "floor": known(4, bounded=True),
    "ice": known(5, delicate=True),
}


def pair(debit: str, credit: str, amount: int | str, *, key: str = "", said: str = "") -> Row:
    return (key, debit, credit, str(amount), "", "", said, "", "", "", "")


def plan_of(rows: Sequence[Row], *, careful: bool = False) -> Plan:
    return Planner(ImportKind.TRANSFERS, BOOK, None).plan(Rows(11, rows), careful=careful)


def test_legs_come_account_by_account_with_running_sums_on_the_normal_side() -> None:
    plan = plan_of([pair("bank", "shop", 70), pair("shop", "bank", 100)])
    legs = staged(plan)
    assert legs.accounts == [UUID(int=3), UUID(int=1)]
    assert [line.split() for line in legs.lines] == [
        ["1", "2", "1", "-70", "70", "\\N"],
        ["2", "2", "2", "100", "-30", "\\N"],
        ["1", "1", "1", "70", "70", "\\N"],
        ["2", "1", "2", "-100", "-30", "\\N"],
    ]
    assert (legs.counts, legs.totals, legs.lows, legs.highs) == ([2, 2], [-30, -30], [-30, -30], [70, 70])
    assert plan.transfers[1].split("\t")[:4] == ["2", "{2,1}", "{100,-100}", "{2,2}"]


def test_rows_of_one_transfer_are_added_up_and_agree_on_what_they_say() -> None:
    rows = [
        pair("bank", "", 100, key="t", said="Sale"),
        pair("", "shop", 60, key="t"),
        pair("", "shop", 37, key="t", said="Sale"),
        pair("", "fees", 3, key="t"),
    ]
    [line] = plan_of(rows).transfers
    assert line.split("\t")[1:3] == ["{1,2,3}", "{100,-97,-3}"]
    rows[3] = pair("", "fees", 3, key="t", said="Fee")
    assert [(error.row_number, error.field, error.code) for error in plan_of(rows).errors] == [
        (11, None, "transfer_refused"),
        (12, None, "transfer_refused"),
        (13, None, "transfer_refused"),
        (14, "description", "field_malformed"),
    ]


def test_a_transfer_of_one_account_or_of_nothing_is_refused() -> None:
    for rows, code in (
        ([pair("bank", "", 1)], "field_missing"),
        ([pair("bank", "", 1, key="t")], "too_few_legs"),
        ([pair("bank", "shop", 1, key="t"), pair("shop", "bank", 1, key="t")], "amount_out_of_range"),
        ([("t",), pair("bank", "shop", 1, key="t")], "row_malformed"),
    ):
        plan = plan_of(rows)
        assert (plan.errors[0].code, plan.items, len(plan.errors)) == (code, 0, len(rows))


def test_delicate_accounts_go_one_by_one_and_bounded_ones_when_care_is_taken() -> None:
    rows = [pair("bank", "ice", 1), pair("bank", "floor", 2), pair("bank", "shop", 3)]
    assert [one.rows for one in plan_of(rows).slow] == [range(11, 12)]
    careful = plan_of(rows, careful=True)
    assert [one.posting.legs for one in careful.slow] == [
        (Leg(UUID(int=3), 1), Leg(UUID(int=5), -1)),
        (Leg(UUID(int=3), 2), Leg(UUID(int=4), -2)),
    ]
    legs = staged(careful)
    assert dict(zip(legs.accounts, legs.counts, strict=True)) == {
        UUID(int=3): 1, UUID(int=5): 0, UUID(int=4): 0, UUID(int=1): 1,
    }  # fmt: skip


def test_what_cannot_be_added_up_in_the_database_is_named() -> None:
    plan = plan_of([pair("bank", "shop", 10**15)] * (MOST_MINOR // 10**15 + 1))
    assert set(staged(plan).beyond) == {UUID(int=1), UUID(int=3)}
