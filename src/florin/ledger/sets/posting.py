"""`ledger.post` for whole sets: an item of the coalescer is a set, its answer that of all its transfers."""

from collections.abc import Sequence
from typing import Any

from psycopg.rows import TupleRow

from florin.kernel.coalescer import ArrayFunction, array
from florin.kernel.errors import IdempotencyKeyReused, Refusal
from florin.ledger.errors import SetRefused
from florin.ledger.model import Posted, Posting
from florin.ledger.posting import POST, decode_postings, encode_postings

PostingSet = tuple[Posting, ...]


def within_set(index: int, refused: Refusal) -> Refusal:
    """The refusal with the name of the transfer whose it is: `transfers[3].legs[0].amount`."""
    if not isinstance(refused, IdempotencyKeyReused):  # the key is the whole set's
        refused.param = f"transfers[{index}].{refused.param}" if refused.param else f"transfers[{index}]"
    return refused


def culprit(answers: Sequence[object]) -> Refusal | None:
    """Why a set was refused: its first refusal that is not about another transfer. None: it was not."""
    refusals = [(index, one) for index, one in enumerate(answers) if isinstance(one, Refusal)]
    if not refusals:
        return None
    return within_set(*next((one for one in refusals if not isinstance(one[1], SetRefused)), refusals[0]))


def _encode(items: Sequence[PostingSet]) -> tuple[Any, ...]:
    numbers = array([number for number, one in enumerate(items, 1) for _ in one])
    return encode_postings([posting for one in items for posting in one], numbers)


def _decode(items: Sequence[PostingSet], rows: list[TupleRow]) -> list[list[Posted] | Exception]:
    answers = decode_postings([posting for one in items for posting in one], rows)
    told: list[list[Posted] | Exception] = []
    at = 0
    for one in items:
        answered = answers[at : at + len(one)]
        at += len(one)
        told.append(culprit(answered) or [posted for posted in answered if isinstance(posted, Posted)])
    return told


POST_SETS: ArrayFunction[PostingSet, list[Posted]] = ArrayFunction(POST.statement, _encode, _decode)
"""Posts sets of transfers, each in full or not at all."""
