import signal

from florin.cli.replay.client import Answer
from florin.cli.replay.report import Tally
from florin.cli.replay.retail import Moved, Sale, sales_of
from florin.cli.replay.retail_file import Invoice
from tests.cli.replay.conftest import Replay, Write, shared
from tests.cli.replay.fake_florin import FakeFlorin
from tests.cli.replay.samples import RETAIL, retail_of
from tests.cli.replay.test_berka import figures


def test_positive_invoices_are_taken_and_the_others_reported(
    florin: FakeFlorin, replay: Replay, write: Write
) -> None:
    result = replay("retail", write(RETAIL))
    assert result.exit_code == 0, result.output
    shown = figures(result.output)
    assert shown["taken"] == ["2"]
    assert shown["amount"] == ["70.00 GBP"]
    assert shown["skipped: cancellation"] == ["1"]
    assert shown["skipped: total is zero or less"] == ["1"]
    assert shown["change of partner payable"] == ["70.00 GBP", "70.00 GBP", "equal"]
    assert {code: account["balance"] for code, account in florin.accounts.items()} == {
        "provider:sandbox:receivable:GBP": 70_00,
        "partner:ptnr_1:payable:GBP": 70_00,
    }


def test_half_of_every_twentieth_payment_is_refunded(
    florin: FakeFlorin, replay: Replay, write: Write
) -> None:
    result = replay("retail", write(retail_of(45)))
    assert result.exit_code == 0, result.output
    assert florin.effects == {"/v1/payments": 45, "/v1/refunds": 2}
    taken, refunded = sum(range(46)) * 100, (20 + 40) * 50
    assert florin.accounts["partner:ptnr_1:payable:GBP"]["balance"] == taken - refunded
    assert figures(result.output)["refunded"] == ["2"]


def test_skipped_invoices_do_not_shift_what_is_refunded() -> None:
    invoices = [Invoice(str(n), "Norway", 1, 0 if n % 2 else n) for n in range(1, 81)]
    tally = Tally()
    sales = sales_of(invoices, tally)
    assert [sale.invoice.number for sale in sales if sale.refund_minor] == ["40", "80"]
    assert tally.skipped == {"total is zero or less": 40}


def test_a_single_penny_is_refunded_whole() -> None:
    sales = sales_of([Invoice(str(n), "Norway", 1, 1) for n in range(20)], Tally())
    assert sales[-1] == Sale(Invoice("19", "Norway", 1, 1), refund_minor=1)


def test_a_second_replay_moves_nothing(florin: FakeFlorin, replay: Replay, write: Write) -> None:
    path = write(retail_of(21))
    replay("retail", path)
    result = replay("retail", path)
    assert result.exit_code == 0, result.output
    shown = figures(result.output)
    assert shown["change of provider receivable"] == ["0.00 GBP", "0.00 GBP", "equal"]
    assert florin.effects == {"/v1/payments": 21, "/v1/refunds": 1}


def test_ctrl_c_and_faults_do_not_charge_twice(florin: FakeFlorin, replay: Replay, write: Write) -> None:
    path = write(retail_of(60))
    florin.faults.extend([503, 0, 429, 0, "cut", 0, 503])
    florin.on_effect = lambda count: signal.raise_signal(signal.SIGINT) if count == 12 else None
    first = replay("retail", path)
    assert first.exit_code == 130, first.output
    assert florin.effects["/v1/payments"] < 60
    florin.on_effect = lambda _: None
    florin.faults.extend(["cut", "cut", 503])
    second = replay("retail", path)
    assert second.exit_code == 0, second.output
    assert florin.effects == {"/v1/payments": 60, "/v1/refunds": 3}


def test_a_declined_payment_is_an_unexpected_refusal(
    florin: FakeFlorin, replay: Replay, write: Write
) -> None:
    florin.decline = {"retail:536390"}
    result = replay("retail", write(RETAIL))
    assert result.exit_code == 1
    shown = figures(result.output)
    assert shown["payment_declined"] == ["1"]
    assert shown["change of partner payable"] == ["60.00 GBP", "60.00 GBP", "equal"]


def test_a_balance_that_does_not_follow_fails(florin: FakeFlorin, replay: Replay, write: Write) -> None:
    path = write(RETAIL)
    replay("retail", path, "--limit", 1)
    florin.on_effect = lambda _: florin.move(florin.accounts["provider:sandbox:receivable:GBP"], 1)
    result = replay("retail", path)
    assert result.exit_code == 1
    shown = figures(result.output)
    assert shown["change of provider receivable"] == ["10.00 GBP", "10.01 GBP", "NOT EQUAL"]
    assert shown["trial balance"] == ["0.00 GBP", "0.01 GBP", "NOT EQUAL"]


def test_a_replay_after_a_lost_answer_may_be_of_either_run() -> None:
    def answer(*, replayed: bool, retried: bool) -> Answer:
        return Answer(200, {}, replayed=replayed, retried=retried, latency_s=0)

    moved = Moved()
    moved.add(100, answer(replayed=False, retried=True))
    moved.add(1000, answer(replayed=True, retried=False))
    assert (moved.least_minor, moved.most_minor) == (100, 100)
    moved.add(20, answer(replayed=True, retried=True))
    moved.add(-3, answer(replayed=True, retried=True))
    assert (moved.least_minor, moved.most_minor) == (97, 120)


def test_the_real_shop_is_taken_to_the_penny(florin: FakeFlorin, replay: Replay) -> None:
    result = replay("retail", shared("orders/online_retail.csv"))
    assert result.exit_code == 0, result.output
    shown = figures(result.output)
    assert (shown["taken"], shown["refunded"]) == (["236"], ["11"])
    assert florin.effects == {"/v1/payments": 236, "/v1/refunds": 11}
