"""`florin roles`: what users may do, under names."""

from typing import Annotated

import typer
from rich.table import Table

from florin.access.people import roles
from florin.cli.console import out
from florin.cli.ledger.options import print_json
from florin.cli.people import Json, Live, OpenPeople, Tenant, on_people

app = typer.Typer(help="List roles; create, change and delete the tenant's own.", no_args_is_help=True)

Code = Annotated[str, typer.Argument(help="The role's code: 2 to 40 of a-z, 0-9 and _.")]
Permission = Annotated[
    list[str] | None, typer.Option("--permission", help="A permission, or payments:*; may be repeated.")
]


@app.command("list")
def list_(tenant: Tenant, live: Live = False, json: Json = False) -> None:
    """List the roles that a tenant's users can have."""

    async def work(people: OpenPeople) -> None:
        found = await roles.list_roles(people.room, people.tenant_id, count=10_000)
        if json:
            print_json(
                [
                    {
                        "code": one.code,
                        "name": one.name,
                        "description": one.description,
                        "permissions": one.permissions,
                        "built_in": one.built_in,
                    }
                    for one in found
                ]
            )
            return
        table = Table("Code", "Name", "Permissions", "", box=None)
        for one in found:
            own = "" if one.built_in else "own"
            table.add_row(one.code, one.name, " ".join(one.permissions), own)
        out.print(table)

    on_people(tenant, work, live=live)


@app.command()
def create(
    code: Code,
    tenant: Tenant,
    name: Annotated[str, typer.Option(help="What people call it.")],
    permission: Permission = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    live: Live = False,
) -> None:
    """Create a role of the tenant's own."""

    async def work(people: OpenPeople) -> None:
        made = await roles.create_role(
            people.room,
            people.tenant_id,
            code=code,
            name=name,
            description=description,
            permissions=permission or [],
            by=people.by,
        )
        out.print(f"{made.code}: {' '.join(made.permissions)}", highlight=False)

    on_people(tenant, work, live=live)


@app.command()
def change(
    code: Code,
    tenant: Tenant,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    permission: Permission = None,
    live: Live = False,
) -> None:
    """Change a role of the tenant's own; --permission replaces all that it has."""

    async def work(people: OpenPeople) -> None:
        given = {"name": name, "permissions": permission or None}
        changes = {field: value for field, value in given.items() if value is not None}
        changed = await roles.change_role(people.room, people.tenant_id, code, changes, by=people.by)
        out.print(f"{changed.code}: {' '.join(changed.permissions)}", highlight=False)

    on_people(tenant, work, live=live)


@app.command()
def delete(code: Code, tenant: Tenant, live: Live = False) -> None:
    """Delete a role of the tenant's own that nobody has."""

    async def work(people: OpenPeople) -> None:
        await roles.delete_role(people.room, people.tenant_id, code, by=people.by)
        out.print(f"{code} is deleted", highlight=False)

    on_people(tenant, work, live=live)
