"""kill -9 in the middle of a load: nothing acknowledged is lost, nothing is done twice."""

import asyncio
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import aiohttp
import psutil
import pytest

from tests.flows.conftest import Florin

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ACCOUNTS = 6
CLIENTS = 24
REQUESTS = 200


class Load:
    """Clients that send, and send again with the same key until they are answered."""

    def __init__(self, florin: Florin) -> None:
        self.florin = florin
        self.answers: dict[str, dict[str, Any]] = {}
        self.trouble = 0
        self.hung = 0

    async def send(self, session: aiohttp.ClientSession, key: str, path: str, body: Any) -> dict[str, Any]:
        """One request, repeated through outages; what it was answered first must be what it is answered."""
        while True:
            try:
                async with session.post(
                    f"{self.florin.base}{path}", json=body, headers={"idempotency-key": key}
                ) as answer:
                    if answer.status in (409, 429, 503):
                        self.trouble += 1
                    else:
                        told: dict[str, Any] = await answer.json()
                        assert answer.status == 201, told
                        return told
            except TimeoutError:
                self.hung += 1
            except aiohttp.ClientError:
                self.trouble += 1
            await asyncio.sleep(0.1)

    def session(self) -> aiohttp.ClientSession:
        """A session with the demo key."""
        return aiohttp.ClientSession(
            headers={"authorization": f"Bearer {self.florin.key}"}, timeout=aiohttp.ClientTimeout(total=30)
        )


async def _open_accounts(session: aiohttp.ClientSession, florin: Florin, name: str) -> list[str]:
    opened = []
    for number in range(ACCOUNTS):
        body = {"code": f"{name}-{number}", "name": name, "type": "asset", "currency": "USD"}
        async with session.post(f"{florin.base}/v1/accounts", json=body) as answer:
            assert answer.status == 201, await answer.text()
            opened.append((await answer.json())["id"])
    return opened


def _transfer(accounts: list[str], chance: random.Random) -> dict[str, Any]:
    debit, credit = chance.sample(accounts, 2)
    amount = chance.randint(1, 1000)
    return {
        "legs": [
            {"account": debit, "direction": "debit", "amount": amount},
            {"account": credit, "direction": "credit", "amount": amount},
        ]
    }


async def _under_kills(florin: Florin, name: str, kills: list[Callable[[], psutil.Process]]) -> None:
    load = Load(florin)
    async with load.session() as session:
        accounts = await _open_accounts(session, florin, name)
        bodies: dict[str, Any] = {}

        async def client(number: int) -> None:
            chance = random.Random(f"{name}-{number}")
            for turn in range(REQUESTS):
                key = f"{name}-{number}-{turn}"
                bodies[key] = _transfer(accounts, chance)
                load.answers[key] = await load.send(session, key, "/v1/transfers", bodies[key])

        clients = [asyncio.create_task(client(number)) for number in range(CLIENTS)]
        killed = []
        for victim in kills:
            await asyncio.sleep(0.3)
            assert not any(task.done() for task in clients), "the load ended before the kill"
            killed.append(victim())
            killed[-1].kill()
        await asyncio.gather(*clients)
        assert load.hung == 0, "a request waited for something that never came"
        # Of a killed database no client need notice more than a slow answer; the process is another.
        assert all(not process.is_running() for process in killed)
        assert kills[0]().pid not in {process.pid for process in killed}

        again = await asyncio.gather(
            *(load.send(session, key, "/v1/transfers", body) for key, body in bodies.items())
        )
        assert dict(zip(bodies, again, strict=True)) == load.answers
        await _check_books(session, florin, load.answers, accounts)


async def _check_books(
    session: aiohttp.ClientSession, florin: Florin, answers: dict[str, Any], accounts: list[str]
) -> None:
    ids = {answer["id"] for answer in answers.values()}
    assert len(ids) == len(answers) == CLIENTS * REQUESTS
    moved = dict.fromkeys(accounts, 0)
    for answer in answers.values():
        for entry in answer["entries"]:
            sign = 1 if entry["direction"] == "debit" else -1
            moved[entry["account"]] += sign * entry["amount"]
    for account in accounts:
        async with session.get(f"{florin.base}/v1/accounts/{account}/balance") as answer:
            assert (await answer.json())["balance"] == moved[account]
    async with session.get(f"{florin.base}/v1/trial-balance") as answer:
        trial = await answer.json()
        assert all(line["difference"] == 0 for line in trial["data"])
    with florin.connect() as connection:
        rows = connection.execute(
            "SELECT account_id, seq, amount, balance_after FROM ledger.entries ORDER BY 1, 2"
        ).fetchall()
    for one, other in pairwise(rows):
        if one[0] == other[0]:
            assert other[1] == one[1] + 1, "a gap in an account's entries"  # type: ignore[operator]
            assert other[3] == one[3] + other[2], "a break in an account's balances"  # type: ignore[operator]


async def test_kill_9_of_the_api_loses_and_doubles_nothing(florin: Florin) -> None:
    await _under_kills(florin, "api", [lambda: florin.children("serve")[0]] * 2)


async def test_kill_9_of_postgresql_loses_and_doubles_nothing(florin: Florin) -> None:
    await _under_kills(florin, "pg", [florin.postmaster] * 2)


async def test_payments_survive_kill_9_of_api_and_database(florin: Florin) -> None:
    load = Load(florin)
    async with load.session() as session:
        bodies = {
            f"pay-{number}": {
                "amount": 100 + number,
                "currency": "EUR",
                "method": {"type": "card", "token": "tok_success"},
            }
            for number in range(400)
        }

        async def take(key: str, turn: int) -> None:
            await asyncio.sleep(turn * 0.005)
            load.answers[key] = await load.send(session, key, "/v1/payments", bodies[key])

        taking = [asyncio.create_task(take(key, turn)) for turn, key in enumerate(bodies)]
        await asyncio.sleep(0.6)
        florin.children("serve")[0].kill()
        await asyncio.sleep(0.6)
        florin.postmaster().kill()
        await asyncio.gather(*taking)

        # What was in flight at a kill is settled by the recovery job: ask the provider, then book.
        async def settled() -> dict[str, Any]:
            found = {}
            for answer in load.answers.values():
                async with session.get(f"{florin.base}/v1/payments/{answer['id']}") as got:
                    found[answer["id"]] = await got.json()
            return found

        for _ in range(120):
            payments = await settled()
            if all(payment["status"] in ("completed", "failed") for payment in payments.values()):
                break
            await asyncio.sleep(0.5)
        assert len(payments) == len(bodies)
        assert {payment["status"] for payment in payments.values()} <= {"completed", "failed"}
        captured = sum(p["amount"] for p in payments.values() if p["status"] == "completed")
        async with session.get(
            f"{florin.base}/v1/accounts", params={"code_prefix": "provider:sandbox:receivable:EUR"}
        ) as got:
            assert (await got.json())["data"][0]["balance"] == captured
