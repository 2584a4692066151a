"""Users, roles and the tenant PLATFORM from the command line."""

import json

from tests.cli.conftest import Command


def test_a_tenants_first_administrator_and_others_live_their_lives(florin: Command) -> None:
    assert florin("migrate").returncode == 0
    assert (
        florin("tenants", "create", "ACME", "--name", "Acme", "--email", "ops@acme.example").returncode == 0
    )
    on_acme = ("--tenant", "ACME", "--live")
    boss = florin(
        "users",
        "create",
        *on_acme,
        "--role",
        "tenant_admin",
        "--user-name",
        "Boss",
        "--phone",
        "011 555 0100",
    )
    assert boss.returncode == 0, boss.stderr
    [row] = json.loads(florin("users", "list", *on_acme, "--json").stdout)
    assert row["id"] == boss.stdout.strip()
    assert (row["status"], row["user_name"], row["phone"]) == ("INVITED", "boss", "+27115550100")
    last = florin("users", "delete", "boss", *on_acme)
    assert (last.returncode, "administrator" in last.stderr) == (2, True)
    assert florin("users", "create", *on_acme, "--user-name", "boss").returncode == 2
    wrong = florin("users", "create", *on_acme, "--email", "nowhere")
    assert wrong.returncode == 2
    assert wrong.stderr.strip().startswith("error: email: must be an e-mail address")

    made = florin("roles", "create", "desk", *on_acme, "--name", "Desk", "--permission", "refunds:read")
    assert made.returncode == 0, made.stderr
    given = florin("users", "assign", "+27115550100", "desk", *on_acme, "--days", "7")
    assert given.returncode == 0, given.stderr
    shown = json.loads(florin("users", "show", "boss", *on_acme, "--json").stdout)
    assert {one["role"] for one in shown["assignments"]} == {"tenant_admin", "desk"}
    assert shown["assignments"][0]["assigned_by"].startswith("cli:")
    assert "desk" in florin("users", "show", "boss", *on_acme).stdout
    assert florin("roles", "delete", "desk", *on_acme).returncode == 2
    assert florin("users", "unassign", given.stdout.strip(), *on_acme).stdout == "desk has ended\n"
    changed = florin("roles", "change", "desk", *on_acme, "--permission", "payments:*")
    assert changed.stdout == "desk: payments:*\n"
    assert florin("roles", "delete", "desk", *on_acme).returncode == 0
    codes = {one["code"] for one in json.loads(florin("roles", "list", *on_acme, "--json").stdout)}
    assert "tenant_admin" in codes
    assert "desk" not in codes

    renamed = florin("users", "change", "boss", *on_acme, "--email", "Boss@Acme.example", "--phone", "")
    assert renamed.returncode == 0, renamed.stderr
    assert "boss@acme.example" in florin("users", "list", *on_acme).stdout
    assert florin("users", "show", "+27115550100", *on_acme).returncode == 1
    assert florin("users", "suspend", "boss@acme.example", *on_acme).returncode == 2
    audit = florin("audit", "list", *on_acme, "--type", "user")
    assert "cli:" in audit.stdout


def test_the_platform_is_made_once_and_has_administrators_of_its_own(florin: Command) -> None:
    assert florin("migrate").returncode == 0
    first, second = florin("platform", "init"), florin("platform", "init")
    assert (first.returncode, second.returncode) == (0, 0)
    assert second.stdout == first.stdout.replace("\n", ", as it was\n")
    admin = ("users", "create", "--role", "platform_admin", "--user-name", "root.admin", "--tenant")
    assert florin(*admin, "PLATFORM", "--live").returncode == 0
    assert florin(*admin, "PLATFORM").returncode == 2, "its test twin has no power over anybody"
