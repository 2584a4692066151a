"""The ledger over HTTP."""

from fastapi import APIRouter

from florin.ledger.http import accounts, holds, transfers

router = APIRouter()
for part in (accounts.router, accounts.lean, transfers.router, transfers.lean, holds.router):
    router.include_router(part)

__all__ = ["router"]
