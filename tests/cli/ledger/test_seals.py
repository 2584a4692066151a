"""`florin ledger`: seal, prove, verify offline."""

import json
from pathlib import Path

import pytest

from florin.cli.ledger.books import open_books
from florin.kernel.ids import encode_id
from florin.kernel.settings import Settings
from florin.ledger import service
from florin.ledger.model import AccountType, NewAccount, Transfer
from tests.cli.conftest import Command
from tests.ledger.books import posting


async def post(florin: Command, count: int) -> list[str]:
    """So many transfers on ACME's test books; their ids."""
    settings = Settings(data_dir=florin.data_dir, pg_shared_buffers="64MB")
    async with open_books(settings, "ACME", live=False) as books:
        accounts = [
            await service.open_account(
                books.ledger,
                books.tenant_id,
                NewAccount(f"{encode_id('tr', posting().id)}", "Test", AccountType.LIABILITY, "USD"),
            )
            for _ in range(2)
        ]
        one, other = (account.id for account in accounts)
        posted = await service.post_transfers(
            books.ledger, books.tenant_id, [posting((one, 5), (other, -5)) for _ in range(count)]
        )
    return sorted(encode_id("tr", answer.id) for answer in posted if isinstance(answer, Transfer))


@pytest.fixture(scope="module")
async def acme(florin: Command) -> Command:
    """A migrated platform with a tenant."""
    assert florin("migrate").returncode == 0
    made = florin("tenants", "create", "ACME", "--name", "Acme", "--email", "ops@acme.example")
    assert made.returncode == 0, made.stderr
    return florin


async def test_seals_proofs_and_their_offline_verification(acme: Command, tmp_path: Path) -> None:
    books = ("--tenant", "ACME")
    assert "nothing new" in acme("ledger", "seal", *books).stdout
    transfers = await post(acme, 300)
    sealed = acme("ledger", "seal", *books, "--grace", "0")
    assert sealed.stdout == "checkpoint 1: 300 transfers sealed\n", sealed.stderr
    await post(acme, 5)
    assert "305 transfers" in acme("ledger", "seal", *books, "--grace", "0").stdout

    listed = json.loads(acme("ledger", "checkpoints", *books, "--json").stdout)
    assert [one["size"] for one in listed] == [305, 300]
    assert "305" in acme("ledger", "checkpoints", *books, "--limit", "1").stdout

    (key,) = json.loads(acme("ledger", "seal-keys", *books, "--json").stdout)
    key_file = tmp_path / "key"
    key_file.write_text(key["verifier_key"])
    proof = tmp_path / "proof.json"
    proof.write_text(acme("ledger", "proof", transfers[0], *books, "--size", "300").stdout)

    nowhere = {
        "FLORIN_DATA_DIR": str(tmp_path / "none"),
        "FLORIN_DATABASE_URL": "postgresql://nobody.invalid/x",
    }
    for given in (str(key_file), key["public_key"], key["verifier_key"]):
        verified = acme("ledger", "verify-proof", str(proof), "--key", given, **nowhere)
        assert verified.returncode == 0, verified.stderr
        assert f"{transfers[0]} is transfer 0 of the 300 sealed" in verified.stdout
        assert "amounts 5 -5" in verified.stdout
    assert not (tmp_path / "none").exists()

    proof.write_text(proof.read_text().replace("amounts 5 -5", "amounts 6 -6"))
    refused = acme("ledger", "verify-proof", str(proof), "--key", str(key_file))
    assert refused.returncode == 1
    assert "does not hold" in refused.stderr
    assert acme("ledger", "verify-proof", str(proof), "--key", "nonsense").returncode == 2
    assert acme("ledger", "verify-proof", str(tmp_path / "no"), "--key", str(key_file)).returncode == 2

    growth = tmp_path / "growth.json"
    growth.write_text(acme("ledger", "consistency", "300", "305", *books).stdout)
    continued = acme("ledger", "verify-consistency", str(growth), "--key", str(key_file), **nowhere)
    assert continued.returncode == 0, continued.stderr
    assert "nothing before it has changed" in continued.stdout

    assert len(acme("ledger", "seal-keys", *books, "--rotate").stdout.splitlines()) == 2
    wrong = acme("ledger", "proof", "tr_nonsense", *books)
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr
    unknown = acme("ledger", "consistency", "1", "305", *books)
    assert (unknown.returncode, "no checkpoint has 1 leaves" in unknown.stderr) == (2, True)
