import pytest

from florin.cli.replay import retail_file
from florin.cli.replay.errors import BadInput
from tests.cli.replay.conftest import Write, shared
from tests.cli.replay.samples import RETAIL


def test_lines_of_an_invoice_are_added_wherever_they_stand(write: Write) -> None:
    invoices = retail_file.read(write(RETAIL))
    assert [(i.number, i.lines, i.total_minor) for i in invoices] == [
        ("536389", 2, 60_00),
        ("C536379", 1, -27_50),
        ("536390", 1, 10_00),  # 3 x 3.335 is 10.005, rounded once, half to even
        ("536391", 1, -25_50),
    ]


def test_cancellations_and_totals_of_zero_or_less_are_no_payments(write: Write) -> None:
    reasons = [invoice.why_not_taken for invoice in retail_file.read(write(RETAIL))]
    assert reasons == [None, "cancellation", None, "total is zero or less"]


def test_a_total_that_rounds_to_nothing_is_no_payment(write: Write) -> None:
    header = RETAIL.partition("\n")[0]
    [invoice] = retail_file.read(write(f"{header}\n1,1,PIN,1,12/1/2010 9:00,0.004,1,Norway\n"))
    assert (invoice.total_minor, invoice.why_not_taken) == (0, "total is zero or less")


def test_a_total_beyond_the_largest_amount_is_no_payment(write: Write) -> None:
    header = RETAIL.partition("\n")[0]
    [invoice] = retail_file.read(write(f"{header}\n1,1,PIN,1000000000,12/1/2010 9:00,1e10,1,Norway\n"))
    assert invoice.why_not_taken == "total beyond the largest amount"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (",1,CUP,1,12/1/2010 9:00,1.00,1,Norway", "InvoiceNo is empty"),
        ("1,1,CUP,1.5,12/1/2010 9:00,1.00,1,Norway", "Quantity '1.5' is not a whole number"),
        ("1,1,CUP,1,12/1/2010 9:00,free,1,Norway", "UnitPrice 'free' is not a number"),
        ("", "has no invoices"),
    ],
)
def test_a_line_that_is_no_sale_is_refused(write: Write, line: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        retail_file.read(write(f"{RETAIL.partition(chr(10))[0]}\n{line}"))


def test_the_real_file_has_236_invoices_of_93029_pounds_47() -> None:
    invoices = retail_file.read(shared("orders/online_retail.csv"))
    assert len(invoices) == 236
    assert sum(invoice.total_minor for invoice in invoices) == 93_029_47
    assert all(invoice.why_not_taken is None for invoice in invoices)
