"""The array functions of this room: how items become arrays, and rows become answers.

Hot. Arrays of ids and plain words travel as literals, the columns of new payments as one JSON document.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import orjson
from psycopg.rows import TupleRow

from florin.kernel.coalescer import ArrayFunction, array
from florin.kernel.ids import encode_id
from florin.payments.model import (
    Opened,
    Opening,
    OperationOpened,
    OperationOpening,
    OperationSettling,
    Posting,
    Settled,
    Settling,
    Snapshot,
)


def opening(grace_s: float) -> ArrayFunction[Opening, Opened]:
    """payments.open. `grace_s`: how long a caller may take before its attempt is looked after."""

    def encode(items: Sequence[Opening]) -> Sequence[Any]:
        return (
            array([item.id for item in items]),
            array([item.idempotency.slot for item in items]),
            array([item.idempotency.digest for item in items]),
            array([1 if item.payment.confirm else None for item in items]),
            [item.provider for item in items],
            orjson.dumps([_columns(item) for item in items]).decode(),
            grace_s,
        )

    return ArrayFunction(
        "SELECT item, verdict, opened_at, answer FROM payments.open(%s, %s, %s, %s, %s, %s, %s, %s)",
        encode,
        _decode_opened,
    )


def _columns(item: Opening) -> dict[str, Any]:
    payment = item.payment
    method = payment.method
    columns: dict[str, Any] = {
        "partner_id": item.partner_id,
        "currency": payment.currency,
        "amount": payment.amount_minor,
        "capture_method": payment.capture_method,
        "method_type": method.type,
        "method": {"token": method.token} if method.token is not None else {"vpa": method.vpa},
    }
    for name in ("customer_id", "description", "statement_descriptor", "return_url", "metadata"):
        value = getattr(payment, name)
        if value is not None:
            columns[name] = value
    return columns


def _decode_opened(items: Sequence[Opening], rows: list[TupleRow]) -> Sequence[Opened]:
    answers: dict[int, Opened] = {
        item: Opened(verdict, opened_at, _load(answer)) for item, verdict, opened_at, answer in rows
    }
    return [answers[position] for position in range(1, len(items) + 1)]


SETTLE_STATEMENT = (
    "SELECT item, verdict, payment"
    " FROM payments.settle(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)


def _encode_settling(items: Sequence[Settling]) -> Sequence[Any]:
    findings = [item.finding for item in items]
    return (
        array([item.payment_id for item in items]),
        array([item.number for item in items]),
        array([finding.status for finding in findings]),
        [finding.provider_reference for finding in findings],
        [finding.code for finding in findings],
        [finding.message for finding in findings],
        [finding.redirect_url for finding in findings],
        array([finding.inquire_s for finding in findings]),
        *_legs([item.posting for item in items]),
        array([encode_id("pay", item.payment_id) for item in items]),
    )


def _decode_settled(items: Sequence[Settling], rows: list[TupleRow]) -> Sequence[Settled]:
    answers = {item: Settled(verdict, orjson.loads(payment)) for item, verdict, payment in rows}
    return [answers[position] for position in range(1, len(items) + 1)]


SETTLE: ArrayFunction[Settling, Settled] = ArrayFunction(SETTLE_STATEMENT, _encode_settling, _decode_settled)


def operation_opening(grace_s: float) -> ArrayFunction[OperationOpening, OperationOpened]:
    """payments.open_operations. `grace_s` as in `opening`."""

    def encode(items: Sequence[OperationOpening]) -> Sequence[Any]:
        payments, positions = _positions([item.operation.payment_id for item in items])
        return (
            array([item.id for item in items]),
            array([item.idempotency.slot for item in items]),
            array([item.idempotency.digest for item in items]),
            array([item.operation.kind.value for item in items]),
            payments,
            positions,
            array([item.partner_id for item in items]),
            array([item.operation.amount_minor for item in items]),
            array([item.operation.final for item in items]),
            orjson.dumps(
                [{"reason": item.operation.reason, "metadata": item.operation.metadata} for item in items]
            ).decode(),
            grace_s,
        )

    return ArrayFunction(
        "SELECT item, refusal, remaining, operation, payment, answer"
        " FROM payments.open_operations(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        encode,
        _decode_operation_opened,
    )


def _decode_operation_opened(
    items: Sequence[OperationOpening], rows: list[TupleRow]
) -> Sequence[OperationOpened]:
    answers = {
        item: OperationOpened(refusal, remaining, _load(operation), _load(payment), _load(answer))
        for item, refusal, remaining, operation, payment, answer in rows
    }
    return [answers[position] for position in range(1, len(items) + 1)]


def _encode_operation_settling(items: Sequence[OperationSettling]) -> Sequence[Any]:
    findings = [item.finding for item in items]
    payments, positions = _positions([item.payment_id for item in items])
    return (
        array([item.id for item in items]),
        payments,
        positions,
        array([finding.status for finding in findings]),
        [finding.provider_reference for finding in findings],
        [finding.code for finding in findings],
        [finding.message for finding in findings],
        array([finding.inquire_s for finding in findings]),
        *_legs([item.posting for item in items]),
        array([encode_id("pay", item.payment_id) for item in items]),
    )


def _decode_operation_settled(items: Sequence[OperationSettling], rows: list[TupleRow]) -> Sequence[Settled]:
    answers = {
        item: Settled(verdict, orjson.loads(payment), orjson.loads(operation))
        for item, verdict, operation, payment in rows
    }
    return [answers[position] for position in range(1, len(items) + 1)]


SETTLE_OPERATIONS: ArrayFunction[OperationSettling, Settled] = ArrayFunction(
    "SELECT item, verdict, operation, payment"
    " FROM payments.settle_operations(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
    _encode_operation_settling,
    _decode_operation_settled,
)


def _encode_ids(items: Sequence[UUID]) -> Sequence[Any]:
    return (array(items),)


def _decode_payments(items: Sequence[UUID], rows: list[TupleRow]) -> Sequence[Snapshot | None]:
    found: dict[UUID, str] = dict(rows)
    return [_load(found.get(item)) for item in items]


READ_PAYMENTS: ArrayFunction[UUID, Snapshot | None] = ArrayFunction(
    "SELECT p.id, jsonb_strip_nulls(to_jsonb(p))::text FROM payments.payments p"
    " WHERE p.tenant_id = %s AND p.id = ANY (%s)",
    _encode_ids,
    _decode_payments,
)


def _load(text: str | None) -> Snapshot | None:
    loaded: Snapshot | None = None if text is None else orjson.loads(text)
    return loaded


def _positions(ids: Sequence[UUID]) -> tuple[str, str]:
    """The distinct ids, ascending (the order of locks), and each item's position among them."""
    distinct = sorted(set(ids))
    position = {value: at for at, value in enumerate(distinct, 1)}
    return array(distinct), array([position[value] for value in ids])


def _legs(postings: Sequence[Posting | None]) -> tuple[str, str, str, str, str]:
    """Transfers, accounts and legs as ledger.apply takes them: a debit and a credit per posting."""
    accounts = sorted(
        {account for posting in _present(postings) for account in (posting.debit, posting.credit)}
    )
    position = {account: at for at, account in enumerate(accounts, 1)}
    leg_items: list[int] = []
    leg_accounts: list[int] = []
    leg_amounts: list[int] = []
    for item, posting in enumerate(postings, 1):
        if posting is not None:
            leg_items += (item, item)
            leg_accounts += (position[posting.debit], position[posting.credit])
            leg_amounts += (posting.amount_minor, -posting.amount_minor)
    return (
        array([None if posting is None else posting.transfer_id for posting in postings]),
        array(accounts),
        array(leg_items),
        array(leg_accounts),
        array(leg_amounts),
    )


def _present(postings: Sequence[Posting | None]) -> Iterable[Posting]:
    return (posting for posting in postings if posting is not None)
