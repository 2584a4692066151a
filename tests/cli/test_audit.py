"""`florin audit`: searched, taken along, verified and anchored, as a user says it."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from typer.testing import CliRunner, Result

from florin.audit import chain, files, schema_watch, service
from florin.cli.console import out
from florin.cli.main import app
from florin.kernel.settings import settings
from tests.audit.history import record
from tests.conftest import AllDatabaseUrls

Florin = Callable[..., Result]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def florin(database_urls: AllDatabaseUrls, data_dir: Path) -> Iterator[Florin]:
    """The command in this process, on a database with tenants ACME and OTHER."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLORIN_DATABASE_URL", database_urls.root)
        patch.setenv("FLORIN_DATA_DIR", str(data_dir))
        patch.setattr(out, "width", 200)
        settings.cache_clear()

        def run(*words: str) -> Result:
            return CliRunner().invoke(app, words)

        for code in ("ACME", "OTHER"):
            made = run("tenants", "create", code, "--name", code, "--email", "ops@acme.example")
            assert made.exit_code == 0, made.output
        record(database_urls.app, acme_of(database_urls), 25)
        yield run
    settings.cache_clear()


def acme_of(urls: AllDatabaseUrls) -> int:
    with psycopg.connect(urls.root) as root:
        row = root.execute(
            "SELECT tenant_id FROM tenancy.registry WHERE code = 'ACME' AND NOT live"
        ).fetchone()
    assert row is not None
    return int(row[0])


def told(florin: Florin, *words: str) -> str:
    done = florin("audit", *words)
    assert done.exit_code == 0, (words, done.output, done.exception)
    return done.stdout.strip()


def test_entries_are_listed_by_filter_and_shown_one_by_one(florin: Florin) -> None:
    listed = json.loads(told(florin, "list", "-t", "ACME", "--action", "trial", "--entity", "7", "--json"))
    assert [one["entity_id"] for one in listed] == ["7"]
    shown = told(florin, "show", listed[0]["id"], "-t", "ACME")
    assert "trial" in shown
    assert "* n: 7" in shown
    assert json.loads(told(florin, "show", listed[0]["id"], "-t", "ACME", "--json")) == listed[0]
    assert "created tenant" in told(florin, "list", "-t", "ACME", "--type", "tenant")


def test_who_looks_at_the_log_is_in_it(florin: Florin) -> None:
    told(florin, "list", "-t", "ACME", "--actor", "nobody")
    [newest, *_] = json.loads(told(florin, "list", "-t", "ACME", "--action", "read", "--json"))
    assert newest["actor"].startswith("cli:")
    assert newest["after"] == {"operation": "florin audit list", "filters": {"actor": "nobody"}}


@pytest.mark.parametrize("name", ["log.ndjson", "log.csv"])
def test_an_export_that_was_stopped_goes_on_where_it_was(
    florin: Florin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(service, "export", partial(service.export, window=4))
    words = ("export", str(tmp_path / name), "-t", "ACME", "--action", "trial")
    whole = tmp_path / "whole"
    told(florin, *words)
    (tmp_path / name).rename(whole)

    windows = 0
    part = files.part

    def interrupted(*given: Any) -> bytes:
        nonlocal windows
        windows += 1
        if windows == 3:
            raise KeyboardInterrupt
        return part(*given)

    monkeypatch.setattr(files, "part", interrupted)
    assert florin("audit", *words).exit_code == 130
    assert not (tmp_path / name).exists()
    unfinished = tmp_path / f"{name}.unfinished"
    with unfinished.open("ab") as file:
        file.write(b"half a line")
    other = florin("audit", *words[:-1], "created")
    assert other.exit_code == 1
    monkeypatch.setattr(files, "part", part)
    assert "25 entries" in told(florin, *words)
    assert (tmp_path / name).read_bytes() == whole.read_bytes()
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted([name, "whole"])


def test_all_chains_are_walked_and_anchored(florin: Florin, tmp_path: Path) -> None:
    said = told(florin, "verify")
    assert [line.split(":")[0] for line in said.splitlines()] == [
        "ACME live",
        "ACME test",
        "OTHER live",
        "OTHER test",
    ]
    anchors = tmp_path / "anchors.json"
    anchors.write_text(told(florin, "anchor", "--json"))
    kept = orjson.loads(anchors.read_bytes())
    assert len(kept) == 4
    assert kept[0]["digest"] in told(florin, "anchor")
    told(florin, "list", "-t", "ACME")  # the log goes on
    told(florin, "verify", "--anchor", str(anchors))
    kept[1]["digest"] = "00" * 32
    anchors.write_bytes(orjson.dumps(kept))
    broken = florin("audit", "verify", "--anchor", str(anchors), "--json")
    assert broken.exit_code == 1
    assert json.loads(broken.stdout)[-1]["broken"]["fault"] == "anchor"


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"tenant": "A"}]'])
def test_a_file_that_holds_no_anchors_is_refused(florin: Florin, tmp_path: Path, text: str) -> None:
    path = tmp_path / "anchors.json"
    path.write_text(text)
    assert florin("audit", "verify", "--anchor", str(path)).exit_code == 2


def test_a_walk_that_was_stopped_goes_on_where_it_was(
    florin: Florin, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walked: list[int] = []
    verify = chain.verify

    async def stopping(database: Any, tenant_id: int, **options: Any) -> Any:
        walked.append(options["after"].seq if options["after"] else 0)
        verdict = await verify(database, tenant_id, **options)
        if len(walked) == 2:
            raise KeyboardInterrupt
        return verdict

    monkeypatch.setattr(chain, "verify", stopping)
    assert florin("audit", "verify").exit_code == 130
    assert (data_dir / "audit_verify.json").exists()
    told(florin, "verify", "--resume")
    assert walked[:2] == [0, 0]
    assert min(walked[2:4]) > 0
    assert not (data_dir / "audit_verify.json").exists()


def test_a_broken_row_is_named_and_ends_the_walk(florin: Florin, database_urls: AllDatabaseUrls) -> None:
    tenant_id = acme_of(database_urls)
    with psycopg.connect(database_urls.root) as root:
        root.execute("SET LOCAL session_replication_role = replica")
        root.execute("UPDATE audit.log SET reason = 'x' WHERE tenant_id = %s AND seq = 5", (tenant_id,))
    done = florin("audit", "verify")
    assert done.exit_code == 1
    assert "ACME test: row 5 (aud_" in done.stdout
    assert "digest; 4 rows are whole" in done.stdout
    assert "OTHER" not in done.stdout
    with psycopg.connect(database_urls.root) as root:
        root.execute("SET LOCAL session_replication_role = replica")
        root.execute("UPDATE audit.log SET reason = NULL WHERE tenant_id = %s AND seq = 5", (tenant_id,))


def test_changes_of_the_schema_are_listed_once_they_are_recorded(
    florin: Florin, database_urls: AllDatabaseUrls
) -> None:
    before = florin("audit", "schema")
    assert before.exit_code == 0
    assert "not being recorded" in before.stderr
    with psycopg.connect(database_urls.root) as root:
        root.execute(told(florin, "schema", "--print-sql").encode())
    with psycopg.connect(database_urls.owner) as owner:
        owner.execute("COMMENT ON SCHEMA access IS 'by hand'")
    [newest, *_] = json.loads(told(florin, "schema", "--json"))
    assert (newest["login"], newest["command"], newest["object"]) == ("florin_owner", "COMMENT", "access")
    assert "not being recorded" not in florin("audit", "schema").stderr
    assert schema_watch.version() in told(florin, "schema", "--print-sql")


def test_a_tenant_that_is_none_is_said_so(florin: Florin) -> None:
    assert florin("audit", "verify", "--tenant", "NOBODY").exit_code == 1
