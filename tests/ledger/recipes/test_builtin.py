"""The recipes that come with Florin are the posting table of the design."""

from typing import Any

import pytest

from florin.kernel.ids import encode_id, new_id
from florin.ledger.model import NORMAL_SIDE, AccountType, Direction
from florin.ledger.recipes.builtin import built_in, built_in_templates
from florin.ledger.recipes.filling import fill, sides_of

BANK = encode_id("acct", new_id())
OTHER = encode_id("acct", new_id())
USD = {"currency": "USD"}
PARTNER, PROVIDER = {"partner": "p"}, {"provider": "s"}

TABLE: list[tuple[str, dict[str, Any], dict[str, int]]] = [
    (
        "payment.captured",
        {"amount": 100, **USD, **PARTNER, **PROVIDER},
        {"provider:s:receivable:USD": 100, "partner:p:payable:USD": -100},
    ),
    (
        "fee.charged",
        {"fee": 30, "tax": 5, **USD, **PARTNER},
        {"partner:p:payable:USD": 35, "fees:income:USD": -30, "tax:payable:USD": -5},
    ),
    ("fee.charged", {"fee": 30, **USD, **PARTNER}, {"partner:p:payable:USD": 30, "fees:income:USD": -30}),
    (
        "refund.completed",
        {"amount": 100, **USD, **PARTNER, **PROVIDER},
        {"partner:p:payable:USD": 100, "provider:s:receivable:USD": -100},
    ),
    (
        "provider.paid_out",
        {"amount": 100, "fee": 3, "bank": BANK, **USD, **PROVIDER},
        {BANK: 97, "provider:s:fees:USD": 3, "provider:s:receivable:USD": -100},
    ),
    (
        "reserve.held",
        {"amount": 100, **USD, **PARTNER},
        {"partner:p:payable:USD": 100, "partner:p:reserve:USD": -100},
    ),
    (
        "reserve.released",
        {"amount": 100, **USD, **PARTNER},
        {"partner:p:reserve:USD": 100, "partner:p:payable:USD": -100},
    ),
    (
        "partner.paid_out",
        {"amount": 100, "bank": BANK, **USD, **PARTNER},
        {"partner:p:payable:USD": 100, BANK: -100},
    ),
    (
        "chargeback.lost",
        {"amount": 100, **USD, **PARTNER, **PROVIDER},
        {"partner:p:payable:USD": 100, "provider:s:receivable:USD": -100},
    ),
    (
        "wallet.topped_up",
        {"amount": 100, "wallet": BANK, **USD, **PROVIDER},
        {"provider:s:receivable:USD": 100, BANK: -100},
    ),
    ("wallet.transferred", {"amount": 100, "payer": BANK, "payee": OTHER}, {BANK: 100, OTHER: -100}),
    (
        "bill.held",
        {"amount": 100, "wallet": BANK, "operator": "o", **USD},
        {BANK: 100, "operator:o:payable:USD": -100},
    ),
    (
        "bill.paid",
        {"amount": 100, "wallet": BANK, "operator": "o", **USD},
        {BANK: 100, "operator:o:payable:USD": -100},
    ),
    (
        "commission.paid",
        {"amount": 100, "tax": 2, "wallet": BANK, **USD},
        {"commission:expense:USD": 100, BANK: -98, "tax:withheld:USD": -2},
    ),
    (
        "trade.invoiced",
        {"amount": 100, "tax": 18, "vendor": "v", "retailer": "r", **USD},
        {"trade:r:owes:v:USD": 118, "trade:v:sales:USD": -100, "tax:payable:USD": -18},
    ),
    (
        "trade.paid",
        {"amount": 118, "paid_into": BANK, "vendor": "v", "retailer": "r", **USD},
        {BANK: 118, "trade:r:owes:v:USD": -118},
    ),
]


@pytest.mark.parametrize(("name", "parameters", "expected"), TABLE)
def test_a_row_of_the_posting_table(name: str, parameters: dict[str, Any], expected: dict[str, int]) -> None:
    filled = fill(built_in(name), parameters, {"USD": 2}, ours=True)
    legs = {
        leg.account if isinstance(leg.account, str) else encode_id("acct", leg.account): leg.amount_minor
        for leg in filled.legs
    }
    assert legs == expected
    assert filled.description


def test_every_recipe_is_in_the_table_and_only_bills_hold() -> None:
    assert {name for name, *_ in TABLE} == set(built_in_templates())
    assert [name for name in built_in_templates() if built_in(name).hold] == ["bill.held"]


def test_accounts_that_recipes_share_are_made_alike() -> None:
    kinds: dict[str, set[tuple[AccountType, str]]] = {}
    for name, parameters, _ in TABLE:
        for leg in fill(built_in(name), parameters, {"USD": 2}, ours=True).legs:
            if leg.making is not None:
                kinds.setdefault(leg.making.code, set()).add((leg.making.type, leg.making.name))
    assert all(len(ways) == 1 for ways in kinds.values())
    assert NORMAL_SIDE[next(iter(kinds["trade:r:owes:v:USD"]))[0]] is Direction.DEBIT


def test_payments_take_their_two_accounts_from_a_recipe() -> None:
    debit, credit = sides_of(built_in("payment.captured"), {"partner": "p", "provider": "s", **USD})
    assert (debit.code, debit.type, debit.currency) == ("provider:s:receivable:USD", AccountType.ASSET, "USD")
    assert (credit.code, credit.name) == ("partner:p:payable:USD", "Payable to p, USD")
    with pytest.raises(ValueError, match="other legs"):
        sides_of(built_in("wallet.transferred"), {})
