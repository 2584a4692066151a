"""`florin audit schema`: changes of the database's schema."""

import sys
from typing import Annotated

import typer
from rich.table import Table

from florin.audit import schema_watch
from florin.audit.http import SchemaChangeShown
from florin.cli.audit import app
from florin.cli.console import err, out, run_async
from florin.cli.ledger.options import Json, print_json
from florin.cli.platform import open_platform
from florin.kernel.clock import rfc3339
from florin.kernel.settings import settings


@app.command()
def schema(
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=10_000)] = 100,
    print_sql: Annotated[
        bool, typer.Option("--print-sql", help="Print what a superuser runs to have changes recorded.")
    ] = False,
    json: Json = False,
) -> None:
    """List changes of the schema, newest first: migrations, and whatever was done by hand."""
    if print_sql:
        sys.stdout.write(schema_watch.script())
        return

    async def work() -> None:
        async with open_platform(settings()) as platform:
            found = await schema_watch.schema_changes(platform.tenancy.database, limit=limit)
            watched = await schema_watch.is_watched(platform.tenancy.database)
        if not watched:
            err.print("changes are not being recorded; florin doctor says what helps")
        if json:
            print_json([SchemaChangeShown.model_validate(one).model_dump(mode="json") for one in found])
            return
        table = Table("At", "Who", "What", "Object", "Why", box=None)
        for one in found:
            who = one.login if one.login == one.role else f"{one.login} as {one.role}"
            table.add_row(
                rfc3339(one.at)[:19], who, one.command, one.object or one.statement or "", one.reason or ""
            )
        out.print(table)

    run_async(work())
