"""Currency exchange over HTTP."""

from typing import Any

import pytest

from tests.ledger.test_http import Body, Client, problem


@pytest.fixture
async def wallets(api: Client) -> tuple[str, str]:
    return await api.account("usd", min_balance=-100_000), await api.account("eur", currency="EUR")


def exchange(sell: str, buy: str, amount: int, rate: str, agreed: int | None = None, **more: Any) -> Body:
    bought = {"account": buy} | ({} if agreed is None else {"amount": agreed})
    return {"sell": {"account": sell, "amount": amount}, "buy": bought, "rate": rate, "source": "ECB"} | more


async def test_each_currency_balances_through_its_position(api: Client, wallets: tuple[str, str]) -> None:
    usd, eur = wallets
    body = exchange(usd, eur, 10_001, "0.92135", quoted_at="2026-11-20T12:00:00Z", correlation_id="order-1")
    posted = await api.post("/v1/exchanges", body, key="k")
    assert posted.status_code == 201, posted.text
    told = posted.json()
    assert told["exchange"] == {
        "rate": "0.92135",
        "source": "ECB",
        "quoted_at": "2026-11-20T12:00:00Z",
        "sell": {"currency": "USD", "amount": 10_001},
        "buy": {"currency": "EUR", "amount": 9214},
        "exact": "9214.42135",
        "rounding": "half_even",
        "remainder": "0.42135",
        "difference": 0,
    }
    assert [(entry["currency"], entry["direction"], entry["amount"]) for entry in told["entries"]] == [
        ("USD", "debit", 10_001),
        ("USD", "credit", 10_001),
        ("EUR", "debit", 9214),
        ("EUR", "credit", 9214),
    ]
    assert (await api.post("/v1/exchanges", body, key="k")).json() == told
    assert (await api.get("/v1/exchanges/positions"))["data"] == [
        {"currency": "EUR", "position": -9214, "rounding": 0},
        {"currency": "USD", "position": 10_001, "rounding": 0},
    ]
    trial = (await api.get("/v1/trial-balance"))["data"]
    assert [one["difference"] for one in trial] == [0, 0]


async def test_what_was_agreed_beside_the_rate_is_a_leg_of_its_own(
    api: Client, wallets: tuple[str, str]
) -> None:
    usd, eur = wallets
    posted = await api.post("/v1/exchanges", exchange(usd, eur, 10_000, "0.92135", 9213))
    assert (len(posted.json()["entries"]), posted.json()["exchange"]["difference"]) == (5, -1)
    generous = await api.post("/v1/exchanges", exchange(usd, eur, 10_000, "0.92135", 9217, tolerance=3))
    assert generous.json()["exchange"]["difference"] == 3
    assert (await api.get("/v1/exchanges/positions"))["data"][0] == {
        "currency": "EUR",
        "position": -9214 - 9214,
        "rounding": -2,
    }
    mismatch = await api.post("/v1/exchanges", exchange(usd, eur, 10_000, "0.92135", 9216))
    assert problem(mismatch) == (422, "rate_mismatch", "buy.amount")
    assert "9214" in mismatch.json()["detail"]


async def test_exponents_differ_between_currencies(api: Client) -> None:
    usd = await api.account("usd")
    yen, dinar = await api.account("jpy", currency="JPY"), await api.account("kwd", currency="KWD")
    to_yen = (await api.post("/v1/exchanges", exchange(usd, yen, 10_050, "151.37"))).json()
    assert to_yen["exchange"]["buy"]["amount"] == 15_213  # 100.50 * 151.37 = 15212.685 yen
    to_dinar = (await api.post("/v1/exchanges", exchange(yen, dinar, 1000, "0.00203", rounding="up"))).json()
    assert (to_dinar["exchange"]["buy"]["amount"], to_dinar["exchange"]["remainder"]) == (2030, "0.00")


async def test_assets_are_exchanged_the_other_way_round(api: Client) -> None:
    usd = await api.account("bank:usd", "asset")
    eur = await api.account("bank:eur", "asset", currency="EUR")
    posted = (await api.post("/v1/exchanges", exchange(usd, eur, 100, "0.5"))).json()
    assert [entry["balance_after"] for entry in posted["entries"]] == [-100, -100, 50, 50]


async def test_what_cannot_be_exchanged_names_its_field(api: Client, wallets: tuple[str, str]) -> None:
    usd, eur = wallets
    poor, bank = await api.account("poor", min_balance=0), await api.account("b", "asset", currency="EUR")
    unknown = "acct_01m7wp2t4je8a8j7fjxerabad3"
    for body, expected in [
        (exchange(usd, await api.account("usd2"), 5, "1"), (422, "same_currency", "buy.account")),
        (exchange(usd, bank, 5, "1"), (422, "sides_differ", "buy.account")),
        (exchange(usd, eur, 1, "0.4"), (422, "exchange_too_small", "sell.amount")),
        (exchange(usd, eur, 10**15, "999999999999"), (422, "amount_out_of_range", "sell.amount")),
        (exchange(poor, eur, 5, "1"), (422, "insufficient_funds", "sell.amount")),
        (exchange(unknown, eur, 5, "1"), (404, "account_not_found", "sell.account")),
        (exchange(usd, unknown, 5, "1"), (404, "account_not_found", "buy.account")),
        (exchange(usd, eur, 5, "0.00"), (422, "invalid_request", "rate")),
        (exchange(usd, eur, 5, "1e3"), (422, "invalid_request", "rate")),
        (exchange(usd, eur, 5, "1", rounding="odd"), (422, "invalid_request", "rounding")),
    ]:
        assert problem(await api.post("/v1/exchanges", body)) == expected, body
    assert (await api.get("/v1/transfers"))["data"] == []


async def test_an_exchange_is_tried_without_making_a_thing(api: Client, wallets: tuple[str, str]) -> None:
    usd, eur = wallets
    body = exchange(usd, eur, 10_000, "0.92", 9201, dry_run=True)
    tried = await api.http.post("/v1/exchanges", json=body)
    assert tried.status_code == 200, tried.text
    assert [leg["amount"] for leg in tried.json()["data"][0]["legs"]] == [10_000, 10_000, 9200, 9201, 1]
    assert (await api.get("/v1/exchanges/positions"))["data"] == []
    poor = await api.account("poor", min_balance=0)
    refused = await api.http.post("/v1/exchanges", json=exchange(poor, eur, 5, "1", dry_run=True))
    assert refused.json()["data"][0]["problem"]["param"] == "sell.amount"
