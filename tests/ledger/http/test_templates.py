"""Recipes over HTTP."""

from typing import Any

import pytest

from tests.ledger.test_http import Body, Client, problem

DEPOSIT: Body = {
    "description": "Deposit of {order}",
    "parameters": {
        "amount": {"type": "money"},
        "order": {"type": "text"},
        "till": {"type": "account"},
        "share": {"type": "percent", "default": "2.5"},
    },
    "legs": [
        {"account": "{till}", "debit": "amount"},
        {"account": "shop:{order}", "credit": "amount - amount * share%"},
        {"account": "shop:fees", "credit": "amount * share%", "optional": True},
    ],
}


async def put(api: Client, name: str, body: Body) -> Any:
    return await api.http.put(f"/v1/templates/{name}", json=body)


async def post(api: Client, name: str, parameters: Body, **more: Any) -> Any:
    return await api.post(f"/v1/templates/{name}/post", {"parameters": parameters} | more)


async def test_versions_are_added_and_never_changed(api: Client) -> None:
    first = await put(api, "till.deposit", DEPOSIT)
    assert (first.status_code, first.json()["version"]) == (200, 1), first.text
    assert (await put(api, "till.deposit", DEPOSIT)).json() == first.json()
    changed = DEPOSIT | {"description": "A deposit"}
    assert (await put(api, "till.deposit", changed)).json()["version"] == 2
    assert (await put(api, "till.deposit", DEPOSIT)).json()["version"] == 3
    assert (await api.get("/v1/templates/till.deposit", version=1)) == first.json()
    assert (await api.get("/v1/templates/till.deposit"))["version"] == 3
    missing = await api.http.get("/v1/templates/till.deposit?version=4")
    assert problem(missing)[:2] == (404, "template_not_found")
    assert problem(await put(api, "payment.captured", DEPOSIT))[:2] == (409, "template_built_in")


async def test_a_list_holds_our_own_and_those_that_come_along_in_one_order(api: Client) -> None:
    for name in ("a.first", "payment.also", "z_last"):
        assert (await put(api, name, DEPOSIT)).status_code == 200
    names: list[tuple[str, bool]] = []
    cursor: dict[str, str] = {}
    while True:
        found = await api.get("/v1/templates", limit=4, **cursor)
        names += [(one["name"], one["built_in"]) for one in found["data"]]
        if not found["has_more"]:
            break
        cursor = {"starting_after": names[-1][0]}
    assert names == sorted(names)
    assert len(names) == 18
    assert {name for name, ours in names if not ours} == {"a.first", "payment.also", "z_last"}


async def test_a_posting_keeps_the_recipe_and_its_parameters(api: Client) -> None:
    till = await api.account("till", "asset")
    shop, fees = await api.account("shop:o-1"), await api.account("shop:fees", "income")
    await put(api, "till.deposit", DEPOSIT)
    posted = await post(api, "till.deposit", {"amount": 1020, "order": "o-1", "till": till})
    assert posted.status_code == 201, posted.text
    told = posted.json()
    assert told["description"] == "Deposit of o-1"
    assert told["template"] == {
        "name": "till.deposit",
        "version": 1,
        "parameters": {"amount": 1020, "order": "o-1", "till": till, "share": "2.5"},
    }
    amounts = [(entry["account"], entry["amount"]) for entry in told["entries"]]
    assert amounts == [(till, 1020), (shop, 994), (fees, 26)]
    free = await post(api, "till.deposit", {"amount": 5, "order": "o-1", "till": till, "share": "0"})
    assert len(free.json()["entries"]) == 2


async def test_a_key_belongs_to_one_template(api: Client) -> None:
    body = {"parameters": {"amount": 5, "currency": "USD", "partner": "p"}}
    first = await api.post("/v1/templates/reserve.held/post", body, key="k")
    again = await api.post("/v1/templates/reserve.held/post", body, key="k")
    assert (again.json(), again.headers["idempotent-replayed"]) == (first.json(), "true")
    other = await api.post("/v1/templates/reserve.released/post", body, key="k")
    assert problem(other)[1] == "idempotency_key_reused"


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"legs": DEPOSIT["legs"][:1]}, "invalid_request", "legs"),
        ({"legs": [*DEPOSIT["legs"], {"account": "x"}]}, "invalid_request", "legs[3]"),
        (
            {"legs": [*DEPOSIT["legs"], {"account": "x", "debit": "total"}]},
            "template_invalid",
            "legs[3].debit",
        ),
        ({"legs": [*DEPOSIT["legs"], {"account": "x", "debit": "1 +"}]}, "template_invalid", "legs[3].debit"),
        (
            {"legs": [*DEPOSIT["legs"], {"account": "x", "debit": "order"}]},
            "template_invalid",
            "legs[3].debit",
        ),
        (
            {"legs": [*DEPOSIT["legs"], {"account": "{x}", "debit": "1"}]},
            "template_invalid",
            "legs[3].account",
        ),
        (
            {"legs": [*DEPOSIT["legs"], {"account": "a{", "debit": "1"}]},
            "template_invalid",
            "legs[3].account",
        ),
        ({"description": "{who}"}, "template_invalid", "description"),
        ({"parameters": {"amount": {"type": "float"}}}, "invalid_request", "parameters.amount.type"),
        ({"colour": "red"}, "invalid_request", "colour"),
        (
            {
                "legs": [
                    *DEPOSIT["legs"],
                    {"account": "partner:x", "debit": "1", "create": {"type": "asset", "currency": "USD"}},
                ]
            },
            "account_code_reserved",
            "legs[3].account",
        ),
    ],
)
async def test_a_template_that_contradicts_itself_is_refused(
    api: Client, change: Body, code: str, param: str
) -> None:
    assert problem(await put(api, "till.deposit", DEPOSIT | change)) == (422, code, param)


async def test_parameters_that_do_not_fit_are_refused_by_name(api: Client) -> None:
    till = await api.account("till", "asset", max_balance=100)
    await api.account("shop:o-1")
    await put(api, "till.deposit", DEPOSIT)
    good: Body = {"amount": 5, "order": "o-1", "till": till, "share": "0"}
    changes: list[tuple[Body, str, str]] = [
        ({"amount": 0}, "parameter_invalid", "parameters.amount"),
        ({"amount": "5"}, "parameter_invalid", "parameters.amount"),
        ({"amount": 10**15 + 1}, "parameter_invalid", "parameters.amount"),
        ({"order": "a:b"}, "parameter_invalid", "parameters.order"),
        ({"order": ""}, "parameter_invalid", "parameters.order"),
        ({"till": "till"}, "parameter_invalid", "parameters.till"),
        ({"till": "acct_01m7wp2t4je8a8j7fjxerabad3"}, "account_not_found", "parameters.till"),
        ({"share": "101"}, "amount_out_of_range", "legs[1].credit"),
        ({"share": "x"}, "parameter_invalid", "parameters.share"),
        ({"colour": "red"}, "parameter_invalid", "parameters.colour"),
        ({"order": "o-2"}, "account_not_found", "legs[1].account"),
        ({"amount": 101}, "balance_above_maximum", "parameters.amount"),
    ]
    for change, code, param in changes:
        assert problem(await post(api, "till.deposit", good | change))[1:] == (code, param), change
    assert problem(await post(api, "till.deposit", {"amount": 5, "till": till}))[2] == "parameters.order"
    assert problem(await post(api, "till.gone", good))[:2] == (404, "template_not_found")
    assert (await api.get("/v1/transfers"))["data"] == []


async def test_a_recipe_that_holds_reserves(api: Client) -> None:
    wallet = await api.account("w", min_balance=-100)
    parameters = {"amount": 70, "currency": "USD", "operator": "telco", "wallet": wallet}
    held = await post(api, "bill.held", parameters, expires_at="2199-01-01T00:00:00Z")
    assert held.status_code == 201, held.text
    assert (held.json()["kind"], held.json()["entries"][0]["balance_after"]) == ("hold", None)
    posted = await api.post(f"/v1/holds/{held.json()['hold']}/post")
    assert posted.status_code == 201
    refused = await post(api, "bill.paid", parameters, expires_at="2199-01-01T00:00:00Z")
    assert problem(refused)[2] == "expires_at"
    tried = (await post(api, "bill.held", parameters, dry_run=True)).json()["data"][0]["problem"]
    assert (tried["code"], tried["rule"]["balance"]) == ("insufficient_funds", -140)


async def test_a_dry_run_makes_no_account(api: Client) -> None:
    parameters = {"amount": 70, "currency": "USD", "partner": "p"}
    tried = await post(api, "reserve.held", parameters, dry_run=True)
    assert tried.status_code == 200, tried.text
    assert [leg["balance_after"] for leg in tried.json()["data"][0]["legs"]] == [-70, 70]
    assert (await api.get("/v1/accounts"))["data"] == []


async def test_an_account_of_another_kind_stands_in_the_way(api: Client) -> None:
    await api.account("tax:payable:USD", "asset")
    parameters = {"fee": 70, "tax": 7, "currency": "USD", "partner": "p"}
    for more in ({}, {"dry_run": True}):
        refused = await post(api, "fee.charged", parameters, **more)
        assert problem(refused)[:2] == (409, "account_of_another_kind")
        assert "tax:payable:USD" in refused.json()["detail"]
        assert "CONTEXT" not in refused.json()["detail"]
