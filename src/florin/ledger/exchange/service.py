"""Exchanging currencies."""

from uuid import UUID

from florin.kernel.errors import Refusal
from florin.ledger import service
from florin.ledger.errors import AccountNotFound
from florin.ledger.exchange.model import Exchanging, Position
from florin.ledger.exchange.policy import (
    PARAMS,
    POSITION,
    ROUNDING,
    check_accounts,
    convert,
    legs_of,
    note_of,
    position_account,
    rounding_account,
)
from florin.ledger.model import NORMAL_SIDE, Account, Balance, Origin, Posting, SystemAccount, Transfer
from florin.ledger.rehearsal.model import Refused, Rehearsal
from florin.ledger.rehearsal.service import dry_run, planned_ids
from florin.ledger.service import Ledger, account_ids, exponents


async def post_exchange(ledger: Ledger, tenant_id: int, exchanging: Exchanging) -> Transfer:
    """Gives one currency for another at a rate, in one transfer.

    Raises:
        AccountNotFound, SameCurrency, SidesDiffer, ExchangeTooSmall, RateMismatch, and as post_transfer;
        `param` is a field of the exchange (`sell.amount`).
    """
    posting, _ = await _posting(ledger, tenant_id, exchanging, dry=False)
    try:
        return await service.post_transfer(ledger, tenant_id, posting)
    except Refusal as refused:
        raise _in_words_of_the_exchange(refused) from None


async def dry_exchange(ledger: Ledger, tenant_id: int, exchanging: Exchanging) -> Rehearsal:
    """What the exchange would answer. Raises what is wrong with the rate or the accounts."""
    posting, making = await _posting(ledger, tenant_id, exchanging, dry=True)
    found = await dry_run(ledger, tenant_id, [posting], making=making)
    for answer in found.answers:
        if isinstance(answer, Refused):
            _in_words_of_the_exchange(answer.refusal)
    return found


def _in_words_of_the_exchange(refused: Refusal) -> Refusal:
    for index, param in enumerate(PARAMS):
        if refused.param in (f"legs[{index}].amount", f"legs[{index}].account"):
            field = refused.param.rpartition(".")[2]
            refused.param = None if param is None else f"{param.partition('.')[0]}.{field}"
            break
    return refused


async def _posting(
    ledger: Ledger, tenant_id: int, exchanging: Exchanging, *, dry: bool
) -> tuple[Posting, list[tuple[UUID, SystemAccount]]]:
    """The transfer of an exchange, and the accounts that a dry run has to make."""
    sold = await _account(ledger, tenant_id, exchanging.sell_account, "sell.account")
    bought = await _account(ledger, tenant_id, exchanging.buy_account, "buy.account")
    check_accounts(sold, bought)
    places = await exponents(ledger)
    conversion = convert(exchanging, places[sold.currency], places[bought.currency])
    wanted = [position_account(sold.currency), position_account(bought.currency)]
    if conversion.difference_minor:
        wanted.append(rounding_account(bought.currency))
    making: list[tuple[UUID, SystemAccount]] = []
    if dry:
        made, making = await planned_ids(ledger, tenant_id, wanted)
    else:
        made = await account_ids(ledger, tenant_id, wanted)
    sell_position, buy_position, *rest = made
    posting = Posting(
        id=exchanging.id,
        idempotency=exchanging.idempotency,
        legs=legs_of(
            exchanging,
            conversion,
            NORMAL_SIDE[sold.type],
            sell_position,
            buy_position,
            rest[0] if rest else None,
        ),
        description=exchanging.description,
        metadata=exchanging.metadata,
        effective_at=exchanging.effective_at,
        origin=Origin(
            exchanging.correlation_id,
            exchanging.causation_id,
            exchange=note_of(exchanging, conversion, sold.currency, bought.currency),
        ),
    )
    return posting, making


async def _account(ledger: Ledger, tenant_id: int, account_id: UUID, param: str) -> Balance:
    try:
        return await service.balance(ledger, tenant_id, account_id)
    except AccountNotFound:
        raise AccountNotFound(param=param) from None


async def positions(ledger: Ledger, tenant_id: int) -> list[Position]:
    """How far the books are open in each currency that has been exchanged, by code."""
    found: list[Account] = []
    for prefix in (POSITION, ROUNDING):
        found += await service.accounts(
            ledger,
            tenant_id,
            limit=1000,  # more than there are currencies
            starting_after=None,
            type=None,
            currency=None,
            status=None,
            code_prefix=prefix,
        )
    held = {account.code: account.balance.balance_minor for account in found}
    return [
        Position(currency, held.get(POSITION + currency, 0), held.get(ROUNDING + currency, 0))
        for currency in sorted({account.currency for account in found})
    ]
