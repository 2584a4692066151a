"""What goes wrong in a ledger that locks too little: tried on raw connections, one step at a time.

Each of these fails, as a test does, where the anomaly happens. They are run on the ledger as it is, and on
ledgers with a check taken out (test_mutations.py).
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.errors import InvalidParameterValue, LockNotAvailable

from florin.kernel.errors import Refusal
from florin.kernel.ids import new_id
from florin.ledger.errors import ExpiryInThePast
from florin.ledger.model import AccountType, Posted, Posting
from florin.ledger.posting import POST
from tests.conftest import AllDatabaseUrls
from tests.ledger.books import Books, fresh_key, holding, legs, posting

Row = tuple[Any, ...]


class Client:
    """A connection as the API's, in a transaction that its owner ends."""

    def __init__(self, urls: AllDatabaseUrls, tenant_id: int) -> None:
        self.connection = psycopg.connect(urls.app)
        self.tenant_id = tenant_id
        self.connection.execute(f"SET LOCAL app.tenant_id = {tenant_id}".encode())

    def post(self, *items: Posting) -> list[Posted | Exception]:
        """Calls ledger.post once, with all of them."""
        rows = self.connection.execute(
            POST.statement.encode(), (self.tenant_id, *POST.encode(items))
        ).fetchall()
        return list(POST.decode(items, rows))

    def later(self, *items: Posting) -> "Later":
        """The same in a thread of its own: it may have to wait."""
        return Later(self, items)

    def commit(self) -> None:
        """Ends the transaction."""
        self.connection.commit()


@contextmanager
def clients(urls: AllDatabaseUrls, books: Books, count: int = 1) -> Iterator[list[Client]]:
    """So many clients; what they have not committed is rolled back in the end."""
    made = [Client(urls, books.tenant_id) for _ in range(count)]
    try:
        yield made
    finally:
        for client in made:
            client.connection.close()


class Later:
    """A call that is under way."""

    def __init__(self, client: Client, items: Sequence[Posting]) -> None:
        self.answers: list[Posted | Exception] = []
        self.error: BaseException | None = None
        self._client, self._items = client, items
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.answers = self._client.post(*self._items)
            self._client.commit()
        except psycopg.Error as error:
            self.error = error

    def waits(self, seconds: float = 0.3) -> bool:
        """Whether it is still waiting after so long."""
        self._thread.join(seconds)
        return self._thread.is_alive()

    def result(self) -> list[Posted | Exception]:
        """What it was answered."""
        self._thread.join(20)
        assert not self._thread.is_alive(), "it waits for ever"
        assert self.error is None, self.error
        return self.answers


def root(urls: AllDatabaseUrls, books: Books, statement: str, *values: object) -> list[Row]:
    """A statement of the superuser, in the tenant's context."""
    with psycopg.connect(urls.root, autocommit=True) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, false)", (str(books.tenant_id),))
        cursor = connection.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []


async def lost_update(books: Books, urls: AllDatabaseUrls) -> None:
    """Two clients read the same balance and both write what they made of it."""
    cash, wallet = await books.open(AccountType.ASSET), await books.open()
    with clients(urls, books, 2) as (first, second):
        first.post(posting((cash, 100), (wallet, -100)))
        late = second.later(posting((cash, 10), (wallet, -10)))
        waited = late.waits()
        first.commit()
        (answer,) = late.result()
    assert waited, "the second did not wait for the first"
    assert isinstance(answer, Posted)
    assert answer.balances_before == [100, 100]
    assert (await books.balance(cash)).balance_minor == 110
    await books.assert_sound()


async def write_skew(books: Books, urls: AllDatabaseUrls) -> None:
    """Each of two clients leaves its own account in order; together they break the rule that both share."""
    cash, one, other = await books.open(AccountType.ASSET), await books.open(), await books.open()
    share(books, urls, [one, other], lowest=0)
    shops = await books.open(), await books.open()
    with clients(urls, books, 3) as (funding, first, second):
        funding.post(posting((cash, 100), (one, -60), (other, -40)))
        funding.commit()
        # 100 in all. Each takes 70 from its own account: either alone is right, both are not.
        (taken,) = first.post(posting((one, 70), (shops[0], -70)))
        assert isinstance(taken, Posted)
        late = second.later(posting((other, 70), (shops[1], -70)))
        waited = late.waits()
        first.commit()
        (answer,) = late.result()
    assert waited, "the second did not look at what the two share"
    assert isinstance(answer, Refusal)
    assert answer.code == "shared_limit_exceeded"
    balances = [(await books.balance(account)).balance_minor for account in (one, other)]
    assert balances == [-10, 40]


def share(books: Books, urls: AllDatabaseUrls, accounts: list[UUID], *, lowest: int) -> UUID:
    """Lets empty credit accounts in USD share a limit."""
    limit_id = new_id()
    root(
        urls, books,
        "INSERT INTO ledger.limits (tenant_id, id, name, side, currency, min_balance, created_at)"
        " VALUES (%s, %s, %s, 'credit', 'USD', %s, now())",
        books.tenant_id, limit_id, str(limit_id), lowest,
    )  # fmt: skip
    root(
        urls, books, "UPDATE ledger.accounts SET limit_id = %s WHERE tenant_id = %s AND id = ANY (%s)",
        limit_id, books.tenant_id, accounts,
    )  # fmt: skip
    return limit_id


async def time_goes_back(books: Books, urls: AllDatabaseUrls) -> None:
    """The clock is set back, and entries are recorded before those that they follow."""
    cash, wallet = await books.open(AccountType.ASSET), await books.open()
    ahead = datetime.now(UTC) + timedelta(hours=1)
    root(urls, books, "UPDATE ledger.accounts SET last_entry_at = %s WHERE id = %s", ahead, wallet)
    with clients(urls, books) as (client,):
        (answer,) = client.post(posting((cash, 5), (wallet, -5)))
        client.commit()
    assert isinstance(answer, Posted)
    assert answer.recorded_at == ahead
    assert [entry.recorded_at for entry in await books.entries(wallet)] == [ahead]
    ((last,),) = root(urls, books, "SELECT last_entry_at FROM ledger.accounts WHERE id = %s", cash)
    assert last == ahead


async def a_door_left_open(books: Books, urls: AllDatabaseUrls) -> None:
    """A period is closed while somebody who found it open is still posting into it."""
    cash, wallet = await books.open(AccountType.ASSET), await books.open()
    with clients(urls, books, 2) as (inside, closer):
        inside.post(posting((cash, 5), (wallet, -5)))
        closer.connection.execute("SET LOCAL lock_timeout = '200ms'")
        with refused_as(LockNotAvailable):
            closer.connection.execute("SELECT ledger.shut(%s)", (books.tenant_id,))


async def an_id_from_before_the_seal(books: Books, urls: AllDatabaseUrls) -> None:
    """A transfer slips in among those that have been sealed."""
    cash, wallet = await books.open(AccountType.ASSET), await books.open()
    early = posting((cash, 5), (wallet, -5))
    sealed = new_id()
    root(
        urls, books, "INSERT INTO ledger.books (tenant_id, sealed_before) VALUES (%s, %s)",
        books.tenant_id, sealed,
    )  # fmt: skip
    for replayed in (False, True):
        with clients(urls, books) as (client,):
            (answer,) = client.post(early)
            client.commit()
        assert isinstance(answer, Posted)
        assert answer.transfer_id >= sealed
        assert answer.replayed is replayed
    (entry,) = await books.entries(cash)
    assert isinstance(answer, Posted)
    assert entry.transfer_id == answer.transfer_id


async def a_hold_that_begins_expired(books: Books, urls: AllDatabaseUrls) -> None:
    """A hold reserves although its time has passed."""
    cash, wallet = await books.open(AccountType.ASSET), await books.open()
    overdue = datetime.now(UTC) - timedelta(seconds=1)
    with clients(urls, books) as (client,):
        (answer,) = client.post(holding((cash, 5), (wallet, -5), expires_at=overdue))
    assert isinstance(answer, ExpiryInThePast)


async def a_date_that_is_forgotten(books: Books, urls: AllDatabaseUrls) -> None:
    """An entry counts at another time, and its account does not know that it has such entries."""
    cash, wallet, other = await books.open(AccountType.ASSET), await books.open(), await books.open()
    then = datetime(2024, 2, 29, tzinfo=UTC)
    with clients(urls, books) as (client,):
        client.post(
            Posting(new_id(), fresh_key(), legs((cash, 5), (wallet, -5)), effective_at=then),
            posting((cash, 5), (other, -5)),
        )
        client.commit()
    rows = root(urls, books, "SELECT id, dated FROM ledger.accounts WHERE tenant_id = %s", books.tenant_id)
    assert dict(rows) == {cash: True, wallet: True, other: False}
    rows = root(
        urls, books, "SELECT effective_at FROM ledger.entries WHERE tenant_id = %s AND account_id = %s"
        " ORDER BY seq", books.tenant_id, cash,
    )  # fmt: skip
    assert rows == [(then,), (None,)]


async def accounts_out_of_order(books: Books, urls: AllDatabaseUrls) -> None:
    """Accounts are locked in another order than everybody else locks them: sooner or later a deadlock."""
    cash, wallet = await books.open(AccountType.ASSET), await books.open()
    item = posting((cash, 5), (wallet, -5))
    encoded = list(POST.encode([item]))
    ascending = str(encoded[9])
    encoded[9] = "{" + ",".join(reversed(ascending[1:-1].split(","))) + "}"
    with clients(urls, books) as (client,), refused_as(InvalidParameterValue):
        client.connection.execute(POST.statement.encode(), (books.tenant_id, *encoded))


@contextmanager
def refused_as(kind: type[psycopg.Error]) -> Any:
    """Fails unless the database refuses with this error."""
    try:
        yield
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")


async def another_tenants_books(books: Books, urls: AllDatabaseUrls) -> None:
    """A transaction of one tenant posts for another."""
    cash, wallet = await books.open(AccountType.ASSET), await books.open()
    with clients(urls, books) as (client,), refused_as(psycopg.errors.InsufficientPrivilege):
        client.connection.execute(f"SET LOCAL app.tenant_id = {books.tenant_id + 1}".encode())
        client.post(posting((cash, 5), (wallet, -5)))


ANOMALIES = (
    lost_update,
    write_skew,
    time_goes_back,
    a_door_left_open,
    an_id_from_before_the_seal,
    a_hold_that_begins_expired,
    a_date_that_is_forgotten,
    accounts_out_of_order,
    another_tenants_books,
)
