"""`florin ledger templates`: recipes for postings."""

from typing import Annotated, Any

import orjson
import typer
from rich.table import Table

from florin.cli.console import USAGE, fail, out
from florin.cli.ledger import app as ledger_app
from florin.cli.ledger.books import Live, OpenBooks, Tenant
from florin.cli.ledger.options import Json
from florin.cli.ledger.posting import (
    DryRun,
    File,
    Key,
    document,
    in_books,
    key_of,
    parsed,
    show_rehearsal,
    show_transfers,
)
from florin.kernel.ids import new_id
from florin.ledger.http.dry_run_render import rehearsal
from florin.ledger.http.templates import template as rendered
from florin.ledger.recipes import service
from florin.ledger.recipes.document import RecipeBody
from florin.ledger.recipes.model import Template, TemplatePosting

app = typer.Typer(help="Recipes for postings: named, versioned, never changed.", no_args_is_help=True)
ledger_app.add_typer(app, name="templates")

Name = Annotated[str, typer.Argument(help="The template's name.")]
Version = Annotated[int | None, typer.Option(help="Default: the newest.", min=1)]


@app.command("list")
def list_templates(tenant: Tenant, live: Live = False, as_json: Json = False) -> None:
    """All templates, those that come with Florin too."""

    async def work(books: OpenBooks) -> list[Template]:
        found: list[Template] = []
        while True:
            after = found[-1].name if found else None
            more = await service.templates(books.ledger, books.tenant_id, limit=100, starting_after=after)
            found += more
            if not more:
                return found

    found: list[Template] = in_books(tenant, live=live, work=work)
    if as_json:
        print(orjson.dumps([rendered(one) for one in found], option=orjson.OPT_INDENT_2).decode())
        return
    table = Table("Name", "Version", "Parameters", "From", box=None, pad_edge=False)
    for one in found:
        parameters = " ".join(one.document["parameters"])
        table.add_row(one.name, str(one.version), parameters, "Florin" if one.built_in else tenant)
    out.print(table)


@app.command("show")
def show(tenant: Tenant, name: Name, live: Live = False, version: Version = None) -> None:
    """One version of a template, as JSON that `put` takes."""

    async def work(books: OpenBooks) -> Template:
        return await service.template(books.ledger, books.tenant_id, name, version)

    found: Template = in_books(tenant, live=live, work=work)
    print(orjson.dumps(found.document, option=orjson.OPT_INDENT_2).decode())


@app.command("put")
def put(tenant: Tenant, name: Name, file: File, live: Live = False) -> None:
    """Add a version of a template; what says the same as the newest adds none."""
    body = parsed(RecipeBody, document(file))

    async def work(books: OpenBooks) -> Template:
        return await service.put_template(books.ledger, books.tenant_id, name, body, books.by)

    found: Template = in_books(tenant, live=live, work=work)
    out.print(f"{found.name} version {found.version}", highlight=False)


@app.command("post")
def post(
    tenant: Tenant,
    name: Name,
    parameters: Annotated[list[str], typer.Argument(help="name=value, amounts in minor units.")],
    live: Live = False,
    version: Version = None,
    key: Key = None,
    dry: DryRun = False,
    as_json: Json = False,
) -> None:
    """Post by a template."""
    given = dict(_parameter(one) for one in parameters)

    async def work(books: OpenBooks) -> Any:
        recipe = await service.template(books.ledger, books.tenant_id, name, version)
        typed = {one: _typed(recipe, one, value) for one, value in given.items()}
        asked = orjson.dumps({"template": name, "version": version, "parameters": typed})
        posting = TemplatePosting(
            id=new_id(),
            idempotency=None if dry else key_of("ledger templates post", key, asked),
            name=name,
            parameters=typed,
            version=version,
        )
        if dry:
            return rehearsal(await service.dry_template(books.ledger, books.tenant_id, posting))
        return [await service.post_template(books.ledger, books.tenant_id, posting)]

    found = in_books(tenant, live=live, work=work)
    if dry:
        show_rehearsal(found, as_json=as_json)
    else:
        show_transfers(found, as_json=as_json)


def _parameter(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        fail(f"{text} is no parameter; write name=value", code=USAGE)
    return name, value


def _typed(recipe: Template, name: str, value: str) -> str | int:
    """Money and integers are numbers; what is none stays as it is, for the recipe to refuse."""
    spec = recipe.document["parameters"].get(name, {})
    if spec.get("type") in ("money", "integer") and value.lstrip("-").isdigit():
        return int(value)
    return value
