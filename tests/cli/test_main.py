"""What the command line says, and how it ends."""

import json
import re
import socket

import pytest

from tests.cli.conftest import Command

COMMANDS = [
    ("run",),
    ("migrate",),
    ("tenants", "create"),
    ("tenants", "list"),
    ("keys", "create"),
    ("keys", "list"),
    ("keys", "show"),
    ("keys", "change"),
    ("keys", "rotate"),
    ("keys", "revoke"),
    ("platform", "init"),
    ("users", "create"),
    ("users", "list"),
    ("users", "show"),
    ("users", "change"),
    ("users", "suspend"),
    ("users", "reactivate"),
    ("users", "delete"),
    ("users", "assign"),
    ("users", "unassign"),
    ("roles", "list"),
    ("roles", "create"),
    ("roles", "change"),
    ("roles", "delete"),
    ("ledger", "verify"),
    ("ledger", "rebuild"),
    ("ledger", "status"),
    ("replay", "retail"),
    ("replay", "berka"),
    ("ledger", "post"),
    ("ledger", "dry-run"),
    ("ledger", "reverse"),
    ("ledger", "correct"),
    ("ledger", "exchange"),
    ("ledger", "positions"),
    ("ledger", "templates", "post"),
    ("tokens", "keys", "list"),
    ("tokens", "keys", "rotate"),
    ("tokens", "keys", "revoke"),
    ("bench",),
    ("ledger", "monitors", "create"),
    ("ledger", "monitors", "list"),
    ("ledger", "monitors", "change"),
    ("ledger", "clearing"),
    ("doctor",),
    ("sandbox",),
    ("ledger", "balance"),
    ("ledger", "trial-balance"),
    ("ledger", "restatements"),
    ("ledger", "periods", "close"),
    ("ledger", "periods", "list"),
    ("ledger", "import"),
    ("ledger", "export"),
    ("ledger", "archive"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(florin: Command, command: tuple[str, ...]) -> None:
    told = florin(*command, "--help")
    assert told.returncode == 0
    assert f"florin {' '.join(command)}" in re.sub(r"\s+", " ", told.stdout)


def test_an_unknown_command_and_an_impossible_setting_are_usage_errors(florin: Command) -> None:
    assert florin("fly").returncode == 2
    impossible = florin("tenants", "list", FLORIN_PORT="70000")
    assert impossible.returncode == 2
    assert "FLORIN_PORT" in impossible.stderr
    assert "Traceback" not in impossible.stderr


def test_what_needs_a_migrated_database_says_so(florin: Command) -> None:
    for command in (("tenants", "list"), ("doctor",)):
        told = florin(*command)
        assert (told.returncode, "florin migrate" in told.stderr) == (1, True), told.stderr


def test_migrations_are_pending_then_applied_then_up_to_date(florin: Command) -> None:
    pending = florin("migrate", "--check")
    assert pending.returncode == 1
    assert "0001_kernel" in pending.stdout
    applied = florin("migrate")
    assert applied.returncode == 0
    assert "0001_kernel" in applied.stdout
    assert florin("migrate", "--check").returncode == 0
    assert "up to date" in florin("migrate").stdout


def test_tenants_and_keys_live_their_lives(florin: Command) -> None:
    florin("migrate")
    made = florin("tenants", "create", "ACME", "--name", "Acme", "--email", "ops@acme.example")
    assert made.returncode == 0, made.stderr
    twice = florin("tenants", "create", "ACME", "--name", "Acme", "--email", "ops@acme.example")
    assert twice.returncode == 2
    assert "Traceback" not in twice.stderr
    assert florin("tenants", "list").stdout.count("ACME") == 2

    key = florin("keys", "create", "--tenant", "ACME", "--name", "till", "--scope", "payments:write")
    assert key.returncode == 0, key.stderr
    secret = key.stdout.strip()
    assert re.fullmatch(r"fl_test_[0-9a-z]+_[A-Za-z0-9_-]{43}", secret)
    live = florin("keys", "create", "--tenant", "ACME", "--live")
    assert live.stdout.startswith("fl_live_")

    listed = florin("keys", "list", "--tenant", "ACME").stdout
    assert "payments:write" in listed
    assert secret not in listed
    key_id = re.search(r"key_[0-9a-z]{26}", listed)
    assert key_id is not None
    rotated = florin("keys", "rotate", key_id.group(), "--tenant", "ACME")
    assert rotated.stdout.startswith("fl_test_")
    assert florin("keys", "revoke", key_id.group(), "--tenant", "ACME").returncode == 0

    acme = ("--tenant", "ACME", "--json")
    made = florin("keys", "create", *acme, "--scope", "payments:*", "--allow", "::ffff:10.0.0.0/104")
    key_of_json = json.loads(made.stdout)
    assert (key_of_json["allowed_addresses"], key_of_json["status"]) == (["10.0.0.0/8"], "active")
    own = (key_of_json["id"], "--tenant", "ACME")
    changed = florin("keys", "change", *own, "--name", "new", "--per-day", "7", "--anywhere", "--json")
    found = json.loads(changed.stdout)
    assert (found["name"], found["limits"]["per_day"], found["allowed_addresses"]) == ("new", 7, [])
    assert json.loads(florin("keys", "show", *own, "--json").stdout) == found
    assert "payments:*" in florin("keys", "show", *own).stdout
    assert florin("keys", "revoke", *own, "--reason", "leaked").returncode == 0
    revoked = json.loads(florin("keys", "list", "--tenant", "ACME", "--status", "revoked", "--json").stdout)
    assert revoked[0]["revoked_reason"] == "leaked"
    assert revoked[0]["revoked_by"].startswith("cli:")

    assert florin("tenants", "limits", "ACME", "--per-minute", "500", "--live").returncode == 0
    assert re.search(r"live +500", florin("tenants", "limits", "ACME").stdout)

    for wrong in (
        ("keys", "create", "--tenant", "ACME", "--scope", "everything"),
        ("keys", "revoke", "key_nonsense", "--tenant", "ACME"),
        ("keys", "create", "--tenant", "NOBODY"),
        ("keys", "create", "--tenant", "ACME", "--allow", "10.0.0.1/8"),
        ("keys", "change", key_id.group(), "--tenant", "ACME", "--name", "x"),  # it is revoked
        ("keys", "change", key_id.group(), "--tenant", "ACME"),
        ("tenants", "limits", "NOBODY"),
    ):
        told = florin(*wrong)
        assert told.returncode in (1, 2)
        assert told.stderr.startswith("error:"), told.stderr


def test_the_doctor_finds_a_secret_that_others_may_read(florin: Command) -> None:
    florin("migrate")
    healthy = florin("doctor")
    assert healthy.returncode == 0, healthy.stdout
    (florin.data_dir / "key_ring").touch()
    (florin.data_dir / "key_ring").chmod(0o644)
    ill = florin("doctor")
    assert ill.returncode == 1
    assert "chmod 600" in ill.stdout
    (florin.data_dir / "key_ring").unlink()


def test_a_taken_port_and_a_broken_key_ring_end_the_start_with_one_sentence(florin: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        told = florin("run", FLORIN_PORT=port)
        assert told.returncode == 1
        assert "FLORIN_PORT" in told.stderr
    broken = florin(
        "tenants", "create", "OTHER", "--name", "x", "--email", "x@x.example", FLORIN_KEY_RING="k1:short"
    )
    assert broken.returncode == 2
    assert "key ring" in broken.stderr
    for said in (told.stderr, broken.stderr):
        assert "Traceback" not in said
