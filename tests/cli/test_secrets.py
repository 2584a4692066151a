"""`florin secrets`: status, rotate, reencrypt, encrypt, retire, and what the doctor says of it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from florin.kernel.crypto import KeyRing
from tests.cli.conftest import Command
from tests.conftest import AllDatabaseUrls


class Secrets:
    """The command on the tests' own server."""

    def __init__(self, florin: Command, urls: AllDatabaseUrls) -> None:
        self.florin, self.urls = florin, urls
        self.ring_file = florin.data_dir / "key_ring"

    @property
    def environment(self) -> dict[str, str]:
        return {"FLORIN_DATABASE_URL": self.urls.root, "FLORIN_APP_DATABASE_URL": self.urls.app}

    def __call__(self, *arguments: str, code: int = 0, stdout: bool = False, **environment: str) -> str:
        """What it says: on stdout, or on stderr where it has to fail and `stdout` is not asked for."""
        told = self.florin(*arguments, **{**self.environment, **environment})
        assert told.returncode == code, told.stdout + told.stderr
        assert "Traceback" not in told.stderr
        return told.stderr if code and not stdout else told.stdout

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("secrets", "status", "--json"))
        return found

    def age(self) -> None:
        """The ring changed a while ago."""
        before = time.time() - 120
        os.utime(self.ring_file, (before, before))


@pytest.fixture(scope="module")
def secrets(florin: Command, database_urls: AllDatabaseUrls) -> Secrets:
    """A platform with a tenant, a webhook secret of which the ring has sealed, and customers in plain."""
    made = Secrets(florin, database_urls)
    made("tenants", "create", "ACME", "--name", "Acme", "--email", "ops@acme.example")
    with psycopg.connect(database_urls.root) as root:
        live = "SELECT set_config('app.tenant_id', tenant_id::text, false) FROM tenancy.registry WHERE live"
        root.execute(live.encode())
        root.execute(
            "INSERT INTO tenancy.customers (tenant_id, id, reference, name, metadata, created_at, updated_at)"
            " SELECT tenant_id, kernel.uuidv7(), 'old-' || n, 'Old ' || n, '{}', now(), now()"
            " FROM tenancy.registry, generate_series(1, 20) n WHERE live"
        )
    return made


def test_customers_in_plain_are_counted_and_sealed(secrets: Secrets) -> None:
    assert secrets.status()["customers_in_plain"] == 20
    doctor = next(line for line in secrets("doctor", code=1, stdout=True).splitlines() if "in plain" in line)
    assert doctor.startswith("no")
    assert "20 customers sealed" in secrets("secrets", "encrypt")
    assert "0 customers sealed" in secrets("secrets", "encrypt")
    assert secrets.status()["customers_in_plain"] == 0


def test_a_key_is_turned_and_retired_only_when_nothing_needs_it(secrets: Secrets) -> None:
    assert "k2 seals from now on" in secrets("secrets", "rotate")
    assert secrets.status()["keys"] == ["k2", "k1"]
    assert "the ring has just changed" in secrets("secrets", "retire", "k1", code=1)
    secrets.age()
    assert "are sealed by k1; run florin secrets reencrypt first" in secrets(
        "secrets", "retire", "k1", code=1
    )
    assert "24 values sealed anew" in secrets("secrets", "reencrypt")
    assert "0 values sealed anew" in secrets("secrets", "reencrypt")
    assert {one["key"] for one in secrets.status()["sealed"]} == {"k2"}
    assert "is the key that seals" in secrets("secrets", "retire", "k2", code=2)
    assert "k1 is off the ring" in secrets("secrets", "retire", "k1")
    assert KeyRing.from_file(secrets.ring_file).ids == ("k2",)


def test_a_key_that_is_missing_is_named(secrets: Secrets, tmp_path: Path) -> None:
    other = tmp_path / "other_ring"
    KeyRing.from_file(other)
    said = secrets("secrets", "status", code=1, FLORIN_KEY_RING_FILE=str(other))
    assert "keys that are not on the ring: k2" in said


def test_keys_from_the_environment_are_not_turned_here(secrets: Secrets) -> None:
    ring = f"e1:{secrets('secrets', 'new').strip()}"
    assert KeyRing.parse(ring).ids == ("e1",)
    assert "FLORIN_KEY_RING" in secrets("secrets", "rotate", code=1, FLORIN_KEY_RING=ring)


def test_a_ring_that_others_may_read_is_refused(secrets: Secrets) -> None:
    secrets.ring_file.chmod(0o640)
    try:
        assert "chmod 600" in secrets("secrets", "status", code=2)
    finally:
        secrets.ring_file.chmod(0o600)


@pytest.mark.slow
def test_ctrl_c_stops_a_re_encryption_and_the_next_one_goes_on(secrets: Secrets) -> None:
    secrets("secrets", "rotate")
    with psycopg.connect(secrets.urls.root) as root:
        root.execute("LOCK TABLE kernel.people IN EXCLUSIVE MODE")
        process = subprocess.Popen(
            [sys.executable, "-m", "florin", "secrets", "reencrypt"],
            env={**os.environ, **secrets.environment, "FLORIN_DATA_DIR": str(secrets.florin.data_dir)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with psycopg.connect(secrets.urls.root, autocommit=True) as watching:
            waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'relation')"
            for _ in range(300):
                if watching.execute(waiting.encode()).fetchone() == (True,):
                    break
                time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 130, said
        assert "Traceback" not in said
    assert "22 values sealed anew" in secrets("secrets", "reencrypt")
    assert {one["key"] for one in secrets.status()["sealed"]} == {"k3"}


def test_retention_is_shown_set_and_run(secrets: Secrets) -> None:
    shown = json.loads(secrets("retention", "show", "-t", "ACME", "--json"))
    assert (shown["personal_years"], shown["least"]["transactions_years"]) == (7, 5)
    secrets("retention", "set", "-t", "ACME", "--personal", "2", "--audit", "5", "--live")
    shown = json.loads(secrets("retention", "show", "-t", "ACME", "--live", "--json"))
    assert (shown["personal_years"], shown["audit_years"]) == (2, 5)
    assert "transactions_years must be 5" in secrets(
        "retention", "set", "-t", "ACME", "--transactions", "1", code=2
    )
    assert "say which years" in secrets("retention", "set", "-t", "ACME", code=2)
    with psycopg.connect(secrets.urls.root) as root:
        live = "SELECT set_config('app.tenant_id', tenant_id::text, false) FROM tenancy.registry WHERE live"
        root.execute(live.encode())
        root.execute("UPDATE tenancy.customers SET updated_at = now() - interval '3 years'")
    counted = json.loads(secrets("retention", "run", "-t", "ACME", "--live", "--dry-run", "--json"))
    assert counted[0]["customers"] == 20
    assert "20" in secrets("retention", "run", "-t", "ACME", "--live")
    counted = json.loads(secrets("retention", "run", "--dry-run", "--json"))
    assert [one["customers"] for one in counted] == [0, 0]
    told = secrets("audit", "list", "-t", "ACME", "--live", "--json")
    assert "retention_run" in told
