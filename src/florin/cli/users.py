"""`florin users`: who signs in, and the roles they have."""

from typing import Annotated, Any

import typer
from rich.table import Column, Table

from florin.access.people import assignments, users
from florin.access.people.model import Assignment, Grant, User, UserStatus
from florin.cli.console import out
from florin.cli.ledger.options import id_of, print_json
from florin.cli.people import Json, Live, OpenPeople, Tenant, in_days, on_people, shown_time, unit_of
from florin.kernel.ids import encode_id

app = typer.Typer(help="Create users, give them roles, suspend and delete them.", no_args_is_help=True)

Who = Annotated[str, typer.Argument(help="user_..., a user name, an e-mail address, or a number with +.")]
UserName = Annotated[str | None, typer.Option(help="What to sign in with: 3 to 30 of a-z, 0-9, . _ and -.")]
Name = Annotated[str | None, typer.Option(help="What people call the user.")]
Email = Annotated[str | None, typer.Option(help="E-mail address.")]
Phone = Annotated[
    str | None, typer.Option(help="Telephone number, in the tenant's country unless it has a +.")
]
Unit = Annotated[str | None, typer.Option(help="bu_...: in this business unit and below, not everywhere.")]
Days = Annotated[int | None, typer.Option(help="Days until the roles expire.", min=1, max=36_500)]


@app.command()
def create(
    tenant: Tenant,
    user_name: UserName = None,
    name: Name = None,
    email: Email = None,
    phone: Phone = None,
    partner: Annotated[str | None, typer.Option(help="ptnr_...: make a user of this partner.")] = None,
    role: Annotated[list[str] | None, typer.Option(help="A role; may be repeated.")] = None,
    unit: Unit = None,
    days: Days = None,
    live: Live = False,
) -> None:
    """Create a user, with roles if given. Prints the id."""

    async def work(people: OpenPeople) -> None:
        given = {"user_name": user_name, "name": name, "email": email, "phone": phone}
        made = await users.create_user(
            people.room,
            people.tenant_id,
            {field: text for field, text in given.items() if text is not None},
            by=people.by,
            partner_id=None if partner is None else id_of("ptnr", partner),
            grants=[Grant(one, unit_of(unit), in_days(days)) for one in role or []],
        )
        out.print(encode_id("user", made.id), highlight=False)

    on_people(tenant, work, live=live)


@app.command("list")
def list_(
    tenant: Tenant,
    status: Annotated[UserStatus | None, typer.Option(help="Only these; deleted ones are shown so.")] = None,
    role: Annotated[str | None, typer.Option(help="Only those with this role.")] = None,
    unit: Annotated[str | None, typer.Option(help="bu_...: only those with a role in this unit.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=10_000)] = 100,
    live: Live = False,
    json: Json = False,
) -> None:
    """List users, newest first."""

    async def work(people: OpenPeople) -> None:
        found = await users.list_users(
            people.room,
            people.tenant_id,
            by=people.by,
            status=status,
            role=role,
            business_unit_id=unit_of(unit),
            count=limit,
        )
        if json:
            print_json([as_data(one) for one in found])
        else:
            out.print(_table(found))

    on_people(tenant, work, live=live)


@app.command()
def show(user: Who, tenant: Tenant, live: Live = False, json: Json = False) -> None:
    """Show a user and the roles in force."""

    async def work(people: OpenPeople) -> None:
        found = await people.user(user)
        held = await assignments.list_assignments(
            people.room, people.tenant_id, by=people.by, user_id=found.id
        )
        if json:
            print_json({**as_data(found), "assignments": [_assignment_data(one) for one in held]})
            return
        out.print(_table([found]))
        table = Table(Column("Id", no_wrap=True), "Role", "Where", "Expires", "Given by", box=None)
        for one in held:
            where = "tenant" if one.business_unit_id is None else encode_id("bu", one.business_unit_id)
            expires = shown_time(one.expires_at)
            table.add_row(encode_id("asg", one.id), one.role, where, expires, one.assigned_by)
        out.print(table)

    on_people(tenant, work, live=live)


@app.command()
def change(
    user: Who,
    tenant: Tenant,
    user_name: UserName = None,
    name: Name = None,
    email: Email = None,
    phone: Phone = None,
    live: Live = False,
) -> None:
    """Change names, address or number; an empty text empties one."""

    async def work(people: OpenPeople) -> None:
        found = await people.user(user)
        given = {"user_name": user_name, "name": name, "email": email, "phone": phone}
        changes = {field: text or None for field, text in given.items() if text is not None}
        changed = await users.change_user(people.room, people.tenant_id, found.id, changes, by=people.by)
        out.print(_table([changed]))

    on_people(tenant, work, live=live)


@app.command()
def suspend(user: Who, tenant: Tenant, live: Live = False) -> None:
    """Keep a user out; the sessions end at once."""
    _move(users.suspend_user, user, tenant, live=live)


@app.command()
def reactivate(user: Who, tenant: Tenant, live: Live = False) -> None:
    """Let a suspended user in again."""
    _move(users.reactivate_user, user, tenant, live=live)


@app.command()
def delete(user: Who, tenant: Tenant, live: Live = False) -> None:
    """Delete a user: sessions and roles end, names are free."""
    _move(users.delete_user, user, tenant, live=live)


@app.command()
def assign(
    user: Who,
    role: Annotated[str, typer.Argument(help="The role's code.")],
    tenant: Tenant,
    unit: Unit = None,
    days: Days = None,
    live: Live = False,
) -> None:
    """Give a user a role. Prints the assignment's id."""

    async def work(people: OpenPeople) -> None:
        found = await people.user(user)
        grant = Grant(role, unit_of(unit), in_days(days))
        made = await assignments.assign(people.room, people.tenant_id, found.id, grant, by=people.by)
        out.print(encode_id("asg", made.id), highlight=False)

    on_people(tenant, work, live=live)


@app.command()
def unassign(
    assignment: Annotated[str, typer.Argument(help="asg_..., as florin users show lists it.")],
    tenant: Tenant,
    live: Live = False,
) -> None:
    """Take a role away."""

    async def work(people: OpenPeople) -> None:
        assignment_id = id_of("asg", assignment)
        ended = await assignments.end_assignment(people.room, people.tenant_id, assignment_id, by=people.by)
        out.print(f"{ended.role} has ended", highlight=False)

    on_people(tenant, work, live=live)


def as_data(user: User) -> dict[str, Any]:
    """The user for programs."""
    return {
        "id": encode_id("user", user.id),
        "partner_id": None if user.partner_id is None else encode_id("ptnr", user.partner_id),
        "status": user.status,
        "user_name": user.names.user_name,
        "name": user.names.name,
        "email": user.names.email,
        "phone": user.names.phone,
        "email_verified_at": user.email_verified_at,
        "phone_verified_at": user.phone_verified_at,
        "created_at": user.created_at,
        "created_by": user.created_by,
    }


def _assignment_data(assignment: Assignment) -> dict[str, Any]:
    unit_id = assignment.business_unit_id
    return {
        "id": encode_id("asg", assignment.id),
        "role": assignment.role,
        "business_unit_id": None if unit_id is None else encode_id("bu", unit_id),
        "expires_at": assignment.expires_at,
        "assigned_at": assignment.assigned_at,
        "assigned_by": assignment.assigned_by,
    }


def _move(act: Any, user: str, tenant: str, *, live: bool) -> None:
    async def work(people: OpenPeople) -> None:
        found = await people.user(user)
        moved: User = await act(people.room, people.tenant_id, found.id, by=people.by)
        out.print(f"{encode_id('user', moved.id)} is {moved.status}", highlight=False)

    on_people(tenant, work, live=live)


def _table(found: list[User]) -> Table:
    table = Table(
        Column("Id", no_wrap=True), "Status", "User name", "Name", "E-mail", "Phone", "Partner", box=None
    )
    for user in found:
        names = user.names
        shown = (names.user_name, names.name, names.email, names.phone)
        partner = "" if user.partner_id is None else encode_id("ptnr", user.partner_id)
        table.add_row(encode_id("user", user.id), user.status, *(one or "" for one in shown), partner)
    return table
