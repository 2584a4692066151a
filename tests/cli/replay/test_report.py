import io

import pytest
from rich.console import Console

from florin.cli.replay.client import Answer
from florin.cli.replay.report import (
    Check,
    Tally,
    exit_code,
    money,
    percentile,
    print_proof,
    print_summary,
)


@pytest.mark.parametrize(("share", "value"), [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.001, 1.0)])
def test_percentiles_are_values_that_occurred(share: float, value: float) -> None:
    assert percentile([float(n) for n in range(100, 0, -1)], share) == value


def test_a_percentile_of_nothing_is_zero() -> None:
    assert percentile([], 0.99) == 0


def test_money_is_written_with_its_decimals() -> None:
    assert [money(amount, "GBP") for amount in (93_029_47, 100, 0, -5)] == [
        "93,029.47 GBP",
        "1.00 GBP",
        "0.00 GBP",
        "-0.05 GBP",
    ]


def test_the_exit_code_is_zero_only_without_refusals_and_differences() -> None:
    equal, different = Check("sum", "1", "1", holds=True), Check("sum", "1", "2", holds=False)
    tally = Tally()
    assert exit_code(tally, [equal]) == 0
    assert exit_code(tally, [equal, different]) == 1
    tally.refused["account_frozen"] += 1
    assert exit_code(tally, [equal]) == 1


def test_the_tables_show_what_was_counted() -> None:
    tally = Tally()
    tally.count("taken", 500, replayed=False)
    tally.count("taken", 200, replayed=True)
    tally.refused["account_frozen"] += 3
    tally.skipped["cancellation"] += 2
    tally.time(Answer(201, {}, replayed=False, retried=False, latency_s=0.25))
    tally.finish()
    console = Console(file=io.StringIO(), width=120)
    print_summary(console, "2 invoices", tally, "GBP")
    print_proof(console, [Check("trial balance", "0.00 GBP", "0.01 GBP", holds=False)])
    assert isinstance(console.file, io.StringIO)
    shown = [" ".join(line.replace("│", " ").split()) for line in console.file.getvalue().splitlines()]
    for line in (
        "taken 2",
        "of these already there 1",
        "amount 7.00 GBP",
        "skipped: cancellation 2",
        "account_frozen 3",
        "latency p99 250.0 ms",
        "trial balance 0.00 GBP 0.01 GBP NOT EQUAL",
    ):
        assert line in shown
