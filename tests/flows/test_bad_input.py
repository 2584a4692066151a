"""Bad input everywhere: a 4xx that names the field and the rule, and nothing is written."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from psycopg import sql

from florin.kernel.http.problem import path_of
from tests.flows import world
from tests.flows.conftest import Florin
from tests.flows.world import DOCUMENT, Operation, Tenant, leaves, prefix_of, resolve, unknown_id, with_value

# The platform's own operations refuse an ordinary tenant before they look at what it asks.
OPERATIONS = [one for one in world.operations() if not one.path.startswith("/v1/platform/")]
WRITING = [one for one in OPERATIONS if one.method in ("POST", "PATCH", "PUT") and not one.takes_file]
WITH_BODY = [one for one in WRITING if one.schema is not None]
WITH_ID = [one for one in OPERATIONS if "_id}" in one.path]
LISTS = [one for one in OPERATIONS if any(p["name"] == "limit" for p in one.parameters)]
CARDS = ("4242424242424242", "5555 5555 5555 4444", "3782-822463-10005")

BOOKKEEPING = frozenset(
    {
        *("tenancy.usage", "access.rate_windows", "kernel.idempotency_keys", "access.api_keys"),
        *("ledger.projections", "ledger.snapshots", "ledger.dated_totals", "ledger.open_items"),
        *("ledger.books", "ledger.checkpoints", "ledger.blocks", "ledger.nodes", "ledger.proofs"),
        "audit.heads",
    }
)
"""What a refused request may leave behind: that it was made, and that its key was used. And what jobs make of
the log in their own time: projections, seals, proofs."""

NO_AMOUNTS: tuple[Any, ...] = (0, -1, 1.5, "100", "", True, [], 10**15 + 1, 2**63 - 1, 2**63, 10**40)

Digest = dict[str, tuple[int, str]]


def named(cases: list[Operation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", cases, ids=[one.name for one in cases])


@dataclass
class Scene:
    """Where it all happens: our tenant, a stranger's, and how the database stood before."""

    florin: Florin
    ours: Tenant
    theirs: Tenant
    dead_keys: tuple[str, str]
    before: Digest

    def send(self, operation: Operation, **options: Any) -> httpx.Response:
        """The operation on our things."""
        path = options.pop("path", None) or self.ours.path(operation)
        return self.ours.request(operation.method, path, **options)

    def send_body(self, operation: Operation, body: Any) -> httpx.Response:
        """With this body, as JSON whatever it is."""
        return self.send(operation, content=json.dumps(body), headers={"content-type": "application/json"})


ENDING = {
    "rotateApiKey",
    "revokeApiKey",
    "endUserSessions",
    "endUserSession",
    "eraseCustomer",
    "eraseUser",
}
"""What can be done only once."""


@pytest.fixture(scope="module")
def scene(florin: Florin) -> Iterator[Scene]:
    ours = world.furnish(Tenant(florin.base, florin.key))
    theirs = world.furnish(world.another_tenant(florin))
    for (
        operation
    ) in WRITING:  # what is broken below is right as it stands: or breaking it would prove nothing
        if operation.name in ENDING:
            continue
        body = ours.body(operation)
        if operation.name == "correctTransfer":  # once only: the real one would leave nothing to correct
            body["dry_run"] = True
        answer = ours.request(operation.method, ours.path(operation), json=body)
        assert answer.status_code < 300 or answer.status_code == 409, (operation.name, answer.text)
    for tenant in (ours, theirs):  # nobody listens at their addresses: they would be tried again and again
        for endpoint in tenant.made("/v1/webhook-endpoints", method="GET")["data"]:
            if "shop.example" in endpoint["url"]:
                tenant.request("DELETE", f"/v1/webhook-endpoints/{endpoint['id']}")
    yield Scene(florin, ours, theirs, _dead_keys(ours), _at_rest(florin))
    ours.client.close()
    theirs.client.close()


def _dead_keys(ours: Tenant) -> tuple[str, str]:
    """One revoked, one expired."""
    new = {"name": "short-lived", "scopes": ["*"]}
    revoked = ours.made("/v1/api-keys", new)
    ours.made(f"/v1/api-keys/{revoked['id']}/revoke")
    soon = datetime.now(UTC) + timedelta(seconds=1)
    expired = ours.made("/v1/api-keys", {**new, "expires_at": soon.isoformat()})
    time.sleep(1.1)
    return revoked["secret"], expired["secret"]


def _at_rest(florin: Florin) -> Digest:
    """How the tables stand once the worker has done what there was to do."""
    found = _digest(florin)
    for _ in range(30):
        time.sleep(1.5)
        again = _digest(florin)
        if again == found and again["kernel.outbox"][0] == 0:
            return again
        found = again
    raise AssertionError("the database does not come to rest")


def _digest(florin: Florin) -> Digest:
    """Rows, and a digest of them, of each tenant table."""
    with florin.connect() as connection:
        tables = connection.execute(
            "SELECT c.oid::regclass::text, n.nspname, c.relname FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'"
            " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition"
        ).fetchall()
        found: Digest = {}
        for name, schema, table in tables:
            if name in BOOKKEEPING:
                continue
            row = connection.execute(
                sql.SQL(
                    "SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM {} t WHERE {}"
                ).format(
                    sql.Identifier(str(schema), str(table)),
                    # A privileged read that was answered is noted, and these tests make keys of their own.
                    sql.SQL(
                        "t.action <> 'read' AND t.entity_type <> 'api_key'" if name == "audit.log" else "true"
                    ),
                )
            ).fetchone()
            assert row is not None
            found[str(name)] = (int(str(row[0])), str(row[1]))
    return found


def check(answer: httpx.Response, *statuses: int, param: str | None = None) -> None:
    """A problem with one of these statuses that names the field."""
    assert answer.status_code in statuses, (answer.request.url, answer.request.content[:300], answer.text)
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"]
    assert problem["detail"]
    assert problem["request_id"] == answer.headers["request-id"]
    if param is not None:
        params = {error["param"] for error in problem.get("errors", ())} | {problem.get("param")}
        fits = any(one and (one == param or one.startswith((f"{param}.", f"{param}["))) for one in params)
        assert fits, (param, answer.request.content[:300], problem)


@named(WITH_BODY)
def test_what_is_no_json_is_malformed(scene: Scene, operation: Operation) -> None:
    json_type = {"content-type": "application/json"}
    for content in (
        b"{",
        b"{'a': 1}",
        b"\xff\xfe",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": "\\ud800"}',
        b'{"a": 1, "a": 2}',
        b"[" * 50_000,
        b'{"a":' * 100 + b"1" + b"}" * 100,
    ):
        check(scene.send(operation, content=content, headers=json_type), 400)
    if not operation.optional:
        check(scene.send(operation, content=b"", headers=json_type), 400, 422)
        check(scene.send(operation), 400, 422)


@named(WITH_BODY)
def test_what_is_no_object_is_refused(scene: Scene, operation: Operation) -> None:
    for body in ([], [{}], "text", 7, True, *(() if operation.optional else (None,))):
        check(scene.send_body(operation, body), 422)


@named(WRITING)
def test_another_content_type_is_refused(scene: Scene, operation: Operation) -> None:
    content = json.dumps(scene.ours.body(operation) or {"a": 1})
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/xml", "nonsense"):
        answer = scene.send(operation, content=content, headers={"content-type": kind})
        check(answer, 415, param="Content-Type")


@named(WRITING)
def test_an_unknown_field_is_refused_by_name(scene: Scene, operation: Operation) -> None:
    body = (scene.ours.body(operation) or {}) | {"colour": "red"}
    check(scene.send_body(operation, body), 422, param="colour" if operation.schema else "body")


@named(OPERATIONS)
def test_an_unknown_query_parameter_is_refused_by_name(scene: Scene, operation: Operation) -> None:
    if operation.method != "DELETE":
        body: dict[str, Any] = {"json": scene.ours.body(operation)}
        if operation.takes_file:
            body = {"content": b"", "headers": {"content-type": "text/csv"}}
        answer = scene.send(operation, params={"colour": "red"}, **body)
        check(answer, 422, param="colour")


@named(WITH_BODY)
def test_a_field_of_another_type_is_refused_by_name(scene: Scene, operation: Operation) -> None:
    assert operation.schema is not None
    validator = Draft202012Validator({"components": DOCUMENT["components"], **operation.schema})
    body = scene.ours.body(operation)
    tried = 0
    for name in operation.properties:
        for value in (None, True, 7, -1, 1.5, "", "x", "2026", [], ["x"], {}, {"x": 1}):
            if not validator.is_valid(body | {name: value}):
                check(scene.send_body(operation, body | {name: value}), 422, param=name)
                tried += 1
    assert tried


def _amounts(operation: Operation, body: Any) -> Iterator[tuple[str | int, ...]]:
    for path, _ in leaves(body):
        if path[-1] == "amount":
            yield path
    if "amount" in operation.properties and "amount" not in body:
        yield ("amount",)


@named([one for one in WITH_BODY if "amount" in json.dumps(one.example)])
def test_an_amount_that_is_none_is_refused_by_name(scene: Scene, operation: Operation) -> None:
    body = scene.ours.body(operation)
    for path in _amounts(operation, body):
        for amount in NO_AMOUNTS:
            check(scene.send_body(operation, with_value(body, path, amount)), 422, param=path_of(path))


@named([one for one in WITH_BODY if "currency" in one.properties])
def test_a_currency_that_is_none_is_refused_by_name(scene: Scene, operation: Operation) -> None:
    body = scene.ours.body(operation)
    # XAU and XXX are in ISO 4217 and have no minor unit.
    for currency in ("usd", "Usd", "QQQ", "XAU", "XXX", "US", "EURO", "", "US\u0000", 840):
        answer = scene.send_body(operation, body | {"currency": currency})
        # A currency that has the form but does not exist is another one than the accounts have.
        mismatch = answer.json()["code"] == "currency_mismatch"
        check(answer, 422, param="legs" if mismatch else "currency")


@named([one for one in WITH_BODY if any(word in str(one.properties) for word in ("_balance",))])
def test_a_bound_that_no_balance_can_have_is_refused_by_name(scene: Scene, operation: Operation) -> None:
    body = scene.ours.body(operation)
    for name in ("min_balance", "max_balance"):
        for bound in (1.5, "1", True, 2**63, -(2**63), 10**40):
            check(scene.send_body(operation, body | {name: bound}), 422, param=name)


def _ids(operation: Operation, body: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for path, value in leaves(body):
        match = world.ID.fullmatch(str(value))
        if match:
            yield path, match[1]
    for name, schema in operation.properties.items():
        prefix = prefix_of(schema)
        if prefix is not None and name not in body:
            yield (name,), prefix


@named([one for one in WITH_BODY if next(_ids(one, one.example), None)])
def test_an_id_in_a_body_that_is_nobodys_or_a_strangers_is_refused_by_name(
    scene: Scene, operation: Operation
) -> None:
    body = scene.ours.body(operation)
    if operation.name == "createTransfers":
        body["transfers"] = body["transfers"][:1]  # its neighbours would be posted
    for path, prefix in _ids(operation, body):
        malformed: tuple[Any, ...] = (
            "",
            "nonsense",
            f"{prefix}_1",
            unknown_id("xx"),
            f"{prefix}_8{'0' * 25}",
            7,
            [],
        )
        for wrong in malformed:
            check(scene.send_body(operation, with_value(body, path, wrong)), 422, param=path_of(path))
        for wrong in (unknown_id(prefix), scene.theirs.ids[prefix]):
            answer = scene.send_body(operation, with_value(body, path, wrong))
            if operation.name in ("createTransfers", "dryRunTransfers"):
                assert isinstance(path[1], int)
                refused = answer.json()["data"][path[1]]
                assert refused["status"] in (404, 422)
                assert refused["problem"]["param"].startswith(f"transfers[{path[1]}].")
                continue
            check(answer, 404, 422, param=path_of(path))


@named(WITH_ID)
def test_an_id_in_a_path_that_is_nobodys_or_a_strangers_is_refused(
    scene: Scene, operation: Operation
) -> None:
    body = scene.ours.body(operation)
    for parameter in (one for one in operation.parameters if one["in"] == "path"):
        name, prefix = parameter["name"], prefix_of(parameter["schema"])
        assert prefix is not None
        for wrong in ("nonsense", f"{prefix}_1", unknown_id("xx"), "%00", "..%2f..", "x" * 2000):
            answer = scene.send(operation, path=scene.ours.path(operation, **{name: wrong}), json=body)
            check(answer, 404, 422, param=name if answer.status_code == 422 else None)
        for wrong in (unknown_id(prefix), scene.theirs.ids[prefix]):
            answer = scene.send(operation, path=scene.ours.path(operation, **{name: wrong}), json=body)
            check(answer, 404)


@named(OPERATIONS)
def test_without_a_key_that_counts_nothing_is_answered(scene: Scene, operation: Operation) -> None:
    body = scene.ours.body(operation)
    for authorization in (
        "",
        "Bearer",
        "Bearer nonsense",
        "Bearer fl_test_1_" + "A" * 43,
        "Bearer fl_live_zzzzzz_" + "A" * 43,
        "Basic " + "A" * 20,
        scene.ours.key,
        "Bearer " + scene.ours.key[:-1],
        "Bearer " + scene.ours.key.replace("test", "live"),
        "Bearer \xe9",
        *(f"Bearer {key}" for key in scene.dead_keys),
    ):
        answer = scene.send(operation, json=body, headers={"authorization": authorization.encode("latin-1")})
        check(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"
    url = scene.florin.base + scene.ours.path(operation)
    check(scene.ours.client.request(operation.method, url, json=body), 401)


@named(WRITING)
def test_an_oversized_body_is_refused_announced_or_not(scene: Scene, operation: Operation) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(140):
            yield b" " * 8192

    json_type = {"content-type": "application/json"}
    check(scene.send(operation, content=b" " * 1_100_000, headers=json_type), 413)
    check(scene.send(operation, content=chunks(), headers=json_type), 413)


def _texts(operation: Operation, body: Any) -> Iterator[tuple[str | int, ...]]:
    """Where a text may stand: in the example, and by the schema."""
    for path, value in leaves(body):
        if isinstance(value, str):
            yield path
    for name, schema in operation.properties.items():
        if any(resolve(one).get("type") == "string" for one in schema.get("anyOf", [schema])):
            yield (name,)


@named(WITH_BODY)
def test_texts_that_cannot_be_kept_are_refused_by_name(scene: Scene, operation: Operation) -> None:
    body = scene.ours.body(operation)
    for path in _texts(operation, body):
        for text in ("a\u0000b", "x" * 20_000, *CARDS, "pay with 4242.4242.4242.4242 please"):
            check(scene.send_body(operation, with_value(body, path, text)), 422, param=path_of(path))


@named([one for one in WITH_BODY if "metadata" in one.properties])
def test_metadata_beyond_its_bounds_is_refused_by_name(scene: Scene, operation: Operation) -> None:
    body = scene.ours.body(operation)
    wrong: tuple[Any, ...] = (
        {"k" * 41: "v"},
        {"": "v"},
        {"k": "v" * 501},
        {"k": 1},
        {"k": None},
        {"k": {"deeper": "v"}},
        {f"k{n}": "v" for n in range(51)},
        {CARDS[0]: "v"},
        {"k": CARDS[1]},
        {"k\u0000": "v"},
        [],
    )
    for metadata in wrong:
        check(scene.send_body(operation, body | {"metadata": metadata}), 422, param="metadata")


@named([one for one in WRITING if one.keyed])
def test_an_idempotency_key_is_needed_and_has_to_be_one(scene: Scene, operation: Operation) -> None:
    body = scene.ours.body(operation)
    url, own = scene.florin.base + scene.ours.path(operation), {"authorization": f"Bearer {scene.ours.key}"}
    missing = scene.ours.client.request(operation.method, url, json=body, headers=own)
    check(missing, 400)
    assert missing.json()["code"] == "idempotency_key_missing"
    for key in (b"", b"x" * 256, b"\xe9t\xe9", b"a\tb"):
        answer = scene.ours.client.request(
            operation.method,
            url,
            json=body,
            headers=[(b"authorization", own["authorization"].encode()), (b"idempotency-key", key)],
        )
        check(answer, 422, param="Idempotency-Key")


@named(LISTS)
def test_absurd_pages_are_refused_by_name(scene: Scene, operation: Operation) -> None:
    for limit in ("0", "-1", "101", "1.5", "ten", "", "1" * 40, "0x10", "\u0663"):
        check(scene.send(operation, params={"limit": limit}), 422, param="limit")
    wrong = ["", "-1", "1" * 40, "a\u0000", "x" * 3000]
    # The cursors of these are names: any is one.
    if operation.name not in ("listSettings", "listTemplates", "listRoles"):
        wrong += ["nonsense", unknown_id("xx")]
    for cursor in wrong:
        check(scene.send(operation, params={"starting_after": cursor}), 422, param="starting_after")
    check(scene.send(operation, params={"limit": ["1", "2"]}), 422, param="limit")


@named([one for one in OPERATIONS if one.method == "GET"])
def test_absurd_filters_are_refused_by_name(scene: Scene, operation: Operation) -> None:
    for parameter in operation.parameters:
        if parameter["in"] != "query" or parameter["name"] in ("limit", "starting_after"):
            continue
        for value in ("\u0000", "x" * 5_000):
            answer = scene.send(operation, params={parameter["name"]: value})
            check(answer, 422, param=parameter["name"])


def test_after_all_that_nothing_has_been_written(scene: Scene) -> None:
    after = _at_rest(scene.florin)
    assert {name: rows for name, rows in after.items() if scene.before.get(name) != rows} == {}
    assert after.keys() == scene.before.keys()


def test_card_numbers_are_nowhere_in_the_database_and_in_no_log(scene: Scene) -> None:
    forms = [*CARDS, "4242424242424242", "5555555555554444", "378282246310005", "4242.4242.4242.4242"]
    forms += [form.encode().hex() for form in forms]  # as bytea is shown
    pattern = "|".join(form.replace(".", r"\.") for form in forms)
    with scene.florin.connect() as connection:
        tables = connection.execute(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
            " AND c.relpersistence <> 't'"  # an import's, in another session: empty between its chunks
        ).fetchall()
        assert len(tables) > 20
        for schema, table in tables:
            found = connection.execute(
                sql.SQL("SELECT t::text FROM {} t WHERE t::text ~ %s LIMIT 1").format(
                    sql.Identifier(str(schema), str(table))
                ),
                [pattern],
            ).fetchone()
            assert found is None, (schema, table)
    for log in scene.florin.data_dir.rglob("*.log"):
        text = log.read_text(errors="replace")
        assert not [form for form in forms if form in text], log


def test_nothing_of_it_went_wrong_inside(scene: Scene) -> None:
    log = (scene.florin.data_dir / "run.log").read_text()
    assert "request_failed" not in log, log[-5_000:]
