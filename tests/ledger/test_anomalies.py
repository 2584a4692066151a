"""None of the anomalies happens."""

from collections.abc import Awaitable, Callable

import pytest

from tests.conftest import AllDatabaseUrls
from tests.ledger.anomalies import ANOMALIES
from tests.ledger.books import Books


@pytest.mark.parametrize("anomaly", ANOMALIES, ids=lambda one: one.__name__)
async def test_it_does_not_happen(
    anomaly: Callable[[Books, AllDatabaseUrls], Awaitable[None]], books: Books, database_urls: AllDatabaseUrls
) -> None:
    await anomaly(books, database_urls)
