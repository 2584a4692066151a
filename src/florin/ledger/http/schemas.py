"""What the ledger's API takes and gives."""

from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from florin.kernel.dates import Instant
from florin.kernel.ids import AccountId, HoldId, LimitId, TransferId
from florin.kernel.money import AmountMinor, CurrencyCode
from florin.ledger.durations import PATTERN, duration_text, parse_duration
from florin.ledger.model import (
    MAX_BOUND_MINOR,
    NOWHERE,
    AccountStatus,
    AccountType,
    Direction,
    HoldStatus,
    MatchBy,
    Origin,
    TransferKind,
)

MAX_LEGS: Final = 100
MAX_BATCH: Final = 1000
MAX_METADATA: Final = 50

_NO_NUL = r"^[^\x00]*$"  # PostgreSQL's text has no place for it

Description = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=_NO_NUL)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_NO_NUL)]
AccountCode = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9:._/@+-]{0,119}$",
        description="Unique within the tenant.",
        examples=["customer:1024:wallet"],
    ),
]
Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=_NO_NUL)],
        Annotated[str, StringConstraints(max_length=500, pattern=_NO_NUL)],
    ],
    Field(max_length=MAX_METADATA, description="The caller's own notes.", examples=[{"order": "6735"}]),
]
BoundMinor = Annotated[
    int, Field(strict=True, ge=-MAX_BOUND_MINOR, le=MAX_BOUND_MINOR, description="Minor units.")
]


Correlation = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=_NO_NUL)]
DryRun = Annotated[
    bool,
    Field(strict=True, description="Try it and post nothing: the answer is 200 and what would have been."),
]
CreditLimit = Annotated[
    int,
    Field(
        strict=True,
        ge=0,
        le=MAX_BOUND_MINOR,
        description="How far below zero the balance may go: another way to say min_balance. 0: no overdraft.",
    ),
]
NodeCode = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/@+-]*(:[A-Za-z0-9._/@+-]+)*$",
        max_length=120,
        description="Segments with colons between them.",
        examples=["assets:bank"],
    ),
]
Reason = Annotated[
    str,
    StringConstraints(min_length=1, max_length=500, pattern=_NO_NUL),
    Field(description="Why. The audit log keeps it.", examples=["ticket 4711"]),
]
Noted = Annotated[
    str,
    StringConstraints(min_length=2, max_length=541, pattern=r"^[^\x00:]{1,40}:[^\x00]*$"),
]
"""A key of metadata, a colon and its value. The key ends at the first colon."""

ClearsWithin = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(duration_text, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": PATTERN,
            "description": "Declared to return to zero within this time: whole days or hours.",
            "examples": ["P7D"],
        }
    ),
]


class Request(BaseModel):
    """Unknown fields are refused: a misspelt one would be ignored in silence."""

    model_config = ConfigDict(extra="forbid")


class NewAccountRequest(Request):
    """An account to be opened."""

    code: AccountCode
    name: Name
    type: AccountType
    currency: CurrencyCode
    min_balance: BoundMinor | None = Field(None, description="Refuse what would leave less. Null: no bound.")
    max_balance: BoundMinor | None = Field(None, description="Refuse what would leave more. Null: no bound.")
    credit_limit: CreditLimit | None = None
    clears_within: ClearsWithin | None = None
    match_by: MatchBy = MatchBy.ORDER
    metadata: Metadata | None = None
    reason: Reason | None = None


class AccountChange(Request):
    """What to change; what is left out stays."""

    name: Name | None = None
    status: AccountStatus | None = None
    min_balance: BoundMinor | None = Field(None, description="Null removes the bound.")
    max_balance: BoundMinor | None = Field(None, description="Null removes the bound.")
    credit_limit: CreditLimit | None = None
    limit: LimitId | None = Field(None, description="The limit to share with others. Null: none any more.")
    clears_within: ClearsWithin | None = None
    match_by: MatchBy | None = None
    metadata: Metadata | None = Field(None, description="Replaces the metadata there is.")
    reason: Reason | None = None


class LegRequest(Request):
    """One account's part."""

    account: AccountId
    direction: Literal["debit", "credit"]
    amount: AmountMinor


class LineRequest(Request):
    """Where a line of the log comes from, in the caller's own words."""

    description: Description | None = None
    metadata: Metadata | None = None
    correlation_id: Correlation | None = Field(None, description="What it belongs to: an order, a payment.")
    causation_id: Correlation | None = Field(None, description="What led to it: an event, a request.")

    def origin(self, **more: Any) -> Origin:
        """As the model has it; `more`: a template or an exchange."""
        if self.correlation_id is None and self.causation_id is None and not more:
            return NOWHERE
        return Origin(self.correlation_id, self.causation_id, **more)


class OriginRequest(LineRequest):
    """Where a transfer comes from, and when it counts."""

    effective_at: Instant | None = Field(None, description="When it counts. Default: when it is recorded.")


class TransferRequest(OriginRequest):
    """Legs that balance per currency, each account once."""

    legs: list[LegRequest] = Field(min_length=2, max_length=MAX_LEGS)
    currency: CurrencyCode | None = Field(None, description="The currency that all accounts must have.")


class BatchItem(TransferRequest):
    """A transfer with an idempotency key of its own."""

    idempotency_key: str = Field(
        min_length=1, max_length=255, pattern=r"^[\x20-\x7e]+$", description="As the header of one transfer."
    )


class BatchRequest(Request):
    """Transfers that have nothing to do with each other."""

    transfers: list[BatchItem] = Field(min_length=1, max_length=MAX_BATCH)


class SetRequest(Request):
    """Transfers that stand or fall together."""

    transfers: list[TransferRequest] = Field(min_length=1, max_length=MAX_BATCH)


class HoldRequest(LineRequest):
    """Legs that balance per currency, to be reserved."""

    legs: list[LegRequest] = Field(min_length=2, max_length=MAX_LEGS)
    currency: CurrencyCode | None = Field(None, description="The currency that all accounts must have.")
    expires_at: Instant | None = Field(None, description="When what is still reserved is released.")


class NoteRequest(LineRequest):
    """What to write beside the void of a hold."""


class ReversalRequest(OriginRequest):
    """How much to take back: `amount` of a two-leg transfer, or some `legs`; neither: all that is left."""

    amount: AmountMinor | None = None
    legs: list[LegRequest] | None = Field(
        None, min_length=2, max_length=MAX_LEGS, description="As in the transfer, with its own directions."
    )
    dry_run: DryRun = False


class CorrectionRequest(TransferRequest):
    """The transfer as it should have been."""

    dry_run: DryRun = False


class HoldPostRequest(NoteRequest):
    """How much of a hold to post: `amount` of a two-leg hold, or some `legs`; neither: all of it."""

    amount: AmountMinor | None = None
    legs: list[LegRequest] | None = Field(None, min_length=2, max_length=MAX_LEGS)


class BalanceResponse(BaseModel):
    """What an account holds. A balance is positive on the account's normal side."""

    account: AccountId
    currency: CurrencyCode
    balance: int
    pending_debits: int = Field(description="What holds may still debit.")
    pending_credits: int = Field(description="What holds may still credit.")
    available: int = Field(description="The balance less what holds may take from it.")
    entry_seq: int = Field(description="The number of the account's last entry.")


class AccountResponse(BaseModel):
    """An account."""

    id: AccountId
    code: str
    name: str
    type: AccountType
    currency: CurrencyCode
    normal_side: Direction
    status: AccountStatus
    min_balance: int | None = Field(description="The account's own bound.")
    max_balance: int | None = Field(description="The account's own bound.")
    effective_min_balance: int | None = Field(description="The tighter of its own and those of its classes.")
    effective_max_balance: int | None = Field(description="The tighter of its own and those of its classes.")
    limit: LimitId | None = Field(description="The limit that it shares with others.")
    clears_within: str | None = Field(description="Declared to return to zero within this time.")
    match_by: MatchBy
    clearing_class: str | None = Field(description="The node of the chart that declares so, if one does.")
    balance: int
    pending_debits: int
    pending_credits: int
    available: int
    entry_seq: int
    metadata: dict[str, str]
    created_at: str


class EntryResponse(BaseModel):
    """A leg of a transfer. Number and balances are null where it reserves or releases only."""

    account: AccountId
    currency: CurrencyCode
    direction: Direction
    amount: int
    seq: int | None
    balance_before: int | None
    balance_after: int | None
    reversed: int = Field(description="How much of the amount has been taken back.")


class ExchangeNote(BaseModel):
    """What is kept of a currency exchange."""

    model_config = ConfigDict(extra="allow")

    rate: str = Field(description="Units of the bought currency for one of the sold.", examples=["1.0854"])
    source: str = Field(description="Who gave the rate.", examples=["ECB 2026-11-20"])


class TransferResponse(BaseModel):
    """A line of the transfer log."""

    id: TransferId
    kind: TransferKind
    recorded_at: str
    effective_at: str
    description: str | None
    metadata: dict[str, str]
    hold: HoldId | None = Field(description="The hold that it makes, posts, voids or expires.")
    reverses: TransferId | None
    reversed_by: list[TransferId] = Field(description="What took back some or all of it, in order.")
    corrects: TransferId | None = Field(description="The transfer that it replaces.")
    correlation_id: str | None
    causation_id: str | None
    template: dict[str, Any] | None = Field(description="The recipe that made it: name, version, parameters.")
    exchange: ExchangeNote | None
    entries: list[EntryResponse]


class SetResponse(BaseModel):
    """The transfers of a set, in their order."""

    data: list[TransferResponse]


class BatchAnswer(BaseModel):
    """What became of one transfer of a batch."""

    status: int = Field(description="201, or the status of the problem.")
    transfer: TransferResponse | None = None
    problem: dict[str, str] | None = Field(
        None,
        examples=[{"code": "insufficient_funds", "detail": "...", "param": "transfers[3].legs[0].amount"}],
    )


class BatchResponse(BaseModel):
    """One answer per transfer, in their order."""

    data: list[BatchAnswer]


class StatementEntry(BaseModel):
    """A line of an account's statement."""

    seq: int
    transfer: TransferId
    direction: Direction
    amount: int
    balance_before: int
    balance_after: int
    recorded_at: str
    effective_at: str


class HoldLegResponse(BaseModel):
    """A leg of a hold: amount = posted + remaining + released."""

    account: AccountId
    currency: CurrencyCode
    direction: Direction
    amount: int
    posted: int
    remaining: int


class HoldResponse(BaseModel):
    """A hold."""

    id: HoldId
    status: HoldStatus
    legs: list[HoldLegResponse]
    expires_at: str | None
    description: str | None
    metadata: dict[str, str]
    created_at: str
    updated_at: str


class TrialBalanceRow(BaseModel):
    """Balances of one type of account, by the side on which they stand."""

    type: AccountType
    debits: int
    credits: int


class CurrencyTrialBalance(BaseModel):
    """The books in one currency."""

    currency: CurrencyCode
    types: list[TrialBalanceRow]
    debits: int
    credits: int
    difference: int = Field(description="Debits less credits: always 0.")


class TrialBalanceResponse(BaseModel):
    """The books, per currency."""

    data: list[CurrencyTrialBalance]
