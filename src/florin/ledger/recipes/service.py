"""Keeping recipes, and posting by them."""

import re
from dataclasses import dataclass
from uuid import UUID

import orjson
from psycopg.errors import InvalidParameterValue, UniqueViolation

from florin.kernel import clock
from florin.kernel.errors import Refusal
from florin.kernel.provenance import Provenance
from florin.ledger import service
from florin.ledger import store as ledger_store
from florin.ledger.errors import AccountNotFound
from florin.ledger.model import Leg, Origin, Posting, SystemAccount, Transfer, TransferKind
from florin.ledger.recipes import store
from florin.ledger.recipes.builtin import built_in_templates
from florin.ledger.recipes.compiling import Recipe, compile_recipe, recipe_of
from florin.ledger.recipes.document import RecipeBody
from florin.ledger.recipes.errors import (
    AccountOfAnotherKind,
    ParameterInvalid,
    TemplateBuiltIn,
    TemplateNotFound,
)
from florin.ledger.recipes.filling import Filled, fill
from florin.ledger.recipes.model import Template, TemplatePosting
from florin.ledger.rehearsal.model import Refused, Rehearsal
from florin.ledger.rehearsal.service import dry_run, planned_ids
from florin.ledger.service import Ledger, account_ids, exponents

_ATTEMPTS = 5
Making = list[tuple[UUID, SystemAccount]]


async def templates(
    ledger: Ledger, tenant_id: int, *, limit: int, starting_after: str | None = None
) -> list[Template]:
    """The newest versions of all recipes, the tenant's own and those that come with Florin, by name."""
    async with ledger.database.tenant(tenant_id) as connection:
        own = await store.templates(connection, tenant_id, starting_after=starting_after, limit=limit)
    ours = [one for one in built_in_templates().values() if one.name > (starting_after or "")]
    return sorted([*own, *ours], key=lambda one: one.name)[:limit]


async def template(ledger: Ledger, tenant_id: int, name: str, version: int | None = None) -> Template:
    """One version of a recipe, or the newest. Raises TemplateNotFound."""
    found = built_in_templates().get(name)
    if found is None:
        async with ledger.database.tenant(tenant_id) as connection:
            found = await store.template(connection, tenant_id, name, version)
    if found is None or version not in (None, found.version):
        raise TemplateNotFound
    return found


async def put_template(
    ledger: Ledger, tenant_id: int, name: str, body: RecipeBody, by: Provenance
) -> Template:
    """Keeps a recipe as the next version of its name; the newest again, if that says the same.

    Raises:
        TemplateBuiltIn, TemplateInvalid, AccountCodeReserved
    """
    if name in built_in_templates():
        raise TemplateBuiltIn(f"{name} comes with Florin")
    compile_recipe(body)
    document = body.document()
    for attempt in range(_ATTEMPTS):
        try:
            async with ledger.database.tenant(tenant_id, by=by) as connection:
                newest = await store.template(connection, tenant_id, name)
                if newest is not None and newest.document == document:
                    return newest
                version = 1 if newest is None else newest.version + 1
                new = Template(name, version, document, clock.now())
                await store.insert_template(connection, tenant_id, new)
                return new
        except UniqueViolation:  # somebody else has just added this version
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("a loop that returns or raises has ended")


async def post_template(ledger: Ledger, tenant_id: int, asked: TemplatePosting) -> Transfer:
    """Posts what a recipe makes of the parameters; a recipe that holds, reserves it.

    Accounts that the recipe knows how to make are made on first use, in a transaction of their own.

    Raises:
        TemplateNotFound, ParameterInvalid, CurrencyUnknown, AccountOfAnotherKind, and as post_transfer;
        `param` is `parameters.name` where one parameter is at fault, else a leg of the recipe.
    """
    prepared = await _prepare(ledger, tenant_id, asked, dry=False)
    try:
        return await service.post_transfer(ledger, tenant_id, prepared.posting)
    except Refusal as refused:
        raise prepared.in_its_words(refused) from None


async def dry_template(ledger: Ledger, tenant_id: int, asked: TemplatePosting) -> Rehearsal:
    """What posting by the recipe would answer; accounts that it would make are made and taken back too.

    Raises what is wrong with the parameters.
    """
    prepared = await _prepare(ledger, tenant_id, asked, dry=True)
    found = await dry_run(ledger, tenant_id, [prepared.posting], making=prepared.making)
    for answer in found.answers:
        if isinstance(answer, Refused):
            prepared.in_its_words(answer.refusal)
    return found


@dataclass(frozen=True, slots=True)
class _Prepared:
    recipe: Recipe
    filled: Filled
    posting: Posting
    making: Making

    def in_its_words(self, refused: Refusal) -> Refusal:
        """The same refusal, with the parameter or the recipe's leg as its `param`."""
        named = re.fullmatch(r"legs\[(\d+)\]\.(amount|account)", refused.param or "")
        if named is not None:
            index = self.filled.legs[int(named[1])].index
            leg = self.recipe.legs[index]
            name = leg.parameter if named[2] == "account" else leg.amount.text
            refused.param = f"parameters.{name}" if name in self.recipe.parameters else f"legs[{index}]"
        return refused


async def _prepare(ledger: Ledger, tenant_id: int, asked: TemplatePosting, *, dry: bool) -> _Prepared:
    found = await template(ledger, tenant_id, asked.name, asked.version)
    recipe = recipe_of(orjson.dumps(found.document), ours=found.built_in)
    if asked.expires_at is not None and not recipe.hold:
        raise ParameterInvalid("this template holds nothing that could expire", param="expires_at")
    filled = fill(recipe, asked.parameters, await exponents(ledger), ours=found.built_in)
    ids, making = await _accounts(ledger, tenant_id, filled, dry=dry)
    posting = Posting(
        id=asked.id,
        idempotency=asked.idempotency,
        legs=tuple(
            [
                Leg(leg.account if isinstance(leg.account, UUID) else ids[leg.account], leg.amount_minor)
                for leg in filled.legs
            ]
        ),
        kind=TransferKind.HOLD if recipe.hold else TransferKind.TRANSFER,
        description=asked.description or filled.description,
        metadata=asked.metadata,
        effective_at=asked.effective_at,
        expires_at=asked.expires_at,
        origin=Origin(
            asked.correlation_id,
            asked.causation_id,
            template={"name": found.name, "version": found.version, "parameters": filled.parameters},
        ),
    )
    return _Prepared(recipe, filled, posting, making)


async def _accounts(
    ledger: Ledger, tenant_id: int, filled: Filled, *, dry: bool
) -> tuple[dict[str, UUID], Making]:
    """The accounts that the legs name by code, and those that a dry run has to make."""
    wanted = [leg.making for leg in filled.legs if leg.making is not None]
    making: Making = []
    try:
        if dry:
            made, making = await planned_ids(ledger, tenant_id, wanted)
        else:
            made = await account_ids(ledger, tenant_id, wanted)
    except InvalidParameterValue as other:
        raise AccountOfAnotherKind(other.diag.message_primary or str(other)) from None
    ids = {one.code: account_id for one, account_id in zip(wanted, made, strict=True)}
    given = [leg for leg in filled.legs if isinstance(leg.account, str) and leg.making is None]
    if given:
        async with ledger.database.tenant(tenant_id) as connection:
            found = await ledger_store.accounts_by_code(
                connection, tenant_id, [str(leg.account) for leg in given]
            )
        for leg in given:
            if leg.account not in found:
                raise AccountNotFound(
                    f"there is no account with the code {leg.account}", param=f"legs[{leg.index}].account"
                )
        ids |= {code: account_id for code, (account_id, *_) in found.items()}
    return ids, making
