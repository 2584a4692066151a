import asyncio

import pytest

from florin.cli.replay import proof
from florin.cli.replay.client import Api
from florin.cli.replay.errors import UnknownAnswer
from tests.cli.replay.fake_florin import KEY, FakeFlorin


async def test_balances_are_those_between_prefix_and_suffix(florin: FakeFlorin) -> None:
    for code, balance in (("provider:a:receivable:GBP", 5), ("provider:a:receivable:USD", 7), ("x", 9)):
        florin.account(code, "asset", code[-3:])["balance"] = balance
    async with Api(florin.url, KEY, concurrency=1, stop=asyncio.Event()) as api:
        assert await proof.balances(api, "provider:", ":GBP") == {"provider:a:receivable:GBP": 5}


async def test_a_currency_out_of_balance_shows_whichever_it_is(florin: FakeFlorin) -> None:
    florin.account("a", "asset", "GBP")["balance"] = 5
    florin.account("b", "liability", "GBP")["balance"] = 5
    async with Api(florin.url, KEY, concurrency=1, stop=asyncio.Event()) as api:
        assert (await proof.trial_balance(api, "GBP")).holds
        florin.account("c", "asset", "USD")["balance"] = 1
        check = await proof.trial_balance(api, "GBP")
    assert (check.holds, check.found) == (False, "0.01 USD")


async def test_an_unreadable_trial_balance_proves_nothing(
    florin: FakeFlorin, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Api(florin.url, KEY, concurrency=1, stop=asyncio.Event()) as api:
        monkeypatch.setattr(proof, "TRIAL_BALANCE", "/v1/accounts")
        florin.account("a", "asset", "GBP")
        with pytest.raises(UnknownAnswer, match="no list of currency, debits and credits"):
            await proof.trial_balance(api, "GBP")
