"""What can be asked of the ledger, one function per use case.

Everything that moves money goes through the coalescers of `Ledger`, and so through the SQL functions
that hold the locks: idempotency slots, then holds by id, then accounts by id.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg.errors import CheckViolation, UniqueViolation

from florin.kernel import clock
from florin.kernel.coalescer import Coalescer
from florin.kernel.db import Database
from florin.kernel.errors import Refusal
from florin.kernel.ids import new_id
from florin.ledger import store
from florin.ledger.errors import (
    AccountClosed,
    AccountCodeReserved,
    AccountCodeTaken,
    AccountNotEmpty,
    AccountNotFound,
    BoundsOutOfOrder,
    CurrencyUnknown,
    HoldClosed,
    HoldNotFound,
)
from florin.ledger.model import (
    Account,
    AccountStatus,
    Balance,
    Entry,
    Hold,
    HoldAction,
    HoldLeg,
    HoldStatus,
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
from florin.ledger.policy import check_distinct, check_legs
from florin.ledger.posting import BALANCES, POST, REVERSE, SETTLE

RESERVED_PREFIXES: Final = ("partner:", "provider:")


class Ledger:
    """What a process keeps open for the ledger: its database and one coalescer per array function."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.posting = Coalescer(database, POST)
        self.holding = Coalescer(database, SETTLE)
        self.reversing = Coalescer(database, REVERSE)
        self.balances = Coalescer(database, BALANCES)
        self.finding = Coalescer(database, store.FIND)
        self.exporting = asyncio.Semaphore(2)  # each holds a connection for as long as its reader likes
        self.system_accounts: dict[tuple[int, str], UUID] = {}


async def open_account(ledger: Ledger, tenant_id: int, new: NewAccount) -> Account:
    """Opens an account with a balance of zero.

    Raises:
        AccountCodeReserved, AccountCodeTaken, CurrencyUnknown, BoundsOutOfOrder
    """
    if new.code.startswith(RESERVED_PREFIXES):
        raise AccountCodeReserved(
            f"codes that begin with {' or '.join(RESERVED_PREFIXES)} belong to the system", param="code"
        )
    account_id = new_id()
    try:
        async with ledger.database.tenant(tenant_id) as connection:
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
) -> Account:
    """Changes what is given; for a bound, None removes it. Locks the account.

    Raises:
        AccountNotFound, AccountClosed, AccountNotEmpty, BoundsOutOfOrder
    """
    try:
        async with ledger.database.tenant(tenant_id) as connection:
            present = await store.lock_account(connection, tenant_id, account_id)
            if present is None:
                raise AccountNotFound
            if present is AccountStatus.CLOSED and status not in (None, AccountStatus.CLOSED):
                raise AccountClosed(param="status")
            await store.update_account(
                connection,
                tenant_id,
                account_id,
                status=status,
                min_balance_minor=min_balance_minor,
                max_balance_minor=max_balance_minor,
            )
            await store.update_account_details(
                connection, tenant_id, account_id, name=name, metadata=metadata
            )
            changed = await store.account(connection, tenant_id, account_id)
    except CheckViolation as violation:
        raise _rule_broken(violation) from None
    assert changed is not None
    return changed


def _rule_broken(violation: CheckViolation) -> Refusal:
    if violation.diag.constraint_name == "accounts_closed_at_zero":
        return AccountNotEmpty(param="status")
    if violation.diag.constraint_name == "accounts_bounds_ordered":
        return BoundsOutOfOrder(param="min_balance")
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
        return _said_again(await transfer(ledger, tenant_id, posted.transfer_id))
    return _posted(posting, posted)


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


def _said_again(found: Transfer) -> Transfer:
    # As it was said then: that somebody has reversed it since is not part of that answer.
    entries = tuple(entry._replace(reversed_minor=0) for entry in found.entries)
    return replace(found, reversal_ids=(), entries=entries, replayed=True)


def _posted(posting: Posting, posted: Posted) -> Transfer:
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
            since=since,
            until=until,
        )


async def reverse_transfer(ledger: Ledger, tenant_id: int, reversing: Reversing) -> Transfer:
    """Undoes a transfer with its mirror image, in full and once; returns the reversal.

    Raises:
        TransferNotFound, NotReversible, AlreadyReversed, AccountFrozen, AccountClosed,
        InsufficientFunds, BalanceAboveMaximum, IdempotencyKeyReused
    """
    return await _recorded(ledger, tenant_id, await ledger.reversing.call(tenant_id, reversing))


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
    return _said_again(found) if recorded.replayed else found


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
