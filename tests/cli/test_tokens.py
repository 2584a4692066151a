"""`florin tokens keys`: turned by an operator, in words and in JSON."""

import json
from typing import Any

import pytest

from tests.cli.conftest import Command


@pytest.fixture
def migrated(florin: Command) -> Command:
    assert florin("migrate").returncode == 0
    return florin


def listed(florin: Command) -> list[dict[str, Any]]:
    told = florin("tokens", "keys", "list", "--json")
    assert told.returncode == 0, told.stderr
    found: list[dict[str, Any]] = json.loads(told.stdout)
    return found


def test_signing_keys_are_made_announced_and_revoked(migrated: Command) -> None:
    florin = migrated
    assert listed(florin) == []
    for _ in range(3):  # the first signs at once, the second is announced, the third is the second
        assert florin("tokens", "keys", "rotate").returncode == 0
    announced, signing = listed(florin)
    assert (announced["state"], signing["state"]) == ("announced", "signing")
    assert signing["signs_until"] == announced["signs_from"]
    assert announced["created_by"].startswith("cli:")
    told = florin("tokens", "keys", "revoke", signing["kid"], "--reason", "a laptop was lost")
    assert told.returncode == 0
    assert signing["kid"] in told.stdout
    states = {key["kid"]: (key["state"], key["revoked_reason"]) for key in listed(florin)}
    assert states[signing["kid"]] == ("revoked", "a laptop was lost")
    assert sorted(state for state, _ in states.values()) == ["announced", "revoked", "signing"]
    shown = florin("tokens", "keys", "list").stdout
    assert signing["kid"] in shown
    assert "a laptop was lost" in shown


def test_what_cannot_be_revoked_is_said_in_one_sentence(migrated: Command) -> None:
    florin = migrated
    unknown = florin("tokens", "keys", "revoke", "nobodys", "--reason", "x")
    assert (unknown.returncode, unknown.stderr.count("\n")) == (2, 1)
    assert "no signing key" in unknown.stderr
    assert florin("tokens", "keys", "revoke", "nobodys").returncode == 2, "a reason is asked for"


def test_a_client_is_made_like_a_key_and_its_secret_is_another(migrated: Command) -> None:
    florin = migrated
    assert florin("tenants", "create", "ACME", "--name", "Acme", "--email", "a@acme.example").returncode == 0
    made = florin("keys", "create", "--tenant", "ACME", "--client")
    assert made.stdout.startswith("fl_cs_test_")
    assert "fl_cs_test_" in florin("keys", "list", "--tenant", "ACME").stdout
