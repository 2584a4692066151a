"""Books with seals: quick ways to post many transfers, to seal at once, and to tamper."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from florin.kernel.crypto import KeyRing
from florin.ledger import service as ledger_service
from florin.ledger.model import Posting, Transfer
from florin.ledger.proof.model import Fault
from florin.ledger.seals import service
from florin.ledger.seals.model import Sealed, SealsVerified
from florin.ledger.seals.service import Seals
from florin.ledger.seals.verify import verify_seals
from tests.conftest import AllDatabaseUrls
from tests.ledger.books import Books, posting

NOW = timedelta(0)


@dataclass
class SealedBooks:
    """One tenant's books, and what seals them."""

    seals: Seals
    books: Books
    root_url: str

    @property
    def tenant_id(self) -> int:
        """Whose they are."""
        return self.books.tenant_id

    async def post(self, count: int) -> list[Transfer]:
        """So many transfers between two fresh accounts, in the order of their ids."""
        one, other = await self.books.open(), await self.books.open()
        answers = await ledger_service.post_transfers(
            self.books.ledger,
            self.tenant_id,
            [posting((one, number + 1), (other, -number - 1)) for number in range(count)],
        )
        posted = [answer for answer in answers if isinstance(answer, Transfer)]
        assert len(posted) == count
        return sorted(posted, key=lambda transfer: transfer.id)

    async def post_one(self, wanted: Posting) -> Transfer:
        """One transfer."""
        return await ledger_service.post_transfer(self.books.ledger, self.tenant_id, wanted)

    async def seal(self, **options: Any) -> list[Sealed]:
        """Seals all that is posted by now."""
        steps = service.seal(self.seals, self.tenant_id, grace=NOW, **options)
        return [step async for step in steps]

    async def verify(self, **options: Any) -> list[SealsVerified | Fault]:
        """What verification says."""
        said = verify_seals(self.books.ledger, self.tenant_id, **options)
        return [one async for one in said]

    async def fault(self, **options: Any) -> Fault:
        """The one fault that verification ends with."""
        *_, last = await self.verify(**options)
        assert isinstance(last, Fault), "nothing was found"
        return last

    async def assert_sound(self, leaves: int) -> None:
        """Verification comes to the end of so many leaves and finds nothing."""
        *_, last = await self.verify(keys=self.seals.keys)
        assert isinstance(last, SealsVerified), last
        assert last.leaves == last.of == leaves

    @contextmanager
    def tampering(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """A superuser's connection, past row-level security, with triggers off."""
        with psycopg.connect(self.root_url, autocommit=True) as root:
            root.execute("SET session_replication_role = replica")
            yield root

    def alter(self, table: str, change: str, where: str, *values: object) -> None:
        """Changes one of the tenant's rows behind everybody's back."""
        with self.tampering() as root:
            done = root.execute(
                f"UPDATE ledger.{table} SET {change} WHERE tenant_id = {self.tenant_id} AND {where}".encode(),
                values,
            )
            assert done.rowcount == 1

    def delete(self, table: str, where: str, *values: object) -> None:
        """Takes rows out behind everybody's back."""
        with self.tampering() as root:
            done = root.execute(
                f"DELETE FROM ledger.{table} WHERE tenant_id = {self.tenant_id} AND {where}".encode(), values
            )
            assert done.rowcount > 0

    def insert_transfer(self, like: UUID, new_id: UUID) -> None:
        """Puts in a transfer behind everybody's back."""
        with self.tampering() as root:
            root.execute(
                "INSERT INTO ledger.transfers"
                " (tenant_id, id, kind, recorded_at, account_ids, amounts, entry_seqs)"
                " SELECT tenant_id, %s, kind, recorded_at, account_ids, amounts, entry_seqs"
                " FROM ledger.transfers WHERE tenant_id = %s AND id = %s",
                (new_id, self.tenant_id, like),
            )


@pytest.fixture
async def sealed(books: Books, database_urls: AllDatabaseUrls) -> AsyncIterator[SealedBooks]:
    """A tenant of the test's own, with nothing sealed."""
    ring = KeyRing({"k1": bytes(range(32))})
    yield SealedBooks(Seals(books.ledger, ring), books, database_urls.root)
