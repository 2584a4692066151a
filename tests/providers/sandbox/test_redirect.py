from collections.abc import Mapping

import httpx
import pytest
from fastapi import FastAPI

from florin.providers.sandbox.redirect import Redirection, redirect_router


class OneCharge:
    """A desk with one charge on it."""

    def __init__(self, redirection: Redirection) -> None:
        self.redirection = redirection
        self.decisions: list[bool] = []

    def awaiting(self, reference: str, query: Mapping[str, str]) -> Redirection | None:
        return self.redirection if reference == self.redirection.reference and not self.decisions else None

    def decide(self, redirection: Redirection, *, approved: bool) -> None:
        self.decisions.append(approved)


async def press(desk: OneCharge, decision: str, reference: str = "att_1") -> httpx.Response:
    app = FastAPI()
    app.include_router(redirect_router(desk))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bank.test") as buyer:
        return await buyer.post(f"/redirect/{reference}", data={"decision": decision})


@pytest.mark.parametrize(("decision", "approved"), [("approve", True), ("decline", False)])
async def test_the_button_decides_and_the_buyer_goes_back(decision: str, *, approved: bool) -> None:
    desk = OneCharge(Redirection("att_1", 100, "USD", True, "https://shop.test/back"))
    answer = await press(desk, decision)
    assert (answer.status_code, answer.headers["location"]) == (303, "https://shop.test/back")
    assert desk.decisions == [approved]


@pytest.mark.parametrize("return_url", [None, "", "javascript:alert(1)", "//evil.test"])
async def test_without_a_web_address_to_go_back_to_the_page_says_what_happened(
    return_url: str | None,
) -> None:
    answer = await press(OneCharge(Redirection("att_1", 100, "USD", True, return_url)), "approve")
    assert answer.status_code == 200
    assert "Approved" in answer.text


async def test_an_unknown_charge_has_no_page_and_nothing_runs_on_it() -> None:
    desk = OneCharge(Redirection("att_1", 100, "USD", True, None))
    answer = await press(desk, "approve", "att_2")
    assert answer.status_code == 404
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert desk.decisions == []
