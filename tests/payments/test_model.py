"""The state machines: the same in Python and in the database; and references that providers know us by."""

from collections.abc import Iterable
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from florin.kernel.db import Connection
from florin.kernel.ids import MalformedId, new_id
from florin.payments.model import (
    MOVES,
    OPEN_ATTEMPTS,
    OPERATION_MOVES,
    AttemptStatus,
    OperationStatus,
    PaymentStatus,
    Reference,
)
from tests.payments.conftest import Books


async def moves_in_database(
    connection: Connection, function: str, statuses: Iterable[str]
) -> set[tuple[str, str]]:
    cursor = await connection.execute(
        "SELECT a, b FROM unnest(%(all)s::text[]) a, unnest(%(all)s::text[]) b"
        f" WHERE {function}(a, b)".encode(),
        {"all": list(statuses)},
    )
    return {(str(a), str(b)) for a, b in await cursor.fetchall()}


async def test_the_payments_state_machine_is_the_same_in_the_database(owner: Connection) -> None:
    expected = {(start, end) for start, ends in MOVES.items() for end in ends}
    assert await moves_in_database(owner, "payments.may_move", PaymentStatus) == expected


async def test_the_operations_state_machine_is_the_same_in_the_database(owner: Connection) -> None:
    expected = {(start, end) for start, ends in OPERATION_MOVES.items() for end in ends}
    assert await moves_in_database(owner, "payments.operation_may_move", OperationStatus) == expected


async def test_an_attempts_last_word_stands(owner: Connection) -> None:
    expected = {(start, end) for start in OPEN_ATTEMPTS for end in AttemptStatus if end != AttemptStatus.SENT}
    assert await moves_in_database(owner, "payments.attempt_may_move", AttemptStatus) == expected


async def test_the_database_knows_every_status_and_no_other(owner: Connection) -> None:
    for name, statuses in (
        ("payments_status_known", PaymentStatus),
        ("attempts_status_known", AttemptStatus),
        ("operations_status_known", OperationStatus),
    ):
        cursor = await owner.execute(
            "SELECT array_agg(m[1]) FROM pg_constraint,"
            " regexp_matches(pg_get_constraintdef(oid), '''([a-z_]+)''::text', 'g') m WHERE conname = %s",
            (name,),
        )
        row = await cursor.fetchone()
        assert row is not None
        assert set(row[0]) == set(statuses)


async def test_the_database_refuses_every_move_that_is_not_in_the_table(
    books: Books, owner: Connection
) -> None:
    """Each as a real UPDATE: the trigger, not only the function behind it."""
    payment = await books.pay("tok_declined")
    for end in PaymentStatus:
        if end == PaymentStatus.FAILED:
            continue
        with pytest.raises(psycopg.errors.CheckViolation, match=f"may not move from failed to {end}"):
            await owner.execute(
                "UPDATE payments.payments SET status = %s WHERE tenant_id = %s AND id = %s",
                (end, books.tenant_id, payment["id"]),
            )


async def test_a_payment_cannot_begin_as_completed(books: Books, owner: Connection) -> None:
    await books.pay()
    with pytest.raises(psycopg.errors.CheckViolation, match="may not move from nothing to completed"):
        await owner.execute(
            "INSERT INTO payments.payments"
            " SELECT (jsonb_populate_record(p, jsonb_build_object('id', %s::uuid))).*"
            " FROM payments.payments p WHERE p.tenant_id = %s",
            (new_id(), books.tenant_id),
        )


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("captured = captured + 1", "payments_captured_within_authorized"),
        ("authorized = amount + 1", "payments_authorized_within_amount"),
        ("refund_pending = captured + 1", "payments_refunded_within_captured"),
        ("refunded = -1, status = 'completed'", "payments_"),
        ("amount = 0", "payments_"),
        ("failed_at = now()", "payments_failed_when_said"),
    ],
)
async def test_counters_cannot_pass_each_other(
    books: Books, owner: Connection, change: str, constraint: str
) -> None:
    payment = await books.pay()
    with pytest.raises(psycopg.errors.CheckViolation, match=constraint):
        await owner.execute(
            f"UPDATE payments.payments SET {change} WHERE tenant_id = %s AND id = %s".encode(),
            (books.tenant_id, payment["id"]),
        )


async def test_what_providers_told_cannot_be_changed(books: Books) -> None:
    for statement in (
        "UPDATE payments.provider_events SET kind = 'x'",
        "DELETE FROM payments.provider_events",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await books.fetch(f"{statement} WHERE tenant_id = %s")


@given(st.uuids(), st.integers(0, 2**31 - 1), st.integers(1, 2**15 - 1))
def test_a_reference_reads_back_as_what_it_was_made_of(id_: UUID, tenant_id: int, number: int) -> None:
    for reference in (
        Reference(tenant_id, id_, number, "att"),
        Reference(tenant_id, id_, None, "re"),
        Reference(tenant_id, id_, None, "op"),
    ):
        assert Reference.parse(str(reference)) == reference


@pytest.mark.parametrize(
    "text",
    [
        "",
        "order-77",
        "att_1_2",
        "pay_01h455vb4pex5vsknk084sn02q_1_7",
        "att_01h455vb4pex5vsknk084sn02q_7",
        "att_01h455vb4pex5vsknk084sn02q_1_99999999999",
        "att_01h455vb4pex5vsknk084sn02q_40000_7",
        "att_01h455vb4pex5vsknk084sn02q_-1_7",
        "re_01h455vb4pex5vsknk084sn02q_1_7",
        "re_01h455vb4pex5vsknk084sn02u_7",
        "re_01h455vb4pex5vsknk084sn02q_\u0667",
    ],
)
def test_what_is_not_a_reference_of_ours_is_refused(text: str) -> None:
    with pytest.raises(MalformedId):
        Reference.parse(text)
