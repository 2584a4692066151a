from collections import Counter

import pytest

from florin.cli.replay import berka_file
from florin.cli.replay.errors import BadInput
from tests.cli.replay.conftest import Write, shared
from tests.cli.replay.samples import BERKA, BERKA_HEADER


def test_a_row_is_read_to_the_heller_with_its_sign(write: Write) -> None:
    rows = berka_file.read(write(BERKA))
    assert [row.signed_minor for row in rows][:3] == [700_00, 900_50, -100_00]
    assert rows[7].type == "VYBER"
    assert rows[7].signed_minor == -200_00
    assert (rows[3].day.isoformat(), rows[3].counterparty) == ("1993-01-05", "41403269/AB")


def test_the_counter_account_follows_from_purpose_and_operation(write: Write) -> None:
    codes = [row.counter.code.partition(":")[2] for row in berka_file.read(write(BERKA))]
    assert codes == [
        "cash",
        "cash",
        "cash",
        "banks",
        "cash",
        "interest",
        "fees",
        "cash",
        "penalties",
        "loans",
        "fees",
    ]


def test_rows_of_one_day_are_put_in_the_order_of_their_balances(write: Write) -> None:
    account = berka_file.by_account(berka_file.read(write(BERKA)))[10]
    assert [row.trans_id for row in account] == [1, 3, 4, 10]
    assert [row.trans_id for row in berka_file.in_bank_order(account)] == [1, 4, 3, 10]
    assert berka_file.closing_balance_minor(account[:3]) == 620_00


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('1;1;930101;"X";"";1.00;1.00;"";;', "type 'X' is none of"),
        ('1;1;931301;"PRIJEM";"";1.00;1.00;"";;', "date '931301' is not a day"),
        ('1;1;930101;"PRIJEM";"";0.00;1.00;"";;', "amount 0.00 is not above zero"),
        ('1;1;930101;"PRIJEM";"";-1.00;1.00;"";;', "amount -1.00 is not above zero"),
        ('1;1;930101;"PRIJEM";"";1.001;1.00;"";;', "more than 2 decimal places"),
        ('1;1;930101;"PRIJEM";"";abc;1.00;"";;', "amount 'abc' is not a number"),
        ("", "has no rows"),
    ],
)
def test_a_row_that_is_no_transaction_is_refused(write: Write, line: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        berka_file.read(write(BERKA_HEADER + line))


def test_a_repeated_transaction_number_is_refused(write: Write) -> None:
    with pytest.raises(BadInput, match="trans_id twice"):
        berka_file.read(write(BERKA + BERKA.splitlines()[1]))


def test_the_real_file_chains_but_for_28_rows_cut_off_on_its_last_day() -> None:
    rows = berka_file.read(shared("berka"))
    accounts = berka_file.by_account(rows)
    assert (len(rows), len(accounts)) == (49_102, 1_229)
    breaks: Counter[str] = Counter()
    agreeing = 0
    for account in accounts.values():
        balance_minor = 0
        for row in berka_file.in_bank_order(account):
            if abs(balance_minor + row.signed_minor - row.bank_balance_minor) > 10:
                breaks[row.day.isoformat()] += 1
            balance_minor = row.bank_balance_minor
        agreeing += abs(sum(row.signed_minor for row in account) - balance_minor) <= 100
    assert breaks == {"1994-03-31": 28}
    assert rows[-1].day.isoformat() == "1994-03-31"
    assert agreeing == 1_201
