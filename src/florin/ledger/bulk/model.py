"""What imports and exports are made of. No I/O."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from florin.ledger.model import AccountType

MAX_FILE_BYTES: Final = 16 * 1024 * 1024
"""What is imported over HTTP; larger files are for the command line."""


class ImportKind(StrEnum):
    """What the rows of a file are."""

    ACCOUNTS = "accounts"
    BALANCES = "balances"
    TRANSFERS = "transfers"


class ExportKind(StrEnum):
    """What can be had as a file."""

    ACCOUNTS = "accounts"
    BALANCES = "balances"
    ENTRIES = "entries"
    TRANSFERS = "transfers"


class FileFormat(StrEnum):
    """How a file is written."""

    CSV = "csv"
    PARQUET = "parquet"


class ImportStatus(StrEnum):
    """`running` includes those that were broken off: the same file again goes on with them."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Import:
    """How far an import has come."""

    id: UUID
    kind: ImportKind
    status: ImportStatus
    rows_total: int | None
    """Known once the end of the file has been seen."""

    rows_done: int
    """Posted or refused."""

    rows_refused: int
    created_at: datetime
    updated_at: datetime


class RowError(NamedTuple):
    """Why a row was refused. The first row after the header is 1."""

    row_number: int
    field: str | None
    code: str
    message: str


@dataclass(slots=True)
class KnownAccount:
    """What an import remembers of an account from chunk to chunk; the locks tell whether it still holds."""

    id: UUID
    code: str
    type: AccountType
    currency: str
    bounded: bool
    """Has a minimum or a maximum."""

    delicate: bool
    """Not active, under a shared limit, monitored, or found in the way before: its rows go one by one."""

    seq: int
    balance_minor: int
    last_at: datetime | None
    """How it will stand, as far as this import knows, when all chunks so far are posted."""

    @property
    def sign(self) -> int:
        """1 where debits raise the balance, -1 where credits do."""
        return 1 if self.type in (AccountType.ASSET, AccountType.EXPENSE) else -1


class Standing(NamedTuple):
    """How the accounts of a chunk stand before it, in the order of the plan."""

    seqs: list[int]
    balances: list[int]
    last_at: datetime | None
    """The last entry of any of them."""


class Counted(NamedTuple):
    """What the locks say of a chunk."""

    counted: bool
    in_the_way: list[UUID]
    """Accounts whose rows have to go one by one."""

    standing: Standing
    """How the accounts stand, where it was not counted."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that a kind of file may have, in the order in which rows are handed on."""

    names: tuple[str, ...]
    required: frozenset[str]
    ignored: frozenset[str] = frozenset()
    """Read over: what an export says besides."""

    group: str | None = None
    """Rows next to each other with the same value here belong together."""


COLUMNS: Final[dict[ImportKind, Columns]] = {
    ImportKind.ACCOUNTS: Columns(
        ("code", "name", "type", "currency", "min_balance", "max_balance", "metadata"),
        frozenset({"code", "type", "currency"}),
        frozenset({"status"}),
    ),
    ImportKind.BALANCES: Columns(
        ("code", "amount", "currency", "effective_at", "description"), frozenset({"code", "amount"})
    ),
    ImportKind.TRANSFERS: Columns(
        (
            "transfer",
            "debit_account",
            "credit_account",
            "amount",
            "currency",
            "effective_at",
            "description",
            "correlation_id",
            "causation_id",
            "reference",
            "metadata",
        ),
        frozenset({"debit_account", "credit_account", "amount"}),
        frozenset({"kind", "recorded_at"}),
        group="transfer",
    ),
}
