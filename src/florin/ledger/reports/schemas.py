"""What reports look like as JSON. Amounts are minor units."""

from pydantic import BaseModel, Field

from florin.kernel.ids import AccountId, TransferId
from florin.kernel.money import CurrencyCode
from florin.ledger.model import AccountType, Direction, TransferKind
from florin.ledger.times.model import TimeAxis


class ReportPeriod(BaseModel):
    """From `from` up to, but not including, `to`."""

    from_: str = Field(alias="from")
    to: str
    by: TimeAxis
    known_at: str = Field(description="Nothing recorded from then on is part of this.")


class TotalResponse(BaseModel):
    """Sums over accounts of one currency; balances by the side on which each stands."""

    currency: CurrencyCode
    opening_debits: int
    opening_credits: int
    debits: int
    credits: int
    closing_debits: int
    closing_credits: int


class ReportEntry(BaseModel):
    """An entry of the period, and the account's balance after it in the order of this report."""

    seq: int
    transfer: TransferId
    kind: TransferKind
    direction: Direction
    amount: int
    balance: int
    recorded_at: str
    effective_at: str
    description: str | None
    correlation_id: str | None


class LedgerEntry(ReportEntry):
    """An entry, and the accounts on the other side."""

    against: list[str] = Field(description="The codes of the transfer's other accounts.")


class AccountFigures(BaseModel):
    """An account in a period; balances are positive on its normal side."""

    account: AccountId
    code: str
    name: str
    type: AccountType
    currency: CurrencyCode
    opening: int
    debits: int
    credits: int
    closing: int


class AccountStatement(AccountFigures):
    """An account's statement."""

    entries: list[ReportEntry]


class LedgerAccount(AccountFigures):
    """An account in the general ledger."""

    entries: list[LedgerEntry]


class StatementResponse(BaseModel):
    """Statements of accounts, in the order of their codes."""

    period: ReportPeriod
    accounts: list[AccountStatement]
    totals: list[TotalResponse]


class GeneralLedgerResponse(BaseModel):
    """The general ledger, in the order of the accounts' codes."""

    period: ReportPeriod
    accounts: list[LedgerAccount]
    totals: list[TotalResponse]


class JournalLegResponse(BaseModel):
    """An account's part in a transfer."""

    code: str
    name: str
    currency: CurrencyCode
    direction: Direction
    amount: int


class JournalTransferResponse(BaseModel):
    """A transfer in the journal."""

    id: TransferId
    kind: TransferKind
    recorded_at: str
    effective_at: str
    description: str | None
    correlation_id: str | None
    legs: list[JournalLegResponse]


class JournalTotalResponse(BaseModel):
    """What the journal moved in one currency."""

    currency: CurrencyCode
    debits: int
    credits: int


class JournalResponse(BaseModel):
    """The journal of a period."""

    period: ReportPeriod
    transfers: list[JournalTransferResponse]
    totals: list[JournalTotalResponse]


class TrialRowResponse(TotalResponse):
    """An account, or a node of the chart with all accounts at or below it."""

    code: str
    name: str | None
    account: AccountId | None = Field(description="Null for a node.")
    type: AccountType | None = Field(description="Null for a node: it may have accounts of several types.")


class PeriodTrialBalanceResponse(BaseModel):
    """The trial balance of a period. Over all accounts, each pair of totals is equal."""

    period: ReportPeriod
    rows: list[TrialRowResponse]
    totals: list[TotalResponse]
