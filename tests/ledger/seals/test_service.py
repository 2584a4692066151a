"""Sealing and proving on a real database."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from florin.kernel.crypto import KeyRing, SealBroken
from florin.kernel.errors import Unavailable
from florin.kernel.ids import new_id
from florin.kernel.provenance import Provenance
from florin.ledger import service as ledger_service
from florin.ledger.errors import TransferNotFound
from florin.ledger.model import HoldAction, Origin, Transfer
from florin.ledger.seals import service
from florin.ledger.seals.errors import (
    CheckpointNotFound,
    CheckpointsOutOfOrder,
    LogAltered,
    NotSealedYet,
)
from florin.ledger.seals.merkle import leaf_hash, root_from_inclusion, verify_consistency
from florin.ledger.seals.note import read_note
from florin.ledger.seals.service import Seals
from tests.ledger.books import Books, fresh_key, holding, posting, reversing, settling
from tests.ledger.seals.conftest import NOW, SealedBooks

BY = Provenance(actor="test")


async def leaf_of(sealed: SealedBooks, transfer_id: UUID) -> str:
    """The text that a transfer is sealed as."""
    proof = await service.prove_inclusion(sealed.books.ledger, sealed.tenant_id, transfer_id)
    return proof.leaf


async def test_nothing_posted_is_nothing_sealed(sealed: SealedBooks) -> None:
    assert await sealed.seal() == []
    with pytest.raises(CheckpointNotFound):
        await service.latest_checkpoint(sealed.books.ledger, sealed.tenant_id)
    assert await sealed.verify() != []


async def test_one_transfer_makes_a_tree_of_one_leaf(sealed: SealedBooks) -> None:
    (transfer,) = await sealed.post(1)
    (step,) = await sealed.seal()
    assert step.leaves == 1
    proof = await service.prove_inclusion(sealed.books.ledger, sealed.tenant_id, transfer.id)
    assert (proof.index, proof.path, proof.checkpoint.head.number) == (0, (), 1)
    assert leaf_hash(proof.leaf.encode()) == proof.checkpoint.head.root
    await sealed.assert_sound(1)


async def test_sealing_again_without_anything_new_signs_nothing(sealed: SealedBooks) -> None:
    await sealed.post(3)
    await sealed.seal()
    assert await sealed.seal() == []
    assert len(await service.checkpoints(sealed.books.ledger, sealed.tenant_id, limit=10)) == 1


async def test_a_leaf_says_every_column_of_the_transfer(sealed: SealedBooks) -> None:
    one, other = await sealed.books.open(), await sealed.books.open()
    wanted = replace(
        posting((one, 500), (other, -500)),
        description='Top-up\n"quoted"',
        metadata={"order": "6735"},
        effective_at=datetime(2026, 11, 19, tzinfo=UTC),
        origin=Origin("order 6735", "evt_1", {"name": "wallet.top_up"}, {"rate": "1.0842"}),
    )
    posted = await sealed.post_one(wanted)
    await sealed.seal()
    recorded_us = (posted.recorded_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert (await leaf_of(sealed, posted.id)).split("\n") == [
        "florin transfer 1",
        f"tenant {sealed.tenant_id}",
        f"id {posted.id}",
        "kind transfer",
        f"recorded_at {recorded_us}",
        "effective_at 1795046400000000",
        f"accounts {one} {other}",
        "amounts 500 -500",
        "entries 1 1",
        'correlation "order 6735"',
        'causation "evt_1"',
        'description "Top-up\\n\\"quoted\\""',
        'metadata {"order": "6735"}',
        'template {"name": "wallet.top_up"}',
        'exchange {"rate": "1.0842"}',
    ]


async def test_the_text_of_a_leaf_does_not_depend_on_settings(sealed: SealedBooks) -> None:
    (transfer,) = await sealed.post(1)
    call = (
        b"SELECT ledger.leaf(tenant_id, id, kind, recorded_at, recorded_at, account_ids, amounts, entry_seqs,"
        b" related_id, correlation_id, causation_id, description, metadata, template, exchange)"
        b" FROM ledger.transfers WHERE id = %s"
    )
    texts = set()
    with psycopg.connect(sealed.root_url) as root:
        for settings in (
            b"SET timezone = 'UTC'",
            b"SET timezone = 'Asia/Kolkata'",
            b"SET datestyle = 'SQL, DMY'",
            b"SET bytea_output = 'escape'",
            b"SET extra_float_digits = -15",
        ):
            root.execute(settings)
            texts.add(root.execute(call, (transfer.id,)).fetchone())
    assert len(texts) == 1


async def test_every_kind_of_transfer_is_sealed(sealed: SealedBooks) -> None:
    books = sealed.books
    one, other = await books.open(), await books.open()
    paid = await sealed.post_one(posting((one, 100), (other, -100)))
    await ledger_service.reverse_transfer(books.ledger, sealed.tenant_id, reversing(paid.id))
    hold = await ledger_service.place_hold(books.ledger, sealed.tenant_id, holding((one, 70), (other, -70)))
    await ledger_service.settle_hold(books.ledger, sealed.tenant_id, settling(hold.id, amount_minor=20))
    await ledger_service.settle_hold(books.ledger, sealed.tenant_id, settling(hold.id, HoldAction.VOID))
    (step,) = await sealed.seal()
    assert step.leaves == 5
    assert "entries" not in await leaf_of(sealed, hold.id)
    await sealed.assert_sound(5)


@pytest.mark.parametrize("parts", [(255, 1, 1), (256, 256), (300, 500, 3, 0, 225), (1024,)])
async def test_a_log_sealed_in_parts_is_the_tree_of_all_its_leaves(
    sealed: SealedBooks, parts: tuple[int, ...]
) -> None:
    transfers: list[Transfer] = []
    for part in parts:
        transfers += await sealed.post(part)
        await sealed.seal(chunk_blocks=2)
    heads = [one.head for one in await service.checkpoints(sealed.books.ledger, sealed.tenant_id, limit=100)]
    assert heads[0].size == len(transfers)
    for older in heads[1:]:
        proof = await service.prove_consistency(
            sealed.books.ledger, sealed.tenant_id, older.size, heads[0].size
        )
        verify_consistency(older.size, older.root, heads[0].size, heads[0].root, proof.path)
    for at in range(0, len(transfers), 97):
        for head in heads:
            if at < head.size:
                inclusion = await service.prove_inclusion(
                    sealed.books.ledger, sealed.tenant_id, transfers[at].id, size=head.size
                )
                assert inclusion.index == at
                leaf = leaf_hash(inclusion.leaf.encode())
                assert root_from_inclusion(leaf, at, head.size, inclusion.path) == head.root
    await sealed.assert_sound(len(transfers))


async def test_checkpoints_are_chained_and_signed(sealed: SealedBooks) -> None:
    for count in (2, 300, 5):
        await sealed.post(count)
        await sealed.seal()
    (key,) = await service.keys(sealed.books.ledger, sealed.tenant_id)
    newest_first = await service.checkpoints(sealed.books.ledger, sealed.tenant_id, limit=10)
    heads = [read_note(one.note, key.public_key) for one in newest_first[::-1]]
    assert [head.number for head in heads] == [1, 2, 3]
    assert [head.size for head in heads] == [2, 302, 307]
    assert [head.previous for head in heads[1:]] == [head.digest for head in heads[:-1]]
    page = await service.checkpoints(sealed.books.ledger, sealed.tenant_id, limit=10, before=2)
    assert [one.head.number for one in page] == [1]


async def test_a_checkpoint_names_the_end_of_the_audit_chain(sealed: SealedBooks) -> None:
    await sealed.post(1)
    await service.rotate_key(sealed.seals, sealed.tenant_id, by=BY)
    with psycopg.connect(sealed.root_url) as root:
        row = root.execute(
            "SELECT seq, digest FROM audit.heads WHERE tenant_id = %s", (sealed.tenant_id,)
        ).fetchone()
    (step,) = await sealed.seal()
    assert step.checkpoint is not None
    assert (step.checkpoint.audit_seq, step.checkpoint.audit_digest) == row


async def test_a_new_key_signs_next_and_the_old_one_stays(sealed: SealedBooks) -> None:
    await sealed.post(1)
    await sealed.seal()
    (first,) = await service.keys(sealed.books.ledger, sealed.tenant_id)
    second = await service.rotate_key(sealed.seals, sealed.tenant_id, by=BY)
    await sealed.post(1)
    await sealed.seal()
    assert await service.keys(sealed.books.ledger, sealed.tenant_id) == [second, first]
    newest, oldest = await service.checkpoints(sealed.books.ledger, sealed.tenant_id, limit=2)
    assert (newest.key_id, oldest.key_id) == (second.id, first.id)
    await sealed.assert_sound(2)
    with psycopg.connect(sealed.root_url) as root:
        row = root.execute(
            "SELECT actor, after FROM audit.log WHERE tenant_id = %s AND entity_id = %s",
            (sealed.tenant_id, second.id),
        ).fetchone()
    assert row is not None
    assert row[0] == "test"
    assert "private_key" not in row[1]


async def test_a_private_key_opens_with_its_own_ring_only(sealed: SealedBooks) -> None:
    await sealed.post(1)
    await sealed.seal()
    await sealed.post(1)
    stranger = Seals(sealed.books.ledger, KeyRing({"k1": bytes(32)}))
    with pytest.raises(SealBroken):
        async for _ in service.seal(stranger, sealed.tenant_id, grace=NOW):
            pass
    await sealed.seal()
    await sealed.assert_sound(2)


async def test_what_is_younger_than_the_grace_waits(sealed: SealedBooks) -> None:
    (transfer,) = await sealed.post(1)
    async for _ in service.seal(sealed.seals, sealed.tenant_id, grace=timedelta(seconds=30)):
        raise AssertionError("nothing is old enough")
    with pytest.raises(NotSealedYet):
        await service.prove_inclusion(sealed.books.ledger, sealed.tenant_id, transfer.id)
    await sealed.seal()
    (later,) = await sealed.post(1)
    with pytest.raises(NotSealedYet):
        await service.prove_inclusion(sealed.books.ledger, sealed.tenant_id, later.id)
    await sealed.seal()
    with pytest.raises(NotSealedYet):
        await service.prove_inclusion(sealed.books.ledger, sealed.tenant_id, later.id, size=1)


async def test_what_cannot_be_proved_is_refused(sealed: SealedBooks) -> None:
    (transfer,) = await sealed.post(1)
    await sealed.seal()
    await sealed.post(1)
    await sealed.seal()
    books = sealed.books
    with pytest.raises(TransferNotFound):
        await service.prove_inclusion(books.ledger, sealed.tenant_id, new_id())
    with pytest.raises(CheckpointNotFound):
        await service.prove_inclusion(books.ledger, sealed.tenant_id, transfer.id, size=7)
    with pytest.raises(CheckpointNotFound):
        await service.prove_consistency(books.ledger, sealed.tenant_id, 1, 7)
    with pytest.raises(CheckpointsOutOfOrder):
        await service.prove_consistency(books.ledger, sealed.tenant_id, 2, 1)
    same = await service.prove_consistency(books.ledger, sealed.tenant_id, 2, 2)
    assert same.path == ()


async def test_a_sealer_that_is_stopped_between_steps_goes_on_where_it_was(sealed: SealedBooks) -> None:
    await sealed.post(5 * 256 + 7)
    steps = service.seal(sealed.seals, sealed.tenant_id, grace=NOW, chunk_blocks=2)
    assert (await anext(steps)).leaves == 512
    await steps.aclose()  # type: ignore[attr-defined]
    with pytest.raises(CheckpointNotFound):
        await service.latest_checkpoint(sealed.books.ledger, sealed.tenant_id)
    soon = -timedelta(seconds=1)
    assert await service.backlog(sealed.books.ledger, sealed.tenant_id, grace=soon) == (512, 775)
    done = await sealed.seal(chunk_blocks=2)
    assert [step.leaves for step in done] == [1024, 1287]
    assert await service.backlog(sealed.books.ledger, sealed.tenant_id, grace=soon) == (1287, 0)
    await sealed.assert_sound(1287)


async def test_a_sealer_whose_connection_is_cut_leaves_nothing_half_done(sealed: SealedBooks) -> None:
    await sealed.post(1000)
    await sealed.post(1000)
    cut = 0
    for turn in range(8):
        sealing = asyncio.create_task(sealed.seal(chunk_blocks=1))
        await asyncio.sleep(0.003 * turn)
        with psycopg.connect(sealed.root_url, autocommit=True) as root:
            root.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND usename = 'florin_app'"
            )
        (outcome,) = await asyncio.gather(sealing, return_exceptions=True)
        cut += isinstance(outcome, Unavailable)
        assert isinstance(outcome, list | Unavailable)
    assert cut, "it was never cut"
    while True:
        try:
            await sealed.seal(chunk_blocks=1)
            break
        except Unavailable:  # a connection of the pool that was cut too
            continue
    await sealed.assert_sound(2000)


async def test_two_sealers_of_one_tenant_do_not_meet(sealed: SealedBooks) -> None:
    for _ in range(3):
        await sealed.post(600)
        await asyncio.gather(*(sealed.seal(chunk_blocks=1) for _ in range(4)))
    await sealed.seal()
    await sealed.assert_sound(1800)


async def test_history_with_old_effective_times_is_sealed_in_the_order_of_recording(
    sealed: SealedBooks,
) -> None:
    one, other = await sealed.books.open(), await sealed.books.open()
    await sealed.post(2)
    await sealed.seal()
    old = replace(posting((one, 5), (other, -5)), effective_at=datetime(1999, 12, 31, tzinfo=UTC))
    imported = await sealed.post_one(old)
    await sealed.seal()
    proof = await service.prove_inclusion(sealed.books.ledger, sealed.tenant_id, imported.id)
    assert proof.index == 2
    assert "effective_at 946598400000000" in proof.leaf


async def test_an_archived_month_stays_sealed_and_provable(sealed: SealedBooks) -> None:
    transfers = await sealed.post(300)
    await sealed.seal()
    with sealed.tampering() as root:
        root.execute("CREATE TABLE ledger.archived_test PARTITION OF ledger.archived_transfers DEFAULT")
        root.execute(
            "INSERT INTO ledger.archived_transfers"
            " SELECT * FROM ledger.transfers WHERE tenant_id = %s AND id <= %s",
            (sealed.tenant_id, transfers[279].id),
        )
    sealed.delete("transfers", "id <= %s", transfers[279].id)
    await sealed.post(10)
    await sealed.seal()
    proof = await service.prove_inclusion(sealed.books.ledger, sealed.tenant_id, transfers[100].id)
    assert proof.index == 100
    await sealed.assert_sound(310)


async def test_nothing_is_signed_on_top_of_an_altered_tail(sealed: SealedBooks) -> None:
    transfers = await sealed.post(10)
    await sealed.seal()
    sealed.alter("transfers", "description = 'x'", "id = %s", transfers[4].id)
    await sealed.post(300)
    with pytest.raises(LogAltered):
        await sealed.seal()
    with pytest.raises(LogAltered):
        await service.prove_inclusion(sealed.books.ledger, sealed.tenant_id, transfers[4].id)


async def test_an_item_that_comes_after_the_mark_gets_a_new_id_and_its_client_hears_it(
    sealed: SealedBooks,
) -> None:
    one, other = await sealed.books.open(), await sealed.books.open()
    late = posting((one, 5), (other, -5), key=fresh_key())
    await sealed.post(1)
    await sealed.seal()
    posted = await sealed.post_one(late)
    assert posted.id > late.id
    again = await sealed.post_one(replace(late, id=new_id()))
    assert (again.id, again.replayed) == (posted.id, True)
    with pytest.raises(TransferNotFound):
        await ledger_service.transfer(sealed.books.ledger, sealed.tenant_id, late.id)
    await sealed.seal()
    await sealed.assert_sound(2)


async def test_a_clock_that_was_set_back_posts_nothing_below_the_mark(sealed: SealedBooks) -> None:
    one, other = await sealed.books.open(), await sealed.books.open()
    await sealed.post(1)
    await sealed.seal()
    mark = service.smallest_id(-timedelta(hours=1))
    sealed.alter("books", "sealed_before = %s", "true", mark)
    answers = await ledger_service.post_transfers(
        sealed.books.ledger, sealed.tenant_id, [posting((one, 5), (other, -5)) for _ in range(50)]
    )
    posted = [answer.id for answer in answers if isinstance(answer, Transfer)]
    assert len(set(posted)) == 50
    assert all(mark <= one.id for one in answers if isinstance(one, Transfer))
    assert {(transfer_id.version, transfer_id.int >> 80) for transfer_id in posted} == {(7, mark.int >> 80)}


async def test_no_posting_ever_lands_below_the_mark(sealed: SealedBooks) -> None:
    """Many post, with ids made early, while the log is closed and sealed again and again."""
    accounts = [await sealed.books.open() for _ in range(6)]
    posted: list[UUID] = []
    done = asyncio.Event()

    async def client(number: int) -> None:
        mine, theirs = accounts[number % 6], accounts[(number + 1) % 6]
        for turn in range(25):
            wanted = posting((mine, 1), (theirs, -1))
            await asyncio.sleep(0.01 * (turn % 3))  # longer than the grace: the id is old by then
            posted.append((await sealed.post_one(wanted)).id)

    async def sealer() -> None:
        while not done.is_set():
            await sealed.seal()
            await asyncio.sleep(0.002)

    sealing = asyncio.create_task(sealer())
    await asyncio.gather(*(client(number) for number in range(24)))
    done.set()
    await sealing
    await sealed.seal()
    await sealed.assert_sound(600)
    newest = await service.latest_checkpoint(sealed.books.ledger, sealed.tenant_id)
    assert max(posted) < newest.head.sealed_before
    assert len(set(posted)) == 600
    for transfer_id in posted[::50]:
        await service.prove_inclusion(sealed.books.ledger, sealed.tenant_id, transfer_id)


async def test_whoever_posts_for_long_holds_up_the_mark_and_not_the_seals(sealed: SealedBooks) -> None:
    await sealed.post(3)
    await sealed.seal()
    await sealed.post(2)
    with psycopg.connect(sealed.root_url) as root:
        root.execute("SELECT pg_advisory_xact_lock_shared(1279607879, %s)", (sealed.tenant_id,))
        (step,) = await sealed.seal()
    assert step.leaves == 3
    (step,) = await sealed.seal()
    assert step.leaves == 5


async def test_tenants_have_logs_of_their_own(sealed: SealedBooks, other_books: Books) -> None:
    (mine,) = await sealed.post(1)
    theirs = SealedBooks(sealed.seals, other_books, sealed.root_url)
    await theirs.post(4)
    await sealed.seal()
    await theirs.seal()
    await sealed.assert_sound(1)
    await theirs.assert_sound(4)
    with pytest.raises(TransferNotFound):
        await service.prove_inclusion(sealed.books.ledger, theirs.tenant_id, mine.id)
