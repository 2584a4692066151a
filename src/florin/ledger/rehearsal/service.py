"""Dry runs: nothing is written, no key is used, no event is told.

The locks are the real ones, for as long as the dry run lasts.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

from psycopg import InterfaceError, OperationalError
from psycopg.errors import InvalidParameterValue

from florin.kernel.db import Connection, set_tenant
from florin.kernel.errors import Refusal, Unavailable
from florin.kernel.ids import new_id
from florin.ledger import store as ledger_store
from florin.ledger.corrections.store import NotCorrected, correct
from florin.ledger.errors import SetRefused
from florin.ledger.model import Correcting, Leg, Posting, Reversing, SystemAccount, Transfer
from florin.ledger.policy import check_distinct, check_legs, explain_part
from florin.ledger.posting import REVERSE, decode_postings
from florin.ledger.rehearsal import store
from florin.ledger.rehearsal.model import Refused, Rehearsal
from florin.ledger.rehearsal.policy import Asked, explain
from florin.ledger.service import Ledger, transfer, transfer_of


async def dry_run(
    ledger: Ledger,
    tenant_id: int,
    postings: Sequence[Posting],
    *,
    atomic: bool = False,
    making: Sequence[tuple[UUID, SystemAccount]] = (),
) -> Rehearsal:
    """What posting these transfers would answer, each on its own or all as one set.

    Idempotency keys are not looked at. `making`: accounts that posting would make first. A hold may be
    tried too; bounds that refuse are told exactly for one alone.

    Raises:
        Unavailable
    """
    answers: list[Transfer | Refused | None] = [_impossible(posting) for posting in postings]
    if atomic and any(answers):
        answers = [one or Refused(SetRefused()) for one in answers]
    sent = [at for at, one in enumerate(answers) if one is None]
    asked = [replace(postings[at], idempotency=None) for at in sent]
    rows, standings = await store.rehearse(ledger.database, tenant_id, asked, atomic=atomic, making=making)
    causes = {row[0] - 1: row[2] for row in rows}
    for number, (at, answer) in enumerate(zip(sent, decode_postings(asked, rows), strict=True)):
        if isinstance(answer, Refusal):
            answers[at] = Refused(answer, causes[number])
        elif isinstance(answer, Exception):
            raise answer
        else:
            answers[at] = transfer_of(asked[number], answer)
    told = explain(
        [
            Asked(posting.legs, one if isinstance(one, Refused) else None)
            for posting, one in zip(postings, answers, strict=True)
        ],
        standings,
        atomic=atomic,
    )
    merged = [refused or answer for refused, answer in zip(told, answers, strict=True)]
    return Rehearsal(tuple([one for one in merged if one is not None]), tuple(standings))


def _impossible(posting: Posting) -> Refused | None:
    try:
        check_legs(posting.legs, posting.currency)
    except Refusal as refused:
        return Refused(refused)
    return None


async def planned_ids(
    ledger: Ledger, tenant_id: int, wanted: Sequence[SystemAccount]
) -> tuple[list[UUID], list[tuple[UUID, SystemAccount]]]:
    """As account_ids, for dry runs: nothing is made, but what would be is told for `making`.

    Raises:
        psycopg.errors.InvalidParameterValue: a code exists with another type or currency.
    """
    async with ledger.database.tenant(tenant_id) as connection:
        found = await ledger_store.accounts_by_code(connection, tenant_id, [one.code for one in wanted])
    ids: dict[str, UUID] = {}
    making: list[tuple[UUID, SystemAccount]] = []
    for one in wanted:
        present = found.get(one.code)
        if present is not None and present[1:] != (one.type, one.currency):
            raise InvalidParameterValue(f"accounts {one.code} exist with another type or currency")
        if present is not None:
            ids[one.code] = present[0]
        elif one.code not in ids:
            ids[one.code] = new_id()
            making.append((ids[one.code], one))
    return [ids[one.code] for one in wanted], making


async def dry_reversal(ledger: Ledger, tenant_id: int, reversing: Reversing) -> Rehearsal:
    """What reversing the transfer would answer. Raises TransferNotFound and what a leg says of itself."""
    check_distinct(reversing.legs)
    original = await transfer(ledger, tenant_id, reversing.transfer_id)
    keyless = replace(reversing, idempotency=None)
    async with _rolled_back(ledger, tenant_id) as connection:
        cursor = await connection.execute(REVERSE.statement.encode(), (tenant_id, *REVERSE.encode([keyless])))
        rows = await cursor.fetchall()
        [answer] = REVERSE.decode([keyless], rows)
        made = [] if isinstance(answer, Exception) else [answer.transfer_id]
        found = await ledger_store.transfers(connection, tenant_id, made)
        standings = await store.standings(
            connection, tenant_id, [entry.account_id for entry in original.entries]
        )
    refused = None
    if isinstance(answer, Refusal):
        if rows[0][2] is None and rows[0][1] in _PARTS:
            answer = explain_part(answer, original, reversing)
        refused = Refused(answer, rows[0][2])
    elif isinstance(answer, Exception):
        raise answer
    [told] = explain([Asked(_taken(original, reversing), refused)], standings, atomic=False)
    return Rehearsal((told,) if told else tuple(found), tuple(standings))


_PARTS = frozenset({"account_not_in_transfer", "reversal_amount_exceeded", "legs_required", "unbalanced"})


def _taken(original: Transfer, reversing: Reversing | None = None) -> list[Leg]:
    """The legs of a reversal; without one, of what is left."""
    if reversing is not None and reversing.legs:
        return [Leg(leg.account_id, -leg.amount_minor) for leg in reversing.legs]
    if reversing is not None and reversing.amount_minor is not None:
        return [
            Leg(
                entry.account_id,
                -reversing.amount_minor if entry.amount_minor > 0 else reversing.amount_minor,
            )
            for entry in original.entries
        ]
    return [Leg(entry.account_id, entry.reversed_minor - entry.amount_minor) for entry in original.entries]


async def dry_correction(ledger: Ledger, tenant_id: int, correcting: Correcting) -> Rehearsal:
    """What correcting the transfer would answer: the repost, or what refuses the two together.

    Raises TransferNotFound and what check_legs raises.
    """
    check_legs(correcting.legs, correcting.currency)
    original = await transfer(ledger, tenant_id, correcting.transfer_id)
    accounts = {entry.account_id for entry in original.entries} | {leg.account_id for leg in correcting.legs}
    async with _rolled_back(ledger, tenant_id) as connection:
        answer = await correct(connection, tenant_id, replace(correcting, idempotency=None))
        made = [] if isinstance(answer, NotCorrected) else [answer.transfer_id]
        found = await ledger_store.transfers(connection, tenant_id, made)
        standings = await store.standings(connection, tenant_id, sorted(accounts))
    if isinstance(answer, NotCorrected):
        refused = Refused(answer.refusal, answer.account_id)
        legs = [*_taken(original), *correcting.legs]
        [told] = explain([Asked(legs, refused)], standings, atomic=True)
        return Rehearsal((told or refused,), tuple(standings))
    return Rehearsal(tuple(found), tuple(standings))


@asynccontextmanager
async def _rolled_back(ledger: Ledger, tenant_id: int) -> AsyncIterator[Connection]:
    """A transaction of the tenant's that leaves nothing behind."""
    try:
        async with (
            ledger.database.connection() as connection,
            connection.transaction(force_rollback=True),
        ):
            await connection.execute(set_tenant(tenant_id))
            yield connection
    except (OperationalError, InterfaceError) as error:
        raise Unavailable from error
