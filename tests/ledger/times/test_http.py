"""Past balances, restatements and periods behind the gate."""

from datetime import UTC, datetime, timedelta

from florin.kernel.ids import encode_id, new_id
from tests.ledger.test_http import Client, api, problem, two_legs

__all__ = ["api"]
LONG_AGO = "2026-03-01T00:00:00Z"


async def test_a_past_balance_and_its_restatement_are_told(api: Client) -> None:
    cash, wallet = await api.account("cash", "asset"), await api.account("wallet")
    first = (await api.post("/v1/transfers", two_legs(cash, wallet, 500))).json()
    late = two_legs(cash, wallet, 30) | {"effective_at": LONG_AGO, "description": "Forgotten"}
    back = (await api.post("/v1/transfers", late)).json()
    path = f"/v1/accounts/{wallet}"

    assert await api.get(f"{path}/balance-at", at=LONG_AGO) == {
        "account": wallet,
        "currency": "USD",
        "balance": 30,
        "at": LONG_AGO,
        "known_at": None,
        "entry_seq": 0,
        "known_seq": 2,
    }
    told = await api.get(f"{path}/balance-at", known_at=first["recorded_at"])
    assert (told["balance"], told["entry_seq"], told["known_seq"]) == (500, 1, 1)
    assert (await api.get(f"{path}/balance-at"))["balance"] == 530

    restated = await api.get(f"{path}/restatements", at=LONG_AGO, known_at=first["recorded_at"])
    assert (restated["balance_then"], restated["balance_now"], restated["difference"]) == (0, 30, 30)
    assert restated["data"] == [
        {
            "seq": 2,
            "transfer": back["id"],
            "direction": "credit",
            "amount": 30,
            "balance_before": 500,
            "balance_after": 530,
            "recorded_at": back["recorded_at"],
            "effective_at": LONG_AGO,
            "description": "Forgotten",
            "correlation_id": None,
        }
    ]
    assert restated["has_more"] is False
    after = await api.get(f"{path}/restatements", at=LONG_AGO, known_at=LONG_AGO, starting_after=2)
    assert after["data"] == []
    assert (await api.get(f"{path}/restatements", at=LONG_AGO))["difference"] == 30
    assert (await api.get(f"{path}/restatements"))["difference"] == 0

    even = await api.get("/v1/trial-balance", at=LONG_AGO)
    assert [(one["debits"], one["difference"]) for one in even["data"]] == [(30, 0)]
    known = await api.get("/v1/trial-balance", known_at=first["recorded_at"])
    assert known["data"][0]["debits"] == 500
    assert (await api.get("/v1/trial-balance"))["data"][0]["debits"] == 530


async def test_bad_moments_are_refused_by_name(api: Client) -> None:
    wallet = await api.account("wallet")
    for path, expected in (
        (f"/v1/accounts/{wallet}/balance-at?at=yesterday", (422, "invalid_request", "at")),
        (f"/v1/accounts/{wallet}/balance-at?known_at=5", (422, "invalid_request", "known_at")),
        (f"/v1/accounts/{wallet}/balance-at?asof=2026-03-01", (422, "invalid_request", "asof")),
        (f"/v1/accounts/{wallet}/restatements?at=x", (422, "invalid_request", "at")),
        (f"/v1/accounts/{encode_id('acct', new_id())}/balance-at", (404, "account_not_found", None)),
        ("/v1/trial-balance?at=2026", (422, "invalid_request", "at")),
    ):
        assert problem(await api.http.get(path)) == expected, path


async def test_instants_from_before_there_were_computers_are_answered(api: Client) -> None:
    cash, wallet = await api.account("cash", "asset"), await api.account("wallet")
    await api.post("/v1/transfers", two_legs(cash, wallet, 5))
    for at in ("1900-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "1999-12-31T00:00:00Z"):
        assert (await api.get(f"/v1/accounts/{wallet}/balance-at", at=at))["balance"] == 0
        assert (await api.get(f"/v1/accounts/{wallet}/balance-at", known_at=at))["balance"] == 0
        restated = await api.get(
            f"/v1/accounts/{wallet}/restatements", at="2199-12-31T00:00:00Z", known_at=at
        )
        assert (restated["difference"], len(restated["data"])) == (5, 1)


async def test_a_period_is_closed_once_and_listed(api: Client) -> None:
    cash, wallet = await api.account("cash", "asset"), await api.account("wallet")
    body = {"closed_before": "2026-04-01T00:00:00Z", "name": "2026-03", "reason": "month end"}
    made = await api.post("/v1/periods/close", body)
    assert made.status_code == 201, made.text
    assert (await api.get("/v1/periods"))["data"] == [made.json()]
    again = await api.post("/v1/periods/close", body)
    assert problem(again) == (409, "period_already_closed", "closed_before")
    ahead = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    early = await api.post("/v1/periods/close", body | {"closed_before": ahead})
    assert problem(early) == (422, "period_not_over", "closed_before")
    for wrong, field in (({"name": ""}, "name"), ({"closed_before": 5}, "closed_before"), ({"x": 1}, "x")):
        assert problem(await api.post("/v1/periods/close", body | wrong)) == (422, "invalid_request", field)
    refused = await api.post("/v1/transfers", two_legs(cash, wallet, 5) | {"effective_at": LONG_AGO})
    assert problem(refused)[:2] == (409, "period_closed")
    assert (await api.get("/v1/periods", starting_after=made.json()["id"]))["data"] == []
