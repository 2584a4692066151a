import signal
from collections import Counter
from pathlib import Path

import pytest

from florin.cli.replay import berka, berka_file
from tests.cli.replay.conftest import Replay, Write, shared
from tests.cli.replay.fake_florin import FakeFlorin
from tests.cli.replay.samples import BERKA


def figures(output: str) -> dict[str, list[str]]:
    """The tables' rows: first column to the others."""
    rows = [[cell.strip() for cell in line.strip("│┃ ").split("│")] for line in output.splitlines()]
    return {row[0]: row[1:] for row in rows if len(row) > 1}


def balances(florin: FakeFlorin) -> dict[str, int]:
    return {code.partition(":")[2]: account["balance"] for code, account in florin.accounts.items()}


def test_every_account_ends_at_the_sum_of_its_rows(florin: FakeFlorin, replay: Replay, write: Write) -> None:
    result = replay("berka", write(BERKA))
    assert result.exit_code == 0, result.output
    assert balances(florin) == {
        "10": 520_10,
        "11": 889_14,
        "12": -151_10,
        "13": -14_60,
        "cash": 700_00 + 900_50 - 100_00 + 50_00 - 200_00,
        "banks": 20_00,
        "interest": 3_24,
        "fees": 29_20,
        "penalties": 1_10,
        "loans": -99_90,
    }
    shown = figures(result.output)
    assert shown["transferred"] == ["11"]
    assert shown["accounts equal to the sum of their rows"] == ["10", "10", "equal"]
    assert shown["of 4 customers, within 1.00 of the bank's own last balance"] == ["3", "3", "equal"]
    assert shown["trial balance"] == ["0.00 CZK", "0.00 CZK", "equal"]


def test_a_second_replay_changes_nothing(florin: FakeFlorin, replay: Replay, write: Write) -> None:
    path = write(BERKA)
    replay("berka", path)
    before = balances(florin)
    result = replay("berka", path)
    assert result.exit_code == 0, result.output
    assert balances(florin) == before
    assert figures(result.output)["of these already there"] == ["11"]


def test_an_account_keeps_its_file_order_and_one_request_in_flight(
    florin: FakeFlorin, replay: Replay, write: Write
) -> None:
    header = BERKA.splitlines()[0]
    more = [
        f'{100 * n + a};{a};930{1 + n // 28:d}{1 + n % 28:02d};"PRIJEM";"VKLAD";1.00;{n + 1}.00;"";;'
        for n in range(40)
        for a in range(10)
    ]
    result = replay("berka", write("\n".join([header, *more])))
    assert result.exit_code == 0, result.output
    assert florin.overlaps == 0
    assert florin.most_in_flight > 1
    for account in range(10):
        assert florin.order[f"berka:{account}"] == [f"berka:{100 * n + account}" for n in range(40)]


def test_a_busy_a_lost_and_an_away_api_leave_no_trace_in_the_sums(
    florin: FakeFlorin, replay: Replay, write: Write
) -> None:
    florin.faults.extend([429, "cut", 503, 0, 503, 503, "cut", 429])
    result = replay("berka", write(BERKA))
    assert result.exit_code == 0, result.output
    assert florin.effects["/v1/transfers"] == 11
    assert not florin.faults


def test_ctrl_c_stops_cleanly_and_the_next_run_goes_on(
    florin: FakeFlorin, replay: Replay, write: Write
) -> None:
    path = write(BERKA)
    florin.on_effect = lambda count: signal.raise_signal(signal.SIGINT) if count == 4 else None
    first = replay("berka", path)
    assert first.exit_code == 130, first.output
    assert "Run the same command again to go on" in first.output
    assert 4 <= florin.effects["/v1/transfers"] < 11
    florin.on_effect = lambda _: None
    second = replay("berka", path)
    assert second.exit_code == 0, second.output
    assert florin.effects["/v1/transfers"] == 11
    assert int(figures(second.output)["of these already there"][0]) >= 4


def test_a_refused_transfer_is_counted_by_code_and_fails(
    florin: FakeFlorin, replay: Replay, write: Write
) -> None:
    florin.decline = {"berka:5"}
    result = replay("berka", write(BERKA))
    assert result.exit_code == 1
    shown = figures(result.output)
    assert shown["account_frozen"] == ["1"]
    assert shown["accounts equal to the sum of their rows"] == ["10", "8", "NOT EQUAL"]


def test_a_balance_that_is_off_by_a_heller_fails(florin: FakeFlorin, replay: Replay, write: Write) -> None:
    florin.wrong_balance = "berka:11"
    result = replay("berka", write(BERKA))
    assert result.exit_code == 1
    assert figures(result.output)["customers' money"] == ["1,243.54 CZK", "1,243.55 CZK", "NOT EQUAL"]


def test_a_part_is_proved_as_a_part_before_and_after_the_whole(
    florin: FakeFlorin, replay: Replay, write: Write
) -> None:
    path = write(BERKA)
    part = replay("berka", path, "--limit", 4)
    assert part.exit_code == 0, part.output
    assert figures(part.output)["accounts equal to the sum of their rows"] == ["4", "4", "equal"]
    assert replay("berka", path).exit_code == 0
    again = replay("berka", path, "--limit", 4)
    assert figures(again.output)["of these already there"] == ["4"]


@pytest.mark.parametrize("size", [2, 100])
def test_batches_end_at_the_same_sums(florin: FakeFlorin, replay: Replay, write: Write, size: int) -> None:
    path = write(BERKA)
    first = replay("berka", path, "--batch", size)
    assert first.exit_code == 0, first.output
    again = replay("berka", path, "--batch", size)
    assert again.exit_code == 0
    assert florin.effects["/v1/transfers"] == 11
    assert florin.order["berka:10"] == ["berka:1", "berka:3", "berka:4", "berka:10"]


def test_a_batch_counts_the_refused_item_alone(florin: FakeFlorin, replay: Replay, write: Write) -> None:
    florin.decline = {"berka:5"}
    result = replay("berka", write(BERKA), "--batch", 3)
    assert result.exit_code == 1
    shown = figures(result.output)
    assert (shown["transferred"], shown["account_frozen"]) == (["10"], ["1"])


def test_an_account_of_another_kind_under_the_code_stops_the_replay(
    florin: FakeFlorin, replay: Replay, write: Write
) -> None:
    florin.account("berka:cash", "liability", "CZK")
    result = replay("berka", write(BERKA))
    assert result.exit_code == 2
    assert "account berka:cash is there already, as liability in CZK" in result.output
    assert not florin.effects


def test_an_account_that_appears_meanwhile_is_looked_up(
    florin: FakeFlorin, replay: Replay, write: Write
) -> None:
    """The list before the creation is empty, as if somebody else ran the same replay."""
    for code in ("berka:cash", "berka:1", "berka:10", "berka:100"):
        florin.account(code, "asset" if code == "berka:cash" else "liability", "CZK")
    florin.hidden_lists = 1
    result = replay("berka", write(BERKA))
    assert result.exit_code == 0, result.output
    assert balances(florin)["1"] == balances(florin)["100"] == 0


def test_a_list_that_is_not_filtered_is_filtered_here(
    florin: FakeFlorin, replay: Replay, write: Write
) -> None:
    florin.filters_by_prefix = False
    florin.account("other", "asset", "USD")
    assert replay("berka", write(BERKA)).exit_code == 0


def test_accounts_and_rows_are_spread_over_the_lanes_evenly() -> None:
    rows = berka_file.read(shared("berka"))
    lanes = berka.lanes_of(rows, 64)
    assert Counter(row.trans_id for lane in lanes for row in lane).total() == len(rows)
    homes = Counter(account_id for lane in lanes for account_id in {row.account_id for row in lane})
    assert set(homes.values()) == {1}
    assert max(map(len, lanes)) - min(map(len, lanes)) < 60


def test_the_real_bank_is_replayed_to_the_heller(florin: FakeFlorin, replay: Replay) -> None:
    """In batches: the fake's own time would be most of one request per transfer."""
    path: Path = shared("berka")
    result = replay("berka", path, "--batch", 500)
    assert result.exit_code == 0, result.output
    shown = figures(result.output)
    assert shown["transferred"] == ["49,102"]
    assert shown["accounts equal to the sum of their rows"] == ["1,236", "1,236", "equal"]
    agreeing = shown["of 1,229 customers, within 1.00 of the bank's own last balance"]
    assert agreeing == ["1,201", "1,201", "equal"]
