"""Dry runs over HTTP."""

from tests.ledger.test_http import Client, two_legs


async def test_each_transfer_is_answered_and_the_balances_are_told_but_nothing_is_written(
    api: Client,
) -> None:
    cash, wallet = await api.account("cash", "asset"), await api.account("w", min_balance=0, max_balance=100)
    body = {
        "transfers": [
            two_legs(cash, wallet, 60),
            two_legs(cash, wallet, 50),
            two_legs(wallet, cash, 10),
            two_legs(wallet, cash, 51),
            two_legs(cash, cash, 1),
        ]
    }
    answer = await api.http.post("/v1/transfers/dry-run", json=body)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert [one["status"] for one in told["data"]] == [201, 422, 201, 422, 422]
    assert told["data"][2]["legs"][0] == {
        "account": wallet,
        "currency": "USD",
        "direction": "debit",
        "amount": 10,
        "balance_before": 60,
        "balance_after": 50,
    }
    above, below = told["data"][1]["problem"], told["data"][3]["problem"]
    assert (above["code"], above["param"]) == ("balance_above_maximum", "transfers[1].legs[1].amount")
    assert (above["account"], above["rule"]["bound"]) == (wallet, "max_balance")
    assert (above["rule"]["value"], above["rule"]["balance"]) == (100, 110)
    assert below["rule"] == {"bound": "min_balance", "value": 0, "balance": -1, "limit": None}
    assert told["data"][4]["problem"]["param"] == "transfers[4].legs[1].account"
    held = {one["account"]: (one["balance"], one["available"]) for one in told["balances"]}
    assert held == {cash: (50, 50), wallet: (50, 50)}
    assert (await api.get("/v1/transfers"))["data"] == []
    assert (await api.get(f"/v1/accounts/{wallet}/balance"))["entry_seq"] == 0


async def test_an_atomic_dry_run_asks_bounds_of_what_the_whole_set_leaves(api: Client) -> None:
    cash, wallet = await api.account("cash", "asset"), await api.account("w", min_balance=0)
    transfers = [two_legs(wallet, cash, 30), two_legs(cash, wallet, 50)]
    passing = await api.http.post("/v1/transfers/dry-run", json={"transfers": transfers, "atomic": True})
    assert [one["status"] for one in passing.json()["data"]] == [201, 201]
    transfers[0] = two_legs(wallet, cash, 80)
    refused = (
        await api.http.post("/v1/transfers/dry-run", json={"transfers": transfers, "atomic": True})
    ).json()
    assert [one["problem"]["code"] for one in refused["data"]] == ["insufficient_funds", "set_refused"]
    assert refused["data"][0]["problem"]["rule"]["balance"] == -30
    assert [one["balance"] for one in refused["balances"]] == [0, 0]


async def test_what_holds_reserve_counts_against_the_bound(api: Client) -> None:
    cash, wallet = await api.account("cash", "asset"), await api.account("w", min_balance=0)
    await api.post("/v1/transfers", two_legs(cash, wallet, 100))
    await api.post("/v1/holds", two_legs(wallet, cash, 70))
    told = (
        await api.http.post("/v1/transfers/dry-run", json={"transfers": [two_legs(wallet, cash, 40)]})
    ).json()
    assert told["data"][0]["problem"]["rule"]["balance"] == -10
    assert {one["account"]: one["available"] for one in told["balances"]}[wallet] == 30
