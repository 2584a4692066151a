"""Whatever a request changes of what is watched, the log says who asked, from where and by which request.

Generic over the operations of the document: how the watched tables stood before and after tells what changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from tests.flows import world
from tests.flows.conftest import Florin
from tests.flows.world import Operation, Tenant

WRITING = [one for one in world.operations() if one.method not in ("GET", "HEAD")]
AGENT = "audit-trail/1 (test)"

WATCHED = """
    SELECT t.tgrelid::regclass::text, string_to_array(encode(t.tgargs, 'escape'), '\\000'),
           EXISTS (SELECT FROM pg_trigger i WHERE i.tgrelid = t.tgrelid AND i.tgname = 'audited_inserts')
    FROM pg_trigger t WHERE t.tgname = 'audited' AND NOT t.tgisinternal
"""


class Table(NamedTuple):
    """What is watched of a table's rows, and whether new ones are."""

    entity: str
    inserts: bool
    rows: frozenset[str]

    def differs(self, after: "Table") -> bool:
        """Whether the log has to tell of it."""
        return bool(self.rows - after.rows) or (self.inserts and self.rows != after.rows)


@dataclass
class Scene:
    florin: Florin
    tenant: Tenant
    tenant_id: int
    connection: Any

    def standing(self) -> dict[str, Table]:
        """How the watched tables stand, by name."""
        found: dict[str, Table] = {}
        for table, arguments, inserts in self.connection.execute(WATCHED).fetchall():
            rows = self.connection.execute(
                f"SELECT md5((to_jsonb(t) - %s::text[])::text) FROM {table} t WHERE tenant_id = %s",
                ([name for name in arguments[2:] if name], self.tenant_id),
            ).fetchall()
            found[table] = Table(arguments[0], inserts, frozenset(row[0] for row in rows))
        return found

    def recorded(self, request_id: str) -> list[dict[str, Any]]:
        """What the log says of a request."""
        rows = self.connection.execute(
            "SELECT row_to_json(l) FROM audit.log l WHERE tenant_id = %s AND request_id = %s ORDER BY seq",
            (self.tenant_id, request_id),
        ).fetchall()
        return [row[0] for row in rows]


@pytest.fixture(scope="module")
def scene(florin: Florin) -> Iterator[Scene]:
    tenant = world.furnish(Tenant(florin.base, florin.key))
    with florin.connect() as connection:
        row = connection.execute(
            "SELECT tenant_id FROM tenancy.registry WHERE code = 'DEMO' AND NOT live"
        ).fetchone()
        assert row is not None
        yield Scene(florin, tenant, int(str(row[0])), connection)
    tenant.client.close()


def send(scene: Scene, operation: Operation, request_id: str) -> int:
    headers = {"x-request-id": request_id, "user-agent": AGENT}
    options: dict[str, Any] = {"json": scene.tenant.body(operation)}
    if operation.takes_file:
        content = f"code,type,currency\n{request_id}:imported,asset,USD\n"
        options = {"content": content, "params": {"kind": "accounts"}}
        headers["content-type"] = "text/csv"
    path = scene.tenant.path(operation)
    return scene.tenant.request(operation.method, path, headers=headers, **options).status_code


@pytest.mark.parametrize("operation", WRITING, ids=[one.name for one in WRITING])
def test_a_request_that_changes_what_is_watched_is_in_the_log(scene: Scene, operation: Operation) -> None:
    request_id = f"trail-{operation.name}"
    before = scene.standing()
    status = send(scene, operation, request_id)
    changed = {table for table, stands in scene.standing().items() if before[table].differs(stands)}
    recorded = scene.recorded(request_id)
    assert status < 500
    told = {row["entity_type"] for row in recorded}
    for table in changed:
        assert before[table].entity in told, f"{operation.name} changed {table}: the log tells of {told}"
    assert not (recorded and status >= 400)
    for row in recorded:
        assert row["actor"].startswith(("key_", "user_")), row
        assert (row["address"], row["user_agent"]) == ("127.0.0.1", AGENT)


def test_requests_have_changed_things_of_most_kinds(scene: Scene) -> None:
    rows = scene.connection.execute(
        "SELECT DISTINCT entity_type FROM audit.log"
        " WHERE tenant_id = %s AND user_agent = %s AND action <> 'read'",
        (scene.tenant_id, AGENT),
    ).fetchall()
    assert {row[0] for row in rows} >= {
        *("account", "api_key", "business_unit", "chart", "customer", "endpoint", "import", "limit"),
        *("monitor", "partner", "period", "seal_key", "setting", "tenant", "webhook_secret"),
    }


def test_nothing_is_put_down_to_the_database_itself(scene: Scene) -> None:
    nameless = scene.connection.execute(
        "SELECT DISTINCT action, entity_type FROM audit.log WHERE actor LIKE 'database:%'"
    ).fetchall()
    assert nameless == []


def test_all_that_is_recorded_is_whole(scene: Scene) -> None:
    broken = scene.connection.execute(
        "SELECT count(*) FROM audit.log WHERE digest <> audit.digest(log) AND tenant_id = %s",
        (scene.tenant_id,),
    ).fetchone()
    assert broken == (0,)


def test_what_is_privileged_to_see_is_noted(scene: Scene) -> None:
    for path in ("/v1/audit", "/v1/audit/export", "/v1/api-keys", "/v1/exports/accounts.csv"):
        request_id = f"trail{path.replace('/', '-')}"
        answer = scene.tenant.request("GET", path, headers={"x-request-id": request_id, "user-agent": AGENT})
        assert answer.status_code == 200
        [row] = scene.recorded(request_id)
        assert (row["action"], row["entity_id"], row["user_agent"]) == ("read", path, AGENT)
