"""The shop's invoices as card payments over HTTP, every 20th refunded in part."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from florin.cli.replay import proof
from florin.cli.replay.client import Answer, Api
from florin.cli.replay.lanes import run_lanes
from florin.cli.replay.report import Check, Tally, money
from florin.cli.replay.retail_file import CURRENCY, Invoice

TAKEN: Final = "taken"
REFUNDED: Final = "refunded"
_EVERY: Final = 20
_DONE: Final = {
    TAKEN: frozenset({"completed", "partially_refunded", "refunded"}),
    REFUNDED: frozenset({"completed"}),
}


@dataclass(frozen=True, slots=True)
class Sale:
    """A payment to take, and what to give back of it; 0 for nothing."""

    invoice: Invoice
    refund_minor: int


@dataclass(slots=True)
class Moved:
    """What this run has moved on the ledger.

    What is only perhaps of this run was answered as a replay, but to a call that had been tried before
    without a clear answer: its effect may be that earlier attempt's, or an earlier run's.
    """

    surely_minor: int = 0
    perhaps_taken_minor: int = 0
    perhaps_refunded_minor: int = 0

    def add(self, signed_minor: int, answer: Answer) -> None:
        """One answered movement; a refund is negative."""
        if not answer.replayed:
            self.surely_minor += signed_minor
        elif answer.retried and signed_minor > 0:
            self.perhaps_taken_minor += signed_minor
        elif answer.retried:
            self.perhaps_refunded_minor -= signed_minor

    @property
    def least_minor(self) -> int:
        """The least that the balances can have grown by."""
        return self.surely_minor - self.perhaps_refunded_minor

    @property
    def most_minor(self) -> int:
        """The most that the balances can have grown by."""
        return self.surely_minor + self.perhaps_taken_minor


def sales_of(invoices: Sequence[Invoice], tally: Tally) -> list[Sale]:
    """The invoices that are payments, in order; the others are counted as skipped, by reason.

    Half of every 20th is to be refunded, rounded up: a payment of a single penny goes back whole.
    """
    sales: list[Sale] = []
    for invoice in invoices:
        if reason := invoice.why_not_taken:
            tally.skipped[reason] += 1
            continue
        due = (len(sales) + 1) % _EVERY == 0
        sales.append(Sale(invoice, (invoice.total_minor + 1) // 2 if due else 0))
    return sales


def payment(invoice: Invoice) -> dict[str, Any]:
    """The body of an invoice's payment."""
    return {
        "amount": invoice.total_minor,
        "currency": CURRENCY,
        "method": {"type": "card", "token": "tok_success"},
        "description": f"Invoice {invoice.number}, {invoice.lines} lines",
        "metadata": {"invoice": invoice.number, "country": invoice.country},
    }


async def send(
    api: Api, sales: Sequence[Sale], tally: Tally, *, concurrency: int, advance: Callable[[int], None]
) -> Moved:
    """Takes every sale's payment, then makes its refund; tells `advance`. Returns what was moved."""
    moved = Moved()

    async def take(sale: Sale) -> None:
        invoice = sale.invoice
        answer = await api.post("/v1/payments", payment(invoice), f"retail:{invoice.number}")
        if _count(tally, TAKEN, invoice.total_minor, answer):
            moved.add(invoice.total_minor, answer)
            if sale.refund_minor:
                await refund(str(answer.body["id"]), sale)
        advance(1)

    async def refund(payment_id: str, sale: Sale) -> None:
        body = {"payment": payment_id, "amount": sale.refund_minor}
        answer = await api.post("/v1/refunds", body, f"retail:{sale.invoice.number}:refund")
        if _count(tally, REFUNDED, sale.refund_minor, answer):
            moved.add(-sale.refund_minor, answer)

    await run_lanes([iter(sales)] * concurrency, take, api.stop)
    return moved


def _count(tally: Tally, what: str, amount_minor: int, answer: Answer) -> bool:
    """Whether it was done in full; if not, it is counted as refused by its code."""
    tally.time(answer)
    if not answer.ok:
        tally.refused[answer.code] += 1
        return False
    status = answer.body.get("status")
    if status not in _DONE[what]:
        tally.refused[f"not {what}, but {status}"] += 1
        return False
    if answer.body.get("amount") != amount_minor:
        tally.refused[f"{what}, but another amount"] += 1
        return False
    tally.count(what, amount_minor, replayed=answer.replayed)
    return True


async def standing(api: Api) -> dict[str, int]:
    """The GBP balances that payments move, summed over providers and over partners."""
    receivable = await proof.balances(api, "provider:", f":receivable:{CURRENCY}")
    payable = await proof.balances(api, "partner:", f":payable:{CURRENCY}")
    return {
        "provider receivable": sum(receivable.values()),
        "partner payable": sum(payable.values()),
    }


async def prove(api: Api, before: dict[str, int], moved: Moved) -> list[Check]:
    """Compares the change of the balances with the plain sum of what this run took and refunded.

    Other GBP payments of the tenant in the meantime show as a difference.
    """
    after = await standing(api)
    least_minor, most_minor = moved.least_minor, moved.most_minor
    expected = money(least_minor, CURRENCY)
    if most_minor != least_minor:
        expected = f"{expected} to {money(most_minor, CURRENCY)}"
    changes = {name: balance_minor - before[name] for name, balance_minor in after.items()}
    return [
        *(
            Check(
                what=f"change of {name}",
                expected=expected,
                found=money(change_minor, CURRENCY),
                holds=least_minor <= change_minor <= most_minor,
            )
            for name, change_minor in changes.items()
        ),
        await proof.trial_balance(api, CURRENCY),
    ]
