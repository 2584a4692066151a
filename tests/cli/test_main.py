"""What the command line says, and how it ends."""

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

    for wrong in (
        ("keys", "create", "--tenant", "ACME", "--scope", "everything"),
        ("keys", "revoke", "key_nonsense", "--tenant", "ACME"),
        ("keys", "create", "--tenant", "NOBODY"),
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
