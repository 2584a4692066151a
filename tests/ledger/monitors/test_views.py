"""A posting that crosses a threshold arrives as a webhook, once."""

from collections.abc import AsyncIterator

import pytest

from florin.kernel.crypto import KeyRing
from florin.kernel.ids import encode_id
from florin.kernel.notify import Notifier
from florin.kernel.outbound import Confinement
from florin.ledger.monitors.model import Comparison
from florin.webhooks.receiver import Receiver
from florin.webhooks.service import Webhooks
from tests.ledger.books import Books, posting
from tests.ledger.monitors.watching import cash_and_wallet, watch
from tests.webhooks.conftest import World, served


@pytest.fixture
async def world(books: Books) -> AsyncIterator[World]:
    """The books' tenant, with a receiver of webhooks."""
    database = books.ledger.database
    keys = KeyRing({"k1": bytes(range(32))})
    webhooks = Webhooks(database, Notifier(database), keys, Confinement(allow_private=True))
    receiver = Receiver([])
    async with served(receiver.app) as url:
        yield World(webhooks, books.tenant_id, receiver, url + "/")


async def test_a_posting_across_the_threshold_delivers_one_webhook(books: Books, world: World) -> None:
    cash, wallet = await cash_and_wallet(books)
    monitor = await watch(books, wallet, 100, Comparison.ABOVE)
    await world.endpoint("balance_monitor.*")
    for amount in (100, 1, 1):
        posted = await books.ledger.posting.call(books.tenant_id, posting((cash, amount), (wallet, -amount)))
        if amount == 1 and (await books.balance(wallet)).balance_minor == 101:
            crossing = posted
    async with world.delivering():
        assert [status for _, _, status, _ in await world.settled()] == ["delivered"]
    (received,) = world.receiver.received
    assert received["event"]["type"] == "balance_monitor.triggered"
    assert received["event"]["data"]["object"] == {
        "id": encode_id("mon", monitor.id),
        "object": "balance_monitor",
        "account": encode_id("acct", wallet),
        "transfer": encode_id("tr", crossing.transfer_id),
        "name": "low",
        "metric": "balance",
        "comparison": "above",
        "threshold": 100,
        "holds": True,
        "value": 101,
        "previous_value": 100,
        "balance": 101,
        "available": 101,
    }
