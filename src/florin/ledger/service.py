"""What can be asked of the ledger, one function per use case.

Everything that moves money goes through the coalescers of `Ledger`, and so through the SQL functions
that hold the locks: idempotency slots, then holds by id, then accounts by id.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.errors import CheckViolation, UniqueViolation

from florin.kernel import clock
from florin.kernel.coalescer import Coalescer
from florin.kernel.db import Connection, Database
from florin.kernel.errors import Refusal
from florin.kernel.ids import new_id
from florin.kernel.provenance import Provenance
from florin.ledger import store
from florin.ledger.errors import (
    SHARING,
    AccountClosed,
    AccountCodeReserved,
    AccountCodeTaken,
    AccountNotEmpty,
    AccountNotFound,
    AccountNotInTransfer,
    BoundsOutOfOrder,
    CurrencyOfClass,
    CurrencyUnknown,
    HoldClosed,
    HoldNotFound,
    LegsRequired,
    ReversalAmountExceeded,
    TypeOfClass,
    Unbalanced,
)
from florin.ledger.model import (
    RESERVED_PREFIXES,
    Account,
    AccountStatus,
    Balance,
    Entry,
    Hold,
    HoldAction,
    HoldLeg,
    HoldStatus,
    MatchBy,
    NewAccount,
    Posted,
    Posting,
    Recorded,
    Reversing,
    Settlement,
    SystemAccount,
    Transfer,
    TransferEntry,
    TransferKind,
    TrialBalanceLine,
)
from florin.ledger.policy import check_distinct, check_legs, explain_part
from florin.ledger.posting import BALANCES, POST, REVERSE, SETTLE
from florin.ledger.sets.posting import POST_SETS
from florin.ledger.times import store as times


class Ledger:
    """What a process keeps open for the ledger: its database and one coalescer per array function."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.posting = Coalescer(database, POST)
        self.setting = Coalescer(database, POST_SETS, max_items=50)  # sets, of up to 1,000 transfers each
        self.holding = Coalescer(database, SETTLE)
        self.reversing = Coalescer(database, REVERSE)
        self.balances = Coalescer(database, BALANCES)
        self.finding = Coalescer(database, store.FIND)
        self.balances_at = Coalescer(database, times.BALANCES_AT)
        # Each of these is a query of its own; a few may be under way at a time.
        self.statements = Coalescer(database, times.STATEMENT, flights=4, max_items=1)
        self.recorded_pages = Coalescer(database, times.RECORDED_PAGE, flights=4, max_items=1)
        self.effective_pages = Coalescer(database, times.EFFECTIVE_PAGE, flights=4, max_items=1)
        self.restated_pages = Coalescer(database, times.RESTATED_PAGE, flights=4, max_items=1)
        self.exporting = asyncio.Semaphore(2)  # each holds a connection for as long as its reader likes
        self.system_accounts: dict[tuple[int, str], UUID] = {}
        self.exponents: dict[str, int] = {}


async def open_account(
    ledger: Ledger, tenant_id: int, new: NewAccount, *, by: Provenance | None = None
) -> Account:
    """Opens an account with a balance of zero.

    Raises:
        AccountCodeReserved, AccountCodeTaken, CurrencyUnknown, BoundsOutOfOrder, TypeOfClass,
        CurrencyOfClass
    """
    if new.code.startswith(RESERVED_PREFIXES):
        raise AccountCodeReserved(
            f"codes that begin with {', '.join(RESERVED_PREFIXES)} belong to the system", param="code"
        )
    account_id = new_id()
    try:
        async with ledger.database.tenant(tenant_id, by=by) as connection:
            if not await store.insert_account(connection, tenant_id, account_id, new, clock.now()):
                raise CurrencyUnknown(
                    f"{new.currency} is not a currency of ISO 4217 with a minor unit", param="currency"
                )
            opened = await store.account(connection, tenant_id, account_id)
    except UniqueViolation:
        raise AccountCodeTaken(f"another account has the code {new.code}", param="code") from None
    except CheckViolation as violation:
        raise _rule_broken(violation) from None
    assert opened is not None
    return opened


async def account(ledger: Ledger, tenant_id: int, account_id: UUID) -> Account:
    """The account. Raises AccountNotFound."""
    async with ledger.database.tenant(tenant_id) as connection:
        found = await store.account(connection, tenant_id, account_id)
    if found is None:
        raise AccountNotFound
    return found


async def accounts(ledger: Ledger, tenant_id: int, **filters: Any) -> list[Account]:
    """Accounts, newest first; filters as in `store.accounts`."""
    async with ledger.database.tenant(tenant_id) as connection:
        return await store.accounts(connection, tenant_id, **filters)


async def change_account(
    ledger: Ledger,
    tenant_id: int,
    account_id: UUID,
    *,
    name: str | None = None,
    metadata: dict[str, str] | None = None,
    status: AccountStatus | None = None,
    min_balance_minor: Any = store.UNSET,
    max_balance_minor: Any = store.UNSET,
    limit_id: Any = store.UNSET,
    clears_within: Any = store.UNSET,
    match_by: MatchBy | None = None,
    by: Provenance | None = None,
) -> Account:
    """Changes what is given; where UNSET leaves a value, None removes it. Locks the account, then limits.

    Raises:
        AccountNotFound, AccountClosed, AccountNotEmpty, BoundsOutOfOrder, LimitNotFound,
        LimitCurrencyMismatch, LimitSideMismatch
    """
    bounds = min_balance_minor is not store.UNSET or max_balance_minor is not store.UNSET
    try:
        async with ledger.database.tenant(tenant_id, by=by) as connection:
            if bounds:
                await store.hold_chart(connection, tenant_id, alone=False)
            present = await store.lock_account(connection, tenant_id, account_id)
            if present is None:
                raise AccountNotFound
            if present is AccountStatus.CLOSED and status not in (None, AccountStatus.CLOSED):
                raise AccountClosed(param="status")
            if limit_id is not store.UNSET:
                await share_limit(connection, tenant_id, [account_id], limit_id, param="limit")
            if status is not None:
                await store.update_account_status(connection, tenant_id, account_id, status)
            await store.update_account_details(
                connection,
                tenant_id,
                account_id,
                name=name,
                metadata=metadata,
                min_balance_minor=min_balance_minor,
                max_balance_minor=max_balance_minor,
                clears_within=clears_within,
                match_by=match_by,
            )
            if bounds:
                crossing = await store.bind_bounds(connection, tenant_id, account_id=account_id)
                if crossing is not None:
                    lowest_given = min_balance_minor not in (store.UNSET, None)
                    raise BoundsOutOfOrder(
                        f"its own bounds and those of its class {crossing[1]} leave no balance between",
                        param="min_balance" if lowest_given else "max_balance",
                    )
            changed = await store.account(connection, tenant_id, account_id)
    except CheckViolation as violation:
        raise _rule_broken(violation) from None
    assert changed is not None
    return changed


async def share_limit(
    connection: Connection, tenant_id: int, account_ids: list[UUID], limit_id: UUID | None, *, param: str
) -> None:
    """Lets accounts share a limit, or with None none. Locks the accounts, then limits, by id.

    Raises:
        AccountNotFound, LimitNotFound, LimitCurrencyMismatch, LimitSideMismatch: about the field `param`.
    """
    refused = await store.share_limit(connection, tenant_id, account_ids, limit_id)
    if refused is not None:
        raise SHARING[refused[0]](param=param)


def _rule_broken(violation: CheckViolation) -> Refusal:
    node = violation.diag.message_detail
    match violation.diag.constraint_name:
        case "accounts_closed_at_zero":
            return AccountNotEmpty(param="status")
        case "account_details_bounds_ordered":
            return BoundsOutOfOrder(param="min_balance")
        case "accounts_bounds_ordered":
            return BoundsOutOfOrder(
                "the account's own bounds and those of its classes leave no balance between",
                param="min_balance",
            )
        case "accounts_type_of_class":
            return TypeOfClass(f"the chart's node {node} is of another type", param="type")
        case "accounts_currency_of_class":
            return CurrencyOfClass(f"the chart's node {node} is in another currency", param="currency")
    raise violation


async def balance(ledger: Ledger, tenant_id: int, account_id: UUID) -> Balance:
    """What the account holds now. Raises AccountNotFound."""
    return await ledger.balances.call(tenant_id, account_id)


async def entries(
    ledger: Ledger,
    tenant_id: int,
    account_id: UUID,
    *,
    limit: int,
    before_seq: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Entry]:
    """The account's entries, newest first. Raises AccountNotFound."""
    async with ledger.database.tenant(tenant_id) as connection:
        if not await store.account_exists(connection, tenant_id, account_id):
            raise AccountNotFound
        return await store.entries(
            connection, tenant_id, account_id, limit=limit, before_seq=before_seq, since=since, until=until
        )


async def post_transfer(ledger: Ledger, tenant_id: int, posting: Posting) -> Transfer:
    """Moves money, or says again what its idempotency key said before.

    Raises:
        TooFewLegs, AccountRepeated, AmountOutOfRange, Unbalanced, AccountNotFound, AccountFrozen,
        AccountClosed, CurrencyMismatch, InsufficientFunds, BalanceAboveMaximum, IdempotencyKeyReused
    """
    check_legs(posting.legs, posting.currency)
    posted = await ledger.posting.call(tenant_id, posting)
    if posted.replayed:
        return said_again(await transfer(ledger, tenant_id, posted.transfer_id))
    return transfer_of(posting, posted)


async def post_transfers(
    ledger: Ledger, tenant_id: int, postings: Sequence[Posting]
) -> list[Transfer | Refusal]:
    """Posts each on its own, in order; what one meets does not touch the others."""
    answers = await asyncio.gather(
        *(post_transfer(ledger, tenant_id, posting) for posting in postings), return_exceptions=True
    )
    told: list[Transfer | Refusal] = []
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, Refusal):
            raise answer
        told.append(answer)
    return told


def said_again(found: Transfer) -> Transfer:
    """The transfer as its key heard it the first time."""
    # As it was said then: that somebody has reversed it since is not part of that answer.
    entries = tuple(entry._replace(reversed_minor=0) for entry in found.entries)
    return replace(found, reversal_ids=(), entries=entries, replayed=True)


def transfer_of(posting: Posting, posted: Posted) -> Transfer:
    """The line of the log that a posting has become."""
    return Transfer(
        id=posted.transfer_id,
        kind=posting.kind,
        recorded_at=posted.recorded_at,
        effective_at=posting.effective_at or posted.recorded_at,
        related_id=None,
        description=posting.description,
        metadata=posting.metadata or None,
        origin=posting.origin,
        entries=tuple(
            [
                TransferEntry(account_id, currency, amount_minor, seq, before, after)
                for (account_id, amount_minor), currency, seq, before, after in zip(
                    posting.legs,
                    posted.currencies,
                    posted.seqs,
                    posted.balances_before,
                    posted.balances_after,
                    strict=True,
                )
            ]
        ),
    )


async def transfer(ledger: Ledger, tenant_id: int, transfer_id: UUID) -> Transfer:
    """The transfer. Raises TransferNotFound."""
    return await ledger.finding.call(tenant_id, transfer_id)


async def transfers(
    ledger: Ledger,
    tenant_id: int,
    *,
    limit: int,
    account_id: UUID | None = None,
    starting_after: UUID | None = None,
    kind: TransferKind | None = None,
    correlation_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Transfer]:
    """Transfers, newest first; with an account, those that moved money on it."""
    async with ledger.database.tenant(tenant_id) as connection:
        return await store.transfer_page(
            connection,
            tenant_id,
            account_id=account_id,
            limit=limit,
            starting_after=starting_after,
            kind=kind,
            correlation_id=correlation_id,
            since=since,
            until=until,
        )


async def reverse_transfer(ledger: Ledger, tenant_id: int, reversing: Reversing) -> Transfer:
    """Takes back what is left of a transfer, or a part of it, no amount twice; returns the reversal.

    Raises:
        TransferNotFound, NotReversible, AlreadyReversed, LegsRequired, AccountNotInTransfer,
        AccountRepeated, AmountOutOfRange, Unbalanced, ReversalAmountExceeded, PeriodClosed, AccountFrozen,
        AccountClosed, InsufficientFunds, BalanceAboveMaximum, IdempotencyKeyReused
    """
    check_distinct(reversing.legs)
    try:
        recorded = await ledger.reversing.call(tenant_id, reversing)
    except (AccountNotInTransfer, ReversalAmountExceeded, LegsRequired, Unbalanced) as refused:
        original = await transfer(ledger, tenant_id, reversing.transfer_id)
        raise explain_part(refused, original, reversing) from None
    return await _recorded(ledger, tenant_id, recorded)


async def place_hold(ledger: Ledger, tenant_id: int, posting: Posting) -> Hold:
    """Reserves what a transfer with these legs would move; returns the hold as it was made.

    Raises:
        As post_transfer, and ExpiryInThePast.
    """
    check_legs(posting.legs, posting.currency)
    posted = await ledger.posting.call(tenant_id, posting)
    if posted.replayed:
        return _as_made(await hold(ledger, tenant_id, posted.transfer_id))
    return Hold(
        id=posted.transfer_id,
        status=HoldStatus.RESERVED,
        legs=tuple(
            HoldLeg(account_id, currency, amount_minor, 0, amount_minor)
            for (account_id, amount_minor), currency in zip(posting.legs, posted.currencies, strict=True)
        ),
        expires_at=posting.expires_at,
        description=posting.description,
        metadata=posting.metadata or None,
        created_at=posted.recorded_at,
        updated_at=posted.recorded_at,
    )


def _as_made(present: Hold) -> Hold:
    legs = tuple(leg._replace(posted_minor=0, remaining_minor=leg.reserved_minor) for leg in present.legs)
    return replace(
        present, status=HoldStatus.RESERVED, legs=legs, updated_at=present.created_at, replayed=True
    )


async def hold(ledger: Ledger, tenant_id: int, hold_id: UUID) -> Hold:
    """The hold. Raises HoldNotFound."""
    async with ledger.database.tenant(tenant_id) as connection:
        found = await store.holds(connection, tenant_id, limit=1, hold_id=hold_id)
    if not found:
        raise HoldNotFound
    return found[0]


async def holds(
    ledger: Ledger,
    tenant_id: int,
    *,
    limit: int,
    starting_after: UUID | None = None,
    status: HoldStatus | None = None,
    account_id: UUID | None = None,
) -> list[Hold]:
    """Holds, newest first."""
    async with ledger.database.tenant(tenant_id) as connection:
        return await store.holds(
            connection,
            tenant_id,
            limit=limit,
            starting_after=starting_after,
            status=status,
            account_id=account_id,
        )


async def settle_hold(ledger: Ledger, tenant_id: int, settlement: Settlement) -> Transfer:
    """Posts a hold in full or in part, or voids what remains of it; returns what this recorded.

    Raises:
        HoldNotFound, HoldClosed, HoldAmountExceeded, LegsRequired, AccountNotInHold, AccountRepeated,
        AmountOutOfRange, Unbalanced, AccountFrozen, IdempotencyKeyReused
    """
    check_distinct(settlement.legs)
    return await _recorded(ledger, tenant_id, await ledger.holding.call(tenant_id, settlement))


async def _recorded(ledger: Ledger, tenant_id: int, recorded: Recorded) -> Transfer:
    found = await transfer(ledger, tenant_id, recorded.transfer_id)
    return said_again(found) if recorded.replayed else found


async def expire_holds(ledger: Ledger, tenant_id: int, *, limit: int = 1000) -> int:
    """Releases what overdue holds still reserve; returns how many it closed. For a job, every minute."""
    async with ledger.database.tenant(tenant_id) as connection:
        due = await store.due_holds(connection, tenant_id, limit)
    answers = await asyncio.gather(
        *(
            ledger.holding.call(tenant_id, Settlement(new_id(), None, hold_id, HoldAction.EXPIRE))
            for hold_id in due
        ),
        return_exceptions=True,
    )
    for answer in answers:
        # Closed by somebody else in the meantime, or by this very call before its answer was lost.
        if isinstance(answer, BaseException) and not isinstance(answer, HoldClosed):
            raise answer
    return sum(not isinstance(answer, BaseException) for answer in answers)


async def trial_balance(ledger: Ledger, tenant_id: int) -> list[TrialBalanceLine]:
    """Sums of balances by currency, type and side: per currency, debits equal credits."""
    async with ledger.database.tenant(tenant_id) as connection:
        return await store.trial_balance(connection, tenant_id)


async def account_ids(ledger: Ledger, tenant_id: int, wanted: Sequence[SystemAccount]) -> list[UUID]:
    """The ids of the system's own accounts, in order; made on first use, then remembered.

    Raises:
        psycopg.errors.InvalidParameterValue: a code exists with another type or currency.
    """
    known = ledger.system_accounts
    unknown = [one for one in wanted if (tenant_id, one.code) not in known]
    if unknown:
        async with ledger.database.tenant(tenant_id) as connection:
            made = await store.ensure_accounts(connection, tenant_id, [new_id() for _ in unknown], unknown)
        known.update(
            {(tenant_id, one.code): account_id for one, account_id in zip(unknown, made, strict=True)}
        )
    return [known[tenant_id, one.code] for one in wanted]


async def exponents(ledger: Ledger) -> Mapping[str, int]:
    """Decimal places of the minor unit of each currency that money is kept in. They change with a release."""
    if not ledger.exponents:
        async with ledger.database.platform() as connection:
            ledger.exponents = await store.exponents(connection)
    return ledger.exponents
