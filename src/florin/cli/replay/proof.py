"""What the API's own balances say, read back."""

from typing import Any

from florin.cli.replay.client import Api
from florin.cli.replay.errors import UnknownAnswer
from florin.cli.replay.report import Check, money

TRIAL_BALANCE = "/v1/trial-balance"


async def accounts(api: Api, prefix: str) -> dict[str, dict[str, Any]]:
    """The accounts whose code starts with `prefix`, by code.

    The filter only saves pages: what it lets through besides is left out here.
    """
    found = api.every("/v1/accounts", {"code_prefix": prefix})
    return {account["code"]: account async for account in found if account["code"].startswith(prefix)}


async def balances(api: Api, prefix: str, suffix: str = "") -> dict[str, int]:
    """Balances in minor units, each positive on its normal side, of `prefix`...`suffix`, by code."""
    found = await accounts(api, prefix)
    return {code: int(account["balance"]) for code, account in found.items() if code.endswith(suffix)}


async def trial_balance(api: Api, currency: str) -> Check:
    """Whether all debits equal all credits in every currency; shown for one of them."""
    body = await api.get(TRIAL_BALANCE)
    totals = {row["currency"]: (row["debits"], row["credits"]) for row in _rows(body)}
    off = {code: debits - credits for code, (debits, credits) in totals.items() if debits != credits}
    shown = off or {currency: 0}
    return Check(
        what="trial balance",
        expected=money(0, currency),
        found="; ".join(money(difference, code) for code, difference in sorted(shown.items())),
        holds=not off,
    )


def _rows(body: dict[str, Any]) -> list[dict[str, Any]]:
    rows = body.get("data")
    if not isinstance(rows, list) or not all({"currency", "debits", "credits"} <= set(row) for row in rows):
        raise UnknownAnswer(f"{TRIAL_BALANCE} has no list of currency, debits and credits")
    return rows
