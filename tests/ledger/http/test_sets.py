"""Sets, corrections and partial reversals over HTTP."""

from tests.ledger.test_http import Client, problem, two_legs


async def balances(api: Client, *accounts: str) -> list[int]:
    return [(await api.get(f"/v1/accounts/{account}/balance"))["balance"] for account in accounts]


async def test_a_set_is_posted_in_full_and_told_again_to_its_key(api: Client) -> None:
    cash, wallet = await api.account("cash", "asset"), await api.account("wallet", min_balance=0)
    # The first alone would overdraw the wallet: bounds are asked of what both leave.
    body = {"transfers": [two_legs(wallet, cash, 300), two_legs(cash, wallet, 500)]}
    posted = await api.post("/v1/transfers/sets", body, key="k")
    assert posted.status_code == 201, posted.text
    assert [one["entries"][0]["balance_after"] for one in posted.json()["data"]] == [-300, 200]
    again = await api.post("/v1/transfers/sets", body, key="k")
    assert (again.status_code, again.json()) == (201, posted.json())
    assert again.headers["idempotent-replayed"] == "true"
    other = {"transfers": [two_legs(cash, wallet, 500)]}
    assert problem(await api.post("/v1/transfers/sets", other, key="k")) == (
        422,
        "idempotency_key_reused",
        None,
    )
    assert await balances(api, cash, wallet) == [200, 200]


async def test_a_set_with_one_bad_transfer_posts_nothing_and_names_it(api: Client) -> None:
    cash, wallet = await api.account("cash", "asset"), await api.account("wallet", min_balance=0)
    body = {"transfers": [two_legs(cash, wallet, 5), two_legs(cash, wallet, 7), two_legs(wallet, cash, 90)]}
    for _ in range(2):  # a refusal is kept under its key
        refused = await api.post("/v1/transfers/sets", body, key="k")
        assert problem(refused) == (422, "insufficient_funds", "transfers[2].legs[0].amount")
    body["transfers"][1]["legs"][1]["amount"] = 8
    body["transfers"][1]["currency"] = "USD"
    assert problem(await api.post("/v1/transfers/sets", body)) == (422, "unbalanced", "transfers[1].legs")
    body["transfers"][1] = two_legs(cash, cash, 7)
    assert problem(await api.post("/v1/transfers/sets", body)) == (
        422,
        "account_repeated",
        "transfers[1].legs[1].account",
    )
    assert await balances(api, cash, wallet) == [0, 0]
    assert (await api.get("/v1/transfers"))["data"] == []


async def test_a_set_needs_a_key_and_at_least_one_transfer(api: Client) -> None:
    cash, wallet = await api.account("cash", "asset"), await api.account("wallet")
    keyless = await api.http.post("/v1/transfers/sets", json={"transfers": [two_legs(cash, wallet, 1)]})
    assert problem(keyless) == (400, "idempotency_key_missing", None)
    assert problem(await api.post("/v1/transfers/sets", {"transfers": []}))[2] == "transfers"


async def test_a_transfer_is_reversed_in_parts_until_nothing_is_left(api: Client) -> None:
    cash, wallet = await api.account("cash", "asset"), await api.account("wallet")
    posted = (await api.post("/v1/transfers", two_legs(cash, wallet, 10))).json()
    path = f"/v1/transfers/{posted['id']}/reverse"
    first = await api.post(path, {"amount": 4, "correlation_id": "case-1", "description": "Goodwill"})
    assert first.status_code == 201, first.text
    assert (first.json()["reverses"], first.json()["correlation_id"]) == (posted["id"], "case-1")
    too_much = await api.post(path, {"amount": 7})
    assert problem(too_much) == (422, "reversal_amount_exceeded", "amount")
    assert "6 is left" in too_much.json()["detail"]
    second = await api.post(path, two_legs(cash, wallet, 1))
    assert second.status_code == 201, second.text
    rest = await api.post(path)
    assert [entry["amount"] for entry in rest.json()["entries"]] == [5, 5]
    assert problem(await api.post(path))[1] == "already_reversed"
    read = await api.get(f"/v1/transfers/{posted['id']}")
    assert [one["id"] for one in (first.json(), second.json(), rest.json())] == read["reversed_by"]
    assert [entry["reversed"] for entry in read["entries"]] == [10, 10]
    assert await balances(api, cash, wallet) == [0, 0]


async def test_a_partial_reversal_that_cannot_be_names_its_field(api: Client) -> None:
    cash, wallet, fees = [await api.account(code) for code in ("cash", "wallet", "fees")]
    posted = (await api.post("/v1/transfers", two_legs(cash, wallet, 10))).json()
    path = f"/v1/transfers/{posted['id']}/reverse"
    for body, expected in [
        (two_legs(cash, fees, 5), ("account_not_in_transfer", "legs[1].account")),
        (two_legs(wallet, cash, 5), ("reversal_amount_exceeded", "legs[0].amount")),
        (two_legs(cash, wallet, 11), ("reversal_amount_exceeded", "legs[0].amount")),
        (two_legs(cash, cash, 1), ("account_repeated", "legs[1].account")),
        (two_legs(cash, wallet, 1) | {"amount": 1}, ("invalid_request", "amount")),
        ({"amount": 0}, ("invalid_request", "amount")),
    ]:
        assert problem(await api.post(path, body))[1:] == expected
    three = {
        "legs": [*two_legs(cash, wallet, 3)["legs"], {"account": fees, "direction": "debit", "amount": 1}]
    }
    three["legs"][0]["amount"] = 2
    posted = (await api.post("/v1/transfers", three)).json()
    refused = await api.post(f"/v1/transfers/{posted['id']}/reverse", {"amount": 1})
    assert problem(refused) == (422, "legs_required", "amount")


async def test_a_correction_takes_back_and_posts_anew_in_one(api: Client) -> None:
    cash, wallet = await api.account("cash", "asset"), await api.account("w", min_balance=0)
    other = await api.account("other", min_balance=0)
    posted = (await api.post("/v1/transfers", two_legs(cash, wallet, 10))).json()
    path = f"/v1/transfers/{posted['id']}/correct"
    body = two_legs(cash, other, 12) | {"description": "Wrong wallet", "correlation_id": "case-2"}
    corrected = await api.post(path, body, key="k")
    assert corrected.status_code == 201, corrected.text
    assert (corrected.json()["kind"], corrected.json()["corrects"]) == ("repost", posted["id"])
    assert (await api.post(path, body, key="k")).json() == corrected.json()
    assert await balances(api, cash, wallet, other) == [12, 0, 12]
    read = await api.get(f"/v1/transfers/{posted['id']}")
    assert len(read["reversed_by"]) == 1
    assert problem(await api.post(path, body)) == (409, "already_reversed", None)
    again = await api.post(f"/v1/transfers/{corrected.json()['id']}/correct", two_legs(cash, wallet, 5))
    assert again.status_code == 201, again.text
    assert await balances(api, cash, wallet, other) == [5, 5, 0]


async def test_a_correction_that_is_refused_changes_nothing(api: Client) -> None:
    cash, wallet = await api.account("cash", "asset"), await api.account("w", min_balance=0)
    posted = (await api.post("/v1/transfers", two_legs(cash, wallet, 10))).json()
    assert (await api.post("/v1/transfers", two_legs(wallet, cash, 8))).status_code == 201
    path = f"/v1/transfers/{posted['id']}/correct"
    assert problem(await api.post(path, two_legs(cash, wallet, 7))) == (
        422,
        "insufficient_funds",
        "legs[1].amount",
    )
    tried = await api.post(path, two_legs(cash, wallet, 7) | {"dry_run": True})
    assert tried.status_code == 200, tried.text
    assert tried.json()["data"][0]["problem"]["code"] == "insufficient_funds"
    assert tried.json()["data"][0]["problem"]["rule"]["balance"] == -1
    assert await balances(api, cash, wallet) == [2, 2]
    passing = await api.post(path, two_legs(cash, wallet, 9) | {"dry_run": True})
    assert passing.json()["data"][0]["status"] == 201
    assert [one["balance"] for one in passing.json()["balances"]] == [1, 1]
    assert await balances(api, cash, wallet) == [2, 2]


async def test_a_reversal_is_tried_without_being_made(api: Client) -> None:
    cash, wallet = await api.account("cash", "asset"), await api.account("w", min_balance=0)
    posted = (await api.post("/v1/transfers", two_legs(cash, wallet, 10))).json()
    await api.post("/v1/transfers", two_legs(wallet, cash, 8))
    path = f"/v1/transfers/{posted['id']}/reverse"
    tried = (await api.http.post(path, json={"dry_run": True})).json()["data"][0]
    assert (tried["status"], tried["problem"]["code"]) == (422, "insufficient_funds")
    assert tried["problem"]["rule"] == {"bound": "min_balance", "value": 0, "balance": -8, "limit": None}
    part = (await api.http.post(path, json={"dry_run": True, "amount": 2})).json()
    assert part["data"][0]["status"] == 201
    assert [one["balance"] for one in part["balances"]] == [0, 0]
    too_much = (await api.http.post(path, json={"dry_run": True, "amount": 11})).json()["data"][0]["problem"]
    assert (too_much["code"], too_much["param"]) == ("reversal_amount_exceeded", "amount")
    assert (await api.get(f"/v1/transfers/{posted['id']}"))["reversed_by"] == []
    assert await balances(api, cash, wallet) == [2, 2]
