"""A small Florin on loopback, in memory: what a replay needs of the API, and faults on demand."""

import asyncio
import hashlib
import threading
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

KEY = "fl_test_replay"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class FakeFlorin:
    """Set `faults`: each POST to a mover takes the next: 429, 503, 'cut' (done, not answered), 0 (none)."""

    faults: deque[int | str] = field(default_factory=deque)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    by_id: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[tuple[str, str], tuple[bytes, dict[str, Any]]] = field(default_factory=dict)
    effects: Counter[str] = field(default_factory=Counter)
    order: dict[str, list[str]] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)
    overlaps: int = 0
    most_in_flight: int = 0
    in_flight: int = 0
    decline: set[str] = field(default_factory=set)
    on_effect: Callable[[int], None] = lambda _: None
    retry_after: str = "0"
    wrong_balance: str | None = None
    filters_by_prefix: bool = True
    hidden_lists: int = 0
    url: str = ""

    def account(self, code: str, kind: str, currency: str) -> dict[str, Any]:
        if code not in self.accounts:
            identity = f"acct_{len(self.accounts):06}"
            self.accounts[code] = {
                "id": identity,
                "code": code,
                "type": kind,
                "currency": currency,
                "balance": 0,
            }
            self.by_id[identity] = self.accounts[code]
        return self.accounts[code]

    def move(self, account: dict[str, Any], signed: int) -> None:
        """`signed`: debits positive."""
        account["balance"] += signed if account["type"] in ("asset", "expense") else -signed

    def once(
        self, path: str, key: str, body: dict[str, Any], do: Callable[[], dict[str, Any]]
    ) -> web.Response:
        """Idempotency as the real one has it."""
        digest = hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).digest()
        if (path, key) in self.answers:
            first, answer = self.answers[path, key]
            if first != digest:
                return problem(422, "idempotency_key_reused")
            return answered(answer, replayed=True)
        answer = do()
        if "code" in answer:
            return problem(422, answer["code"])
        self.answers[path, key] = (digest, answer)
        self.effects[path] += 1
        self.on_effect(self.effects.total())
        return answered(answer)

    def post_transfer(self, key: str, body: dict[str, Any]) -> web.Response:
        def do() -> dict[str, Any]:
            if key in self.decline:
                return {"code": "account_frozen"}
            for leg in body["legs"]:
                self.move(
                    self.by_id[leg["account"]], leg["amount"] * (1 if leg["direction"] == "debit" else -1)
                )
                self.order.setdefault(self.by_id[leg["account"]]["code"], []).append(key)
            return {"id": f"tr_{len(self.answers)}"}

        return self.once("/v1/transfers", key, body, do)

    def post_payment(self, key: str, body: dict[str, Any]) -> web.Response:
        def do() -> dict[str, Any]:
            if key in self.decline:
                return {"code": "payment_declined"}
            self._pay(body["amount"], body["currency"])
            return {"id": f"pay_{len(self.answers)}", "status": "completed", "amount": body["amount"]}

        return self.once("/v1/payments", key, body, do)

    def post_refund(self, key: str, body: dict[str, Any]) -> web.Response:
        def do() -> dict[str, Any]:
            self._pay(-body["amount"], "GBP")
            return {"id": f"re_{len(self.answers)}", "status": "completed", "amount": body["amount"]}

        return self.once("/v1/refunds", key, body, do)

    def _pay(self, signed: int, currency: str) -> None:
        self.move(self.account(f"provider:sandbox:receivable:{currency}", "asset", currency), signed)
        self.move(self.account(f"partner:ptnr_1:payable:{currency}", "liability", currency), -signed)

    async def mover(self, request: web.Request) -> web.StreamResponse:
        fault = self.faults.popleft() if self.faults else 0
        if fault == 429:
            return problem(429, "too_many_requests", {"retry-after": self.retry_after})
        if fault == 503:
            return problem(503, "unavailable", {"retry-after": "0"})
        body = orjson.loads(await request.read())
        key = request.headers["idempotency-key"]
        touched = {leg["account"] for leg in body.get("legs", [])}
        lane = {account for account in touched if self.by_id[account]["type"] == "liability"}
        self.overlaps += bool(lane & self.busy)
        self.busy |= lane
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(0)
        post = {"transfers": self.post_transfer, "payments": self.post_payment, "refunds": self.post_refund}
        response = post[request.path.rsplit("/", 1)[-1]](key, body)
        self.in_flight -= 1
        self.busy -= lane
        if fault == "cut":
            assert request.transport is not None
            request.transport.abort()
        return response

    async def batch(self, request: web.Request) -> web.StreamResponse:
        data = []
        for item in orjson.loads(await request.read())["transfers"]:
            key = item.pop("idempotency_key")
            response = self.post_transfer(key, item)
            assert isinstance(response.body, bytes)
            body = orjson.loads(response.body)
            refused = "code" in body
            data.append({"transfer": None if refused else body, "problem": body if refused else None})
        return answered({"data": data})

    async def create_account(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        if body["code"] in self.accounts:
            return problem(409, "account_exists")
        return answered(self.account(body["code"], body["type"], body["currency"]))

    async def list_accounts(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        if self.hidden_lists:
            self.hidden_lists -= 1
            return answered({"data": [], "has_more": False})
        found = [
            account | {"balance": account["balance"] + (code == self.wrong_balance)}
            for code, account in reversed(self.accounts.items())
            if not self.filters_by_prefix or code.startswith(query.get("code_prefix", ""))
        ]
        if "starting_after" in query:
            found = found[[a["id"] for a in found].index(query["starting_after"]) + 1 :]
        limit = int(query.get("limit", 20))
        return answered({"data": found[:limit], "has_more": len(found) > limit})

    async def trial_balance(self, _: web.Request) -> web.StreamResponse:
        totals: dict[str, list[int]] = {}
        for account in self.accounts.values():
            side = 0 if account["type"] in ("asset", "expense") else 1
            totals.setdefault(account["currency"], [0, 0])[side] += account["balance"]
        rows = [
            {"currency": c, "debits": debits, "credits": credits} for c, (debits, credits) in totals.items()
        ]
        return answered({"data": rows})


def answered(body: dict[str, Any], *, replayed: bool = False) -> web.Response:
    headers = {"idempotent-replayed": "true"} if replayed else {}
    return web.Response(body=orjson.dumps(body), content_type="application/json", headers=headers)


def problem(status: int, code: str, headers: dict[str, str] | None = None) -> web.Response:
    body = orjson.dumps({"status": status, "code": code, "detail": f"The {code} detail."})
    return web.Response(
        body=body, status=status, content_type="application/problem+json", headers=headers or {}
    )


@web.middleware
async def authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.headers.get("authorization") != f"Bearer {KEY}":
        return problem(401, "unauthenticated")
    return await handler(request)


@contextmanager
def served(fake: FakeFlorin) -> Iterator[FakeFlorin]:
    """Serves it from a thread of its own, on a free port; `fake.url` says where."""
    app = web.Application(middlewares=[authenticated])
    app.router.add_get("/v1/accounts", fake.list_accounts)
    app.router.add_post("/v1/accounts", fake.create_account)
    app.router.add_get("/v1/trial-balance", fake.trial_balance)
    app.router.add_post("/v1/transfers/batch", fake.batch)
    for path in ("/v1/transfers", "/v1/payments", "/v1/refunds"):
        app.router.add_post(path, fake.mover)
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(app, access_log=None)
    started = threading.Event()

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        fake.url = f"http://{host}:{port}"
        started.set()

    def serve() -> None:
        loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield fake
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


__all__ = ["KEY", "FakeFlorin", "served"]
