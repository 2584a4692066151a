"""Posting a set."""

import asyncio
from collections.abc import Sequence
from hashlib import sha256
from uuid import UUID

from florin.kernel.errors import Refusal
from florin.kernel.idempotency import Idempotency
from florin.ledger.model import Posting, Transfer
from florin.ledger.policy import check_legs
from florin.ledger.service import Ledger, said_again, transfer, transfer_of
from florin.ledger.sets.posting import within_set


def key_of_member(key: Idempotency, index: int) -> Idempotency:
    """The slot of one transfer of a set, derived from the set's own; the digest is the whole body's."""
    slot = UUID(bytes=sha256(key.slot.bytes + index.to_bytes(4, "big")).digest()[:16])
    return Idempotency(slot, key.digest)


def check_set(postings: Sequence[Posting]) -> None:
    """As check_legs for each; `param` begins with `transfers[n].`."""
    for index, posting in enumerate(postings):
        try:
            check_legs(posting.legs, posting.currency)
        except Refusal as refused:
            raise within_set(index, refused) from None


async def post_set(ledger: Ledger, tenant_id: int, postings: Sequence[Posting]) -> list[Transfer]:
    """Posts all of them, in order, or none. Bounds are asked of what the whole set leaves.

    Their idempotency is `key_of_member` of the set's key.

    Raises:
        As post_transfer, of the first transfer at fault: `param` names it (`transfers[3].legs[0].amount`).
    """
    check_set(postings)
    answers = await ledger.setting.call(tenant_id, tuple(postings))
    if answers[0].replayed:
        found = await asyncio.gather(*(transfer(ledger, tenant_id, one.transfer_id) for one in answers))
        return [said_again(one) for one in found]
    return [transfer_of(posting, posted) for posting, posted in zip(postings, answers, strict=True)]
