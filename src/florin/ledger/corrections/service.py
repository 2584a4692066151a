"""Correcting a transfer."""

from florin.ledger.corrections import store
from florin.ledger.model import Correcting, Transfer
from florin.ledger.policy import check_legs
from florin.ledger.service import Ledger, said_again, transfer


async def correct_transfer(ledger: Ledger, tenant_id: int, correcting: Correcting) -> Transfer:
    """Takes back what is left of a transfer and posts it anew, in one set; returns the repost.

    Bounds are asked of what the two leave together.

    Raises:
        As post_transfer, and TransferNotFound, NotReversible, AlreadyReversed, PeriodClosed.
    """
    check_legs(correcting.legs, correcting.currency)
    async with ledger.database.tenant(tenant_id) as connection:
        answer = await store.correct(connection, tenant_id, correcting)
    if isinstance(answer, store.NotCorrected):
        raise answer.refusal
    reposted = await transfer(ledger, tenant_id, answer.transfer_id)
    return said_again(reposted) if answer.replayed else reposted
