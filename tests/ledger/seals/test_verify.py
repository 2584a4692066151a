"""Whatever is changed behind the ledger's back is found and named."""

import pytest

from florin.kernel.crypto import KeyRing
from florin.kernel.ids import new_id
from florin.ledger.model import Transfer
from florin.ledger.proof.model import Fault
from florin.ledger.seals import keys, service
from florin.ledger.seals.merkle import complete_root, leaf_hash
from florin.ledger.seals.model import SealsVerified
from florin.ledger.seals.verify import verify_seals
from tests.ledger.seals.conftest import SealedBooks

COLUMNS = {
    "kind": "kind = 'repost', related_id = gen_random_uuid()",
    "recorded_at": "recorded_at = recorded_at + interval '1 microsecond'",
    "effective_at": "effective_at = recorded_at",
    "account_ids": "account_ids[2] = gen_random_uuid()",
    "account_ids swapped": "account_ids = ARRAY[account_ids[2], account_ids[1]]",
    "amounts": "amounts = ARRAY[amounts[1] + 1, amounts[2] - 1]",
    "entry_seqs": "entry_seqs[1] = entry_seqs[1] + 1",
    "entry_seqs gone": "entry_seqs = NULL",
    "related_id": "related_id = gen_random_uuid()",
    "description": "description = 'other'",
    "description empty": "description = ''",
    "metadata": """metadata = '{"order": "1"}'""",
    "correlation_id": "correlation_id = 'other'",
    "causation_id": "causation_id = 'other'",
    "template": """template = '{"name": "other"}'""",
    "exchange": """exchange = '{"rate": "2"}'""",
}


@pytest.fixture
async def log(sealed: SealedBooks) -> list[Transfer]:
    """Three blocks and a tail, under three checkpoints: 100, 700 and 800 leaves."""
    transfers: list[Transfer] = []
    for count in (100, 600, 100):
        transfers += await sealed.post(count)
        await sealed.seal()
    await sealed.assert_sound(800)
    return transfers


async def test_progress_is_told_and_nothing_is_found_in_a_sound_log(sealed: SealedBooks) -> None:
    assert await sealed.verify() == [SealsVerified(0, 0, 0)]
    await sealed.post(300)
    await sealed.seal()
    assert await sealed.verify() == [SealsVerified(256, 300, 0), SealsVerified(300, 300, 1)]


@pytest.mark.parametrize("change", COLUMNS.values(), ids=COLUMNS.keys())
async def test_a_transfer_altered_in_any_column_is_named(sealed: SealedBooks, change: str) -> None:
    transfers = await sealed.post(5)
    await sealed.seal()
    with sealed.tampering() as root:
        root.execute("ALTER TABLE ledger.transfers DROP CONSTRAINT IF EXISTS transfers_related_where_due")
        root.execute("ALTER TABLE ledger.transfers DROP CONSTRAINT IF EXISTS transfers_entries_paired")
    sealed.alter("transfers", change, "id = %s", transfers[3].id)
    assert await sealed.fault() == Fault(
        "seal.leaf", f"transfer {transfers[3].id} (leaf 3) is not what was sealed", transfers[3].id
    )


@pytest.mark.parametrize("chunk_blocks", [1, 64])
@pytest.mark.parametrize("place", [0, 1, 255, 256, 511, 767, 768, 799])
async def test_an_altered_transfer_is_named_wherever_it_stands(
    sealed: SealedBooks, log: list[Transfer], place: int, chunk_blocks: int
) -> None:
    sealed.alter("transfers", "amounts = ARRAY[7, -7]::bigint[]", "id = %s", log[place].id)
    fault = await sealed.fault(chunk_blocks=chunk_blocks)
    assert (fault.rule, fault.transfer_id) == ("seal.leaf", log[place].id)
    assert f"leaf {place}" in fault.detail


@pytest.mark.parametrize("chunk_blocks", [1, 64])
@pytest.mark.parametrize(
    ("first", "count"), [(0, 1), (1, 1), (255, 1), (256, 3), (500, 20), (767, 2), (798, 1), (790, 10)]
)
async def test_removed_transfers_are_placed_between_those_that_remain(
    sealed: SealedBooks, log: list[Transfer], first: int, count: int, chunk_blocks: int
) -> None:
    sealed.delete("transfers", "id = ANY (%s)", [one.id for one in log[first : first + count]])
    fault = await sealed.fault(chunk_blocks=chunk_blocks)
    assert fault.rule == "seal.removed"
    assert f"{count} transfer" in fault.detail
    assert f"leaf {first}" in fault.detail
    if first:
        assert f"after {log[first - 1].id}" in fault.detail
    if first + count < len(log):
        assert f"before {log[first + count].id}" in fault.detail


@pytest.mark.parametrize("chunk_blocks", [1, 64])
@pytest.mark.parametrize("place", [0, 1, 255, 256, 640, 767, 768, 799])
async def test_an_inserted_transfer_is_named(
    sealed: SealedBooks, log: list[Transfer], place: int, chunk_blocks: int
) -> None:
    before = log[place].id
    put_in = type(before)(int=before.int - 1)
    sealed.insert_transfer(log[0].id, put_in)
    fault = await sealed.fault(chunk_blocks=chunk_blocks)
    assert (fault.rule, fault.transfer_id) == ("seal.inserted", put_in)
    assert f"leaf {place}" in fault.detail


async def test_a_transfer_inserted_after_the_last_leaf_is_named(
    sealed: SealedBooks, log: list[Transfer]
) -> None:
    put_in = type(log[-1].id)(int=log[-1].id.int + 1)
    sealed.insert_transfer(log[0].id, put_in)
    fault = await sealed.fault()
    assert (fault.rule, fault.transfer_id) == ("seal.inserted", put_in)


async def test_a_transfer_moved_to_another_id_is_missed_where_it_was(
    sealed: SealedBooks, log: list[Transfer]
) -> None:
    sealed.alter("transfers", "id = %s", "id = %s", new_id(), log[10].id)
    fault = await sealed.fault()
    assert fault.rule == "seal.removed"
    assert f"after {log[9].id}, before {log[11].id}" in fault.detail


async def test_a_block_whose_leaves_were_altered_is_named(sealed: SealedBooks, log: list[Transfer]) -> None:
    sealed.alter("blocks", "leaves = set_byte(leaves, 40, get_byte(leaves, 40) # 1)", "number = 1")
    fault = await sealed.fault()
    assert fault == Fault("seal.block", "block 1 was altered: its root is not that of its leaves")


async def test_a_block_replaced_with_its_root_is_told_from_an_altered_transfer(
    sealed: SealedBooks, log: list[Transfer]
) -> None:
    forged = b"".join(leaf_hash(bytes([number])) for number in range(256))
    sealed.alter("blocks", "leaves = %s, root = %s", "number = 1", forged, complete_root(forged))
    fault = await sealed.fault()
    assert fault.rule == "seal.block"
    assert "block 1" in fault.detail
    assert fault.transfer_id is None


async def test_a_missing_block_is_named(sealed: SealedBooks, log: list[Transfer]) -> None:
    sealed.delete("blocks", "number = 1")
    assert (await sealed.fault()).detail == "block 1 is missing"


async def test_missing_blocks_at_the_end_are_found(sealed: SealedBooks, log: list[Transfer]) -> None:
    sealed.delete("blocks", "number = 2")
    fault = await sealed.fault()
    assert fault.rule == "seal.block"
    assert "missing after leaf 512" in fault.detail


async def test_a_block_that_names_other_transfers_is_named(sealed: SealedBooks, log: list[Transfer]) -> None:
    sealed.alter("blocks", "last_id = %s", "number = 0", log[254].id)
    assert "block 0 was altered: it names other transfers" in (await sealed.fault()).detail


@pytest.mark.parametrize("change", ["root = sha256('x')", None])
async def test_a_forged_or_missing_node_is_named(
    sealed: SealedBooks, log: list[Transfer], change: str | None
) -> None:
    if change is None:
        sealed.delete("nodes", "level = 1 AND number = 0")
    else:
        sealed.alter("nodes", change, "level = 1 AND number = 0")
    fault = await sealed.fault()
    assert (fault.rule, fault.detail) == ("seal.node", "node 0 of level 1 is not above its blocks")


@pytest.mark.parametrize(
    "change",
    [
        "size = 701",
        "root = sha256('x')",
        "sealed_before = gen_random_uuid()",
        "audit_seq = audit_seq + 1",
        "audit_digest = sha256('x')",
        "previous = sha256('x')",
        "made_at = made_at + interval '1 microsecond'",
        "signature = set_byte(signature, 0, get_byte(signature, 0) # 1)",
        "key_id = 'other'",
    ],
)
async def test_a_checkpoint_altered_in_any_column_is_named(
    sealed: SealedBooks, log: list[Transfer], change: str
) -> None:
    sealed.alter("checkpoints", change, "number = 2")
    fault = await sealed.fault()
    assert fault.rule == "seal.checkpoint"
    assert fault.detail.startswith("checkpoint 2 was forged: it")


async def test_leaves_of_a_checkpoint_that_were_altered_are_told_from_a_transfer(
    sealed: SealedBooks, log: list[Transfer]
) -> None:
    sealed.alter("checkpoints", "leaves = set_byte(leaves, 0, get_byte(leaves, 0) # 1)", "number = 3")
    fault = await sealed.fault()
    assert fault.rule == "seal.block"
    assert fault.detail == "the leaves in a checkpoint were replaced; the transfers are what was signed"


async def test_a_missing_checkpoint_is_named(sealed: SealedBooks, log: list[Transfer]) -> None:
    sealed.delete("checkpoints", "number = 2")
    assert (await sealed.fault()).detail == "checkpoint 2 is missing"


async def test_a_history_rewritten_with_everything_but_the_key_is_found(
    sealed: SealedBooks, log: list[Transfer]
) -> None:
    """The forger alters a transfer, takes tree and checkpoints away and seals anew with a key of his own."""
    sealed.alter("transfers", "amounts = ARRAY[7, -7]::bigint[]", "id = %s", log[9].id)
    for table in ("blocks", "nodes", "checkpoints", "seal_keys"):
        sealed.delete(table, "true")
    forger = service.Seals(sealed.books.ledger, KeyRing({"k1": bytes(32)}))
    async for _ in service.seal(forger, sealed.tenant_id):
        pass
    *_, last = await sealed.verify()
    assert isinstance(last, SealsVerified), "it is sound in itself: only the key tells"
    fault = await sealed.fault(keys=sealed.seals.keys)
    assert fault.rule == "seal.key"


async def test_a_public_key_put_over_another_is_found(sealed: SealedBooks, log: list[Transfer]) -> None:
    stranger = keys.generate(sealed.tenant_id)
    sealed.alter("seal_keys", "public_key = %s", "true", stranger.key.public_key)
    assert (await sealed.fault(keys=sealed.seals.keys)).rule == "seal.key"
    assert (await sealed.fault()).rule == "seal.checkpoint"


async def test_verification_goes_on_while_others_post_and_seal(
    sealed: SealedBooks, log: list[Transfer]
) -> None:
    said = verify_seals(sealed.books.ledger, sealed.tenant_id)
    first = await anext(said)
    assert first == SealsVerified(768, 800, 2)
    await sealed.post(300)
    await sealed.seal()
    rest = [one async for one in said]
    assert not [one for one in rest if isinstance(one, Fault)]
    assert rest[-1] == SealsVerified(1024, 1024, 3)
    await sealed.assert_sound(1100)
