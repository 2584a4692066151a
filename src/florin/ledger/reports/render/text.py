"""How reports write amounts, cells and file names."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from florin.kernel.clock import rfc3339
from florin.kernel.money import to_decimal
from florin.ledger.reports.model import Period, Scope


@dataclass(frozen=True, slots=True)
class Letterhead:
    """Who says it, of whom, and of when."""

    issuer: str
    scope: Scope
    period: Period
    made_at: datetime

    @property
    def scope_text(self) -> str:
        """Which accounts, in a few words."""
        if self.scope.under is not None:
            return f"Accounts under {self.scope.under}"
        return "" if self.scope.is_single else "All accounts"


def amount_text(amount_minor: int, exponent: int) -> str:
    """Major units with the currency's digits: 1234 is 12.34 in USD, 1234 in JPY, 1.234 in KWD."""
    return f"{to_decimal(amount_minor, exponent):f}"


def signed_cells(amount_minor: int, exponent: int) -> tuple[str, str]:
    """The cells of a debit and of a credit column, of which one stays empty."""
    if amount_minor >= 0:
        return amount_text(amount_minor, exponent), ""
    return "", amount_text(-amount_minor, exponent)


def period_json(period: Period) -> dict[str, Any]:
    """The period as JSON has it."""
    return {
        "from": rfc3339(period.since),
        "to": rfc3339(period.until),
        "by": period.by.value,
        "known_at": rfc3339(period.known_at),
    }


def minute(at: datetime) -> str:
    """`2026-11-20 13:07`, UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def file_name(kind: str, subject: str | None, period: Period, extension: str) -> str:
    """`statement_assets-bank_2026-11-01_2026-12-01.csv`: nothing in it that a file system minds."""
    days = [f"{at.astimezone(UTC):%Y-%m-%d}" for at in (period.since, period.until)]
    parts = [kind, *([re.sub(r"[^A-Za-z0-9._]+", "-", subject)[:60]] if subject else []), *days]
    return f"{'_'.join(parts)}.{extension}"
