"""Books that are written set-based are as sound as those that postings leave."""

import asyncio

from florin.cli.bench.full_books import fill
from florin.ledger import service
from florin.ledger.proof.verify import plan_verification, verify
from tests.ledger.books import Books, posting


async def test_filled_books_are_sound_and_can_be_posted_to_and_filled_again(books: Books) -> None:
    accounts = [await books.open() for _ in range(5)]
    database, tenant_id = books.ledger.database, books.tenant_id
    told: list[int] = []
    assert await fill(database, tenant_id, accounts, 25, told.append) == 250
    assert told == [200, 250]
    await asyncio.sleep(0.01)
    transfer = posting((accounts[0], 7), (accounts[3], -7))
    posted = await service.post_transfer(books.ledger, tenant_id, transfer)
    assert [one.seq for one in posted.entries] == [51, 51]
    assert await fill(database, tenant_id, accounts, 3) == 30
    assert await verify(books.ledger, await plan_verification(books.ledger, tenant_id)) == []
    await books.assert_sound()
    assert (await books.balance(accounts[3])).balance_minor == 7
    assert (await books.balance(accounts[0])).entry_seq == 57
