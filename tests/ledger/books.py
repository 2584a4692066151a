"""A tenant with accounts, and short ways to post on it and to look at it."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

from florin.kernel.idempotency import Idempotency
from florin.kernel.ids import new_id
from florin.ledger import service
from florin.ledger.model import (
    AccountType,
    Balance,
    Entry,
    HoldAction,
    Leg,
    NewAccount,
    Posting,
    Reversing,
    Settlement,
    TransferKind,
)
from florin.ledger.service import Ledger


def fresh_key() -> Idempotency:
    """A key that nobody else uses."""
    return Idempotency(slot=uuid4(), digest=uuid4())


def legs(*pairs: tuple[UUID, int]) -> tuple[Leg, ...]:
    """Legs of (account, signed amount) pairs."""
    return tuple(Leg(account_id, amount_minor) for account_id, amount_minor in pairs)


def posting(
    *pairs: tuple[UUID, int],
    key: Idempotency | None = None,
    kind: TransferKind = TransferKind.TRANSFER,
    currency: str | None = None,
    expires_at: datetime | None = None,
) -> Posting:
    """A transfer of these legs under a key of its own."""
    return Posting(
        id=new_id(),
        idempotency=key or fresh_key(),
        legs=legs(*pairs),
        kind=kind,
        currency=currency,
        expires_at=expires_at,
    )


def holding(*pairs: tuple[UUID, int], expires_at: datetime | None = None) -> Posting:
    """A hold of these legs."""
    return posting(*pairs, kind=TransferKind.HOLD, expires_at=expires_at)


def settling(
    hold_id: UUID,
    action: HoldAction = HoldAction.POST,
    *,
    amount_minor: int | None = None,
    parts: tuple[Leg, ...] = (),
    key: Idempotency | None = None,
) -> Settlement:
    """Something done to a hold under a key of its own."""
    return Settlement(new_id(), key or fresh_key(), hold_id, action, amount_minor, parts)


def reversing(transfer_id: UUID, *, key: Idempotency | None = None) -> Reversing:
    """The reversal of a transfer under a key of its own."""
    return Reversing(new_id(), key or fresh_key(), transfer_id)


@dataclass
class Books:
    """One tenant's ledger."""

    ledger: Ledger
    tenant_id: int
    opened: list[UUID] = field(default_factory=list)

    async def open(
        self,
        type_: AccountType = AccountType.LIABILITY,
        currency: str = "USD",
        *,
        lowest: int | None = None,
        highest: int | None = None,
    ) -> UUID:
        """A new account's id."""
        new = NewAccount(f"t:{uuid4()}", "Test", type_, currency, lowest, highest)
        opened = await service.open_account(self.ledger, self.tenant_id, new)
        self.opened.append(opened.id)
        return opened.id

    async def balance(self, account_id: UUID) -> Balance:
        """What the account holds."""
        return await service.balance(self.ledger, self.tenant_id, account_id)

    async def entries(self, account_id: UUID) -> list[Entry]:
        """All its entries, oldest first."""
        newest_first = await service.entries(self.ledger, self.tenant_id, account_id, limit=100_000)
        return newest_first[::-1]

    async def assert_sound(self) -> None:
        """The trial balance is zero, and every account's entries lead without a gap to its balance."""
        lines = await service.trial_balance(self.ledger, self.tenant_id)
        for currency in {line.currency for line in lines}:
            of_currency = [line for line in lines if line.currency == currency]
            assert sum(line.debits_minor - line.credits_minor for line in of_currency) == 0
        for account_id in self.opened:
            now = await self.balance(account_id)
            sign = 1 if now.type in (AccountType.ASSET, AccountType.EXPENSE) else -1
            before, seq = 0, 0
            for entry in await self.entries(account_id):
                assert entry.seq == seq + 1
                assert entry.balance_before_minor == before
                assert entry.balance_after_minor == before + sign * entry.amount_minor
                before, seq = entry.balance_after_minor, entry.seq
            assert (now.balance_minor, now.entry_seq) == (before, seq)
