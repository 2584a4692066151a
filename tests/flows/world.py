"""Two tenants with one of everything, and every operation of the document with a body that is right."""

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
from fastapi import FastAPI

from florin.app.asgi import ROUTERS
from florin.app.openapi import install_openapi
from florin.kernel.ids import encode_id, new_id
from tests.flows.conftest import Florin

ID = re.compile(r"\b([a-z]{2,4})_[0-7][0-9a-hjkmnp-tv-z]{25}\b")
Body = dict[str, Any]
NAMES = {
    "key": "fraud.enabled",
    "code": "customer:vip",
    "name": "fintech",
    "role_code": "desk",
    "tenant_code": "OTHER",
}
"""What parts of paths that are no ids hold here: a setting, a node of the chart, a template of one."""
ONCE: dict[str, Callable[[], str]] = {
    "code": lambda: f"c{uuid4().hex}",
    "reference": lambda: uuid4().hex,
    "email": lambda: f"{uuid4().hex}@shop.example",
    "user_name": lambda: f"u{uuid4().hex[:20]}",
    "phone": lambda: f"+2711{uuid4().int % 10_000_000:07}",
}
"""What may be there once only."""


def openapi() -> dict[str, Any]:
    """The document of the composed application, without starting it."""
    app = FastAPI()
    for router in ROUTERS:
        app.router.routes.extend(router.routes)
    install_openapi(app)
    made: dict[str, Any] = json.loads(json.dumps(app.openapi()))
    return made


DOCUMENT = openapi()


@dataclass(frozen=True)
class Operation:
    """One operation: `example` and `schema` of its JSON body, None if it has none."""

    name: str
    method: str
    path: str
    example: Body | None
    schema: Body | None
    optional: bool
    keyed: bool
    takes_file: bool
    parameters: tuple[Body, ...]

    @property
    def properties(self) -> dict[str, Body]:
        """The body's fields and their schemas."""
        schema = self.schema or {}
        for one in schema.get("anyOf", [schema]):
            if "$ref" in one:
                return dict(DOCUMENT["components"]["schemas"][one["$ref"].rpartition("/")[2]]["properties"])
        return {}


def operations(*, everybodys: bool = False) -> Iterator[Operation]:
    """Every operation under /v1 that a tenant's key may use.

    With `everybodys` also what is open, a user's own or PLATFORM's: those have tests of their own.
    """
    for path, item in DOCUMENT["paths"].items():
        for method, told in item.items():
            keyed = any("key" in one for one in told.get("security", ()))
            if not path.startswith("/v1/") or not (
                everybodys or (keyed and not path.startswith("/v1/platform/"))
            ):
                continue
            request = told.get("requestBody", {})
            content = request.get("content", {}).get("application/json", {})
            parameters = tuple(told.get("parameters", ()))
            yield Operation(
                name=told["operationId"],
                method=method.upper(),
                path=path,
                example=content.get("example"),
                schema=content.get("schema"),
                optional=not request.get("required", False),
                keyed=any(one["name"] == "Idempotency-Key" for one in parameters),
                takes_file="text/csv" in request.get("content", {}),
                parameters=parameters,
            )


def resolve(schema: Body) -> Body:
    """A schema, or the one that it refers to."""
    if "$ref" in schema:
        found: Body = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return found
    return schema


@dataclass
class Tenant:
    """A tenant of the running platform, its key, and one id of each kind by prefix."""

    base: str
    key: str
    ids: dict[str, str] = field(default_factory=dict)
    accounts: list[str] = field(default_factory=list)
    names: dict[str, str] = field(
        default_factory=lambda: {"key": "fraud.enabled", "template_name": "till.deposit"}
    )
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30, verify=False))

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request with the tenant's key and a fresh idempotency key."""
        headers = {"authorization": f"Bearer {self.key}", "idempotency-key": uuid4().hex}
        headers |= options.pop("headers", {})
        return self.client.request(method, self.base + path, headers=headers, **options)

    def made(self, path: str, body: Body | None = None, method: str = "POST") -> Body:
        """The answer to a request that has to succeed."""
        answer = self.request(method, path, json=body)
        assert answer.status_code < 300, (path, answer.text)
        found: Body = answer.json()
        return found

    def path(self, operation: Operation, **others: str) -> str:
        """The operation's path with this tenant's ids in it."""
        found = operation.path
        for parameter in operation.parameters:
            if parameter["in"] == "path":
                name = parameter["name"]
                found = found.replace(f"{{{name}}}", others.get(name) or self._fitting(parameter))
        return found

    def body(self, operation: Operation) -> Any:
        """The operation's example with this tenant's ids in it; None if it has no body."""
        if operation.example is None:
            return None
        seen: list[str] = []

        def own(match: re.Match[str]) -> str:
            if match[1] == "acct":
                if match[0] not in seen:
                    seen.append(match[0])
                return sorted(self.accounts)[sorted(seen).index(match[0])]
            return self.ids[match[1]]

        text = json.dumps(operation.example)
        ID.sub(own, text)  # the first look finds how many accounts there are
        body: Body = json.loads(ID.sub(own, text))
        for name, fresh in ONCE.items():
            if isinstance(body.get(name), str):
                body[name] = fresh()
        if operation.name == "createExchange":
            body["buy"]["account"] = self.names["euros"]
        for item in body.get("transfers", ()):
            if "idempotency_key" in item:
                item["idempotency_key"] = uuid4().hex
        return body

    def _fitting(self, parameter: Body) -> str:
        choices: list[str] = resolve(parameter["schema"]).get("enum", [])
        if choices:
            return choices[0]
        prefix = prefix_of(parameter["schema"])
        if prefix is not None:
            return self.ids[prefix]
        return self.names.get(parameter["name"]) or NAMES[parameter["name"]]


def prefix_of(schema: Body) -> str | None:
    """`acct` of the schema of an account's id."""
    for one in schema.get("anyOf", [schema]):
        match = re.match(r"\^([a-z]+)_\[0-7\]", resolve(one).get("pattern", ""))
        if match:
            return match[1]
    return None


def unknown_id(prefix: str) -> str:
    """Well-formed, and nobody's."""
    return encode_id(prefix, new_id())


def another_tenant(florin: Florin) -> Tenant:
    """A tenant OTHER on the same platform, with a key that may do everything."""
    environment = {**os.environ, "FLORIN_DATA_DIR": str(florin.data_dir)}

    def command(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "florin", *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout.strip()

    command("tenants", "create", "OTHER", "--name", "Another", "--email", "ops@other.example")
    return Tenant(florin.base, command("keys", "create", "--tenant", "OTHER", "--unlimited"))


def furnish(tenant: Tenant) -> Tenant:
    """Makes one of everything."""
    ids, run = tenant.ids, uuid4().hex[:6]
    ids["ptnr"] = tenant.made("/v1/partners", {"name": "Shop", "email": f"{run}@shop.example"})["id"]
    ids["bu"] = tenant.made("/v1/business-units", {"name": "South", "type": "RETAIL"})["id"]
    ids["cus"] = tenant.made("/v1/customers", {"reference": run})["id"]
    role = {"code": NAMES["role_code"], "name": "Desk", "permissions": ["refunds:read"]}
    tenant.made("/v1/roles", role)
    ids["user"] = tenant.made("/v1/users", {"user_name": f"u{run}"})["id"]
    ids["asg"] = tenant.made("/v1/assignments", {"user_id": ids["user"], "role": "viewer"})["id"]
    ids["key"] = tenant.made("/v1/api-keys", {"name": "k", "scopes": ["events:read"]})["id"]
    held = tenant.made("/v1/customers", {"reference": f"{run}-held", "name": "Held"})["id"]
    ids["lgh"] = tenant.made("/v1/legal-holds", {"customer_id": held, "reason": "dispute"})["id"]
    tenant.made("/v1/config/fraud.enabled", {"type": "BOOLEAN", "value": True}, "PUT")
    tenant.accounts = [
        tenant.made("/v1/accounts", {"code": f"{run}:{kind}", "name": kind, "type": kind, "currency": "USD"})[
            "id"
        ]
        for kind in ("asset", "liability")
    ]
    ids["acct"] = tenant.accounts[0]
    monitor = {
        "account": ids["acct"],
        "name": "low",
        "metric": "balance",
        "comparison": "below",
        "threshold": 0,
    }
    ids["mon"] = tenant.made("/v1/monitors", monitor)["id"]
    euros = {"code": f"{run}:euros", "name": "euros", "type": "asset", "currency": "EUR"}
    tenant.names["euros"] = tenant.made("/v1/accounts", euros)["id"]
    recipe = DOCUMENT["paths"]["/v1/templates/{template_name}"]["put"]["requestBody"]["content"]
    tenant.made("/v1/templates/till.deposit", recipe["application/json"]["example"], "PUT")
    tenant.made("/v1/chart/nodes", {"code": NAMES["code"], "name": "VIP", "type": "liability"})
    ids["lim"] = tenant.made("/v1/limits", {"name": run, "side": "debit", "currency": "USD"})["id"]
    ids["ses"], ids["otc"] = unknown_id("ses"), unknown_id("otc")
    ids["aud"] = tenant.made("/v1/audit", method="GET")["data"][0]["id"]
    imported = tenant.request(
        "POST",
        "/v1/imports?kind=accounts",
        content=f"code,type,currency\n{run}:imported,asset,USD\n",
        headers={"content-type": "text/csv"},
    )
    ids["imp"] = imported.json()["id"]
    legs = [
        {"account": account, "direction": direction, "amount": 100_000}
        for account, direction in zip(tenant.accounts, ("debit", "credit"), strict=True)
    ]
    ids["tr"] = tenant.made("/v1/transfers", {"legs": legs})["id"]
    tenant.made("/v1/seals/keys")
    ids["hold"] = tenant.made("/v1/holds", {"legs": legs})["id"]
    payment = {"amount": 9900, "currency": "USD", "method": {"type": "card", "token": "tok_success"}}
    ids["pay"] = tenant.made("/v1/payments", {**payment, "capture_method": "manual"})["id"]
    tenant.made(f"/v1/payments/{ids['pay']}/capture", {"amount": 4000})
    completed = tenant.made("/v1/payments", payment)["id"]
    ids["re"] = tenant.made("/v1/refunds", {"payment": completed, "amount": 1000})["id"]
    ids["evt"] = tenant.made("/v1/events", method="GET")["data"][0]["id"]
    endpoint = {"url": "https://shop.example/webhooks", "events": ["*"]}
    ids["we"] = tenant.made("/v1/webhook-endpoints", endpoint)["id"]
    ids["whd"] = tenant.made(f"/v1/webhook-endpoints/{ids['we']}/test")["id"]
    return tenant


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every value that is no object and no array, with the way to it."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, (*path, name))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from leaves(item, (*path, position))
    else:
        yield path, value


def with_value(body: Body, path: tuple[str | int, ...], value: Any) -> Body:
    """A copy with another value there."""
    changed = copy.deepcopy(body)
    inner: Any = changed
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    return changed
