"""The chart binds the accounts below its nodes: types, currencies, bounds, clearing."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from florin.kernel.errors import Refusal
from florin.ledger import service as ledger_service
from florin.ledger.chart import service
from florin.ledger.chart.errors import (
    ChartConflict,
    ChartFull,
    ChartNodeExists,
    ChartNodeNotFound,
)
from florin.ledger.chart.model import ChartNode, Template
from florin.ledger.errors import (
    AccountCodeReserved,
    BalanceAboveMaximum,
    BoundsOutOfOrder,
    CurrencyOfClass,
    CurrencyUnknown,
    InsufficientFunds,
    TypeOfClass,
)
from florin.ledger.model import Account, AccountType, Direction, MatchBy, NewAccount, SystemAccount
from florin.ledger.service import Ledger
from tests.conftest import AllDatabaseUrls
from tests.ledger.books import Books, posting
from tests.ledger.conftest import new_tenant

LIABILITY, ASSET = AccountType.LIABILITY, AccountType.ASSET


async def node(books: Books, code: str, type_: AccountType = LIABILITY, **more: Any) -> ChartNode:
    return await service.create_node(books.ledger, books.tenant_id, ChartNode(code, code, type_, **more))


async def opened(books: Books, code: str, type_: AccountType = LIABILITY, **more: Any) -> Account:
    new = NewAccount(code, code, type_, more.pop("currency", "USD"), **more)
    return await ledger_service.open_account(books.ledger, books.tenant_id, new)


async def bounds(books: Books, account_id: UUID) -> tuple[int | None, int | None]:
    found = await ledger_service.account(books.ledger, books.tenant_id, account_id)
    return found.effective_min_minor, found.effective_max_minor


async def move(books: Books, debit: UUID, credit: UUID, amount: int) -> None:
    item = posting((debit, amount), (credit, -amount))
    await ledger_service.post_transfer(books.ledger, books.tenant_id, item)


async def test_accounts_have_the_tightest_bounds_of_their_own_and_of_all_classes_above(books: Books) -> None:
    await node(books, "wallet", currency="USD", min_balance_minor=0, max_balance_minor=1000)
    await node(books, "wallet:small", currency="USD", min_balance_minor=-5, max_balance_minor=100)
    plain = await opened(books, "wallet:1")
    small = await opened(books, "wallet:small:1", min_balance_minor=-50, max_balance_minor=60)
    beside = await opened(books, "wallet-1")
    assert (plain.effective_min_minor, plain.effective_max_minor) == (0, 1000)
    assert (small.min_balance_minor, small.max_balance_minor) == (-50, 60)
    assert (small.effective_min_minor, small.effective_max_minor) == (0, 60)
    assert (beside.effective_min_minor, beside.effective_max_minor) == (None, None)

    change = ledger_service.change_account
    changed = await change(books.ledger, books.tenant_id, small.id, max_balance_minor=None)
    assert (changed.max_balance_minor, changed.effective_max_minor) == (None, 100)
    await service.delete_node(books.ledger, books.tenant_id, "wallet:small")
    assert await bounds(books, small.id) == (0, 1000)
    loosened = {"min_balance_minor": None, "max_balance_minor": 500}
    await service.change_node(books.ledger, books.tenant_id, "wallet", loosened)  # type: ignore[arg-type]
    assert await bounds(books, small.id) == (-50, 500)
    assert await bounds(books, plain.id) == (None, 500)


async def test_bounds_of_a_class_are_enforced_by_postings_and_only_towards_them(books: Books) -> None:
    cash, wallet = await books.open(ASSET), (await opened(books, "wallet:1")).id
    await move(books, cash, wallet, 300)
    await node(books, "wallet", currency="USD", min_balance_minor=0, max_balance_minor=200)
    with pytest.raises(BalanceAboveMaximum):
        await move(books, cash, wallet, 1)
    await move(books, wallet, cash, 250)
    with pytest.raises(InsufficientFunds):
        await move(books, wallet, cash, 51)
    await move(books, wallet, cash, 50)


async def test_an_account_of_another_type_or_currency_than_its_class_is_refused(books: Books) -> None:
    await node(books, "cash:usd", ASSET, currency="USD")
    with pytest.raises(TypeOfClass) as refused:
        await opened(books, "cash:usd:1")
    assert refused.value.param == "type"
    with pytest.raises(CurrencyOfClass):
        await opened(books, "cash:usd", ASSET, currency="EUR")
    await opened(books, "cash:eur", LIABILITY, currency="EUR")
    with pytest.raises(BoundsOutOfOrder):
        await opened(books, "x", min_balance_minor=2, max_balance_minor=1)
    await node(books, "capped", max_balance_minor=0)
    with pytest.raises(BoundsOutOfOrder):
        await opened(books, "capped:1", min_balance_minor=1)
    account = await opened(books, "capped:1")
    with pytest.raises(BoundsOutOfOrder, match="capped") as crossing:
        await ledger_service.change_account(books.ledger, books.tenant_id, account.id, min_balance_minor=1)
    assert crossing.value.param == "min_balance"


@pytest.mark.parametrize(
    ("new", "refusal", "named"),
    [
        (ChartNode("a:b:c", "x", ASSET), TypeOfClass, "a:b"),
        (ChartNode("a", "x", ASSET), TypeOfClass, "a:b"),
        (ChartNode("a:b", "x", LIABILITY), ChartNodeExists, "a:b"),
        (ChartNode("a", "x", LIABILITY, "EUR"), CurrencyOfClass, "a:b"),
        (ChartNode("a:b:c", "x", LIABILITY, "USD", 101), BoundsOutOfOrder, "a:b"),
        (ChartNode("a", "x", LIABILITY, "USD", None, -1), BoundsOutOfOrder, "a:b"),
        (ChartNode("z", "x", LIABILITY, "USD", 2, 1), BoundsOutOfOrder, "bound"),
        (ChartNode("z", "x", LIABILITY, None, 1), CurrencyUnknown, "currency"),
        (ChartNode("z", "x", LIABILITY, "XAU"), CurrencyUnknown, "XAU"),
        (ChartNode("free", "x", ASSET), ChartConflict, "free:1"),
        (ChartNode("free", "x", LIABILITY, "EUR"), ChartConflict, "free:1"),
        (ChartNode("free", "x", LIABILITY, "USD", None, 9), BoundsOutOfOrder, "free:1"),
        (ChartNode("provider", "x", LIABILITY), AccountCodeReserved, "provider"),
        (ChartNode("provider:a:receivable", "x", ASSET, "USD"), AccountCodeReserved, "provider"),
        (ChartNode("fx", "x", AccountType.EQUITY), AccountCodeReserved, "fx:rounding"),
    ],
)
async def test_a_node_that_contradicts_what_is_there_is_refused_by_its_name(
    books: Books, new: ChartNode, refusal: type[Refusal], named: str
) -> None:
    await node(books, "a:b", currency="USD", min_balance_minor=0, max_balance_minor=100)
    await opened(books, "free:1", min_balance_minor=10)
    before = await service.tree(books.ledger, books.tenant_id)
    with pytest.raises(refusal, match=named):
        await service.create_node(books.ledger, books.tenant_id, new)
    assert await service.tree(books.ledger, books.tenant_id) == before


async def test_a_node_is_changed_read_and_deleted(books: Books) -> None:
    made = await node(books, "bank/zar:main", ASSET)
    await opened(books, "bank/zar:main:1", ASSET, currency="ZAR")
    change = service.change_node
    with pytest.raises(ChartConflict):
        await change(books.ledger, books.tenant_id, made.code, {"type": LIABILITY})
    with pytest.raises(ChartConflict):
        await change(books.ledger, books.tenant_id, made.code, {"currency": "USD"})
    with pytest.raises(BoundsOutOfOrder):
        await change(
            books.ledger,
            books.tenant_id,
            made.code,
            {"min_balance_minor": 0, "max_balance_minor": -1, "currency": "ZAR"},
        )
    changed = await change(
        books.ledger, books.tenant_id, made.code, {"name": "Main", "clears_within": timedelta(days=2)}
    )
    assert changed == await service.node(books.ledger, books.tenant_id, made.code)
    assert (changed.name, changed.type, changed.created_at) == ("Main", ASSET, made.created_at)
    await service.delete_node(books.ledger, books.tenant_id, made.code)
    for gone in (service.node, service.delete_node):
        with pytest.raises(ChartNodeNotFound):
            await gone(books.ledger, books.tenant_id, made.code)
    with pytest.raises(ChartNodeNotFound):
        await change(books.ledger, books.tenant_id, made.code, {"name": "x"})


async def test_a_chart_does_not_grow_without_end(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_NODES", 1)
    await node(books, "a")
    with pytest.raises(ChartFull):
        await node(books, "b")


async def test_clearing_is_declared_by_the_account_or_by_the_nearest_class(books: Books) -> None:
    await node(books, "t", ASSET, clears_within=timedelta(days=7), match_by=MatchBy.CORRELATION)
    await node(books, "t:quick", ASSET, clears_within=timedelta(hours=12))
    await node(books, "t:quick:header", ASSET)

    async def declared(code: str, **more: Any) -> tuple[timedelta | None, MatchBy, str | None]:
        found = await opened(books, code, ASSET, **more)
        return found.clears_within, found.match_by, found.clearing_class

    assert await declared("t:1") == (timedelta(days=7), MatchBy.CORRELATION, "t")
    assert await declared("t:quick:header:1") == (timedelta(hours=12), MatchBy.ORDER, "t:quick")
    own = {"clears_within": timedelta(days=1)}
    assert await declared("t:own", **own) == (timedelta(days=1), MatchBy.ORDER, None)
    assert await declared("elsewhere") == (None, MatchBy.ORDER, None)


async def test_a_template_that_contradicts_an_account_is_refused_as_a_whole(books: Books) -> None:
    await opened(books, "b:1", LIABILITY, max_balance_minor=-1)
    nodes = (ChartNode("a", "A", ASSET), ChartNode("b", "B", ASSET))
    with pytest.raises(ChartConflict, match="b:1"):
        await service.apply_template(books.ledger, books.tenant_id, Template("t", "T", nodes))
    bound = (ChartNode("a", "A", ASSET), ChartNode("b", "B", LIABILITY, "USD", 0))
    with pytest.raises(ChartConflict, match=r"^b: .*b:1"):
        await service.apply_template(books.ledger, books.tenant_id, Template("t", "T", bound))
    assert await service.tree(books.ledger, books.tenant_id) == []


async def test_balances_are_summed_by_node_by_segment_and_by_currency(books: Books) -> None:
    for code in ("w", "w:b", "w:b:deep", "w:empty"):
        await node(books, code)
    cash = {currency: await books.open(ASSET, currency) for currency in ("USD", "EUR")}
    accounts = {
        code: (await opened(books, code, currency=currency)).id
        for code, currency in [
            ("w", "USD"),
            ("w:a:1", "USD"),
            ("w:b:1", "EUR"),
            ("w:b:deep:1", "USD"),
            ("w-x", "USD"),
        ]
    }
    for code, amount in (("w", 1), ("w:a:1", 20), ("w:b:deep:1", 300), ("w-x", 4000)):
        await move(books, cash["USD"], accounts[code], amount)
    await move(books, accounts["w:b:1"], cash["EUR"], 7)

    found = await service.tree(books.ledger, books.tenant_id, under="w")
    assert [(one.node.code, one.depth, one.totals) for one in found] == [
        ("w", 0, (("EUR", 7, 0, 1), ("USD", 0, 321, 3))),
        ("w:b", 1, (("EUR", 7, 0, 1), ("USD", 0, 300, 1))),
        ("w:b:deep", 2, (("USD", 0, 300, 1),)),
        ("w:empty", 1, ()),
    ]
    bare = await service.tree(books.ledger, books.tenant_id, under="w:b", totals=False)
    assert [(one.node.code, one.depth, one.totals) for one in bare] == [("w:b", 0, ()), ("w:b:deep", 1, ())]

    rolled = await service.roll_up(books.ledger, books.tenant_id, "w")
    assert rolled.side is Direction.CREDIT
    assert rolled.totals == (("EUR", 7, 0, 1), ("USD", 0, 321, 3))
    assert [(child.code, child.totals) for child in rolled.children] == [
        ("w:a", (("USD", 0, 20, 1),)),
        ("w:b", (("EUR", 7, 0, 1), ("USD", 0, 300, 1))),
    ]
    assert not rolled.more_children
    cut = await service.roll_up(books.ledger, books.tenant_id, "w", max_children=2)
    assert (cut.children, cut.more_children) == (rolled.children[:1], True)
    nobody = await service.roll_up(books.ledger, books.tenant_id, "nobody")
    assert (nobody.totals, nobody.children) == ((), ())
    without_node = await service.roll_up(books.ledger, books.tenant_id, "w-x")
    assert without_node.side is Direction.CREDIT


async def test_whoever_changes_the_chart_is_recorded_with_a_reason(books: Books) -> None:
    made = await node(books, "a")
    await service.delete_node(books.ledger, books.tenant_id, made.code)
    async with books.ledger.database.tenant(books.tenant_id) as connection:
        rows = await (
            await connection.execute("SELECT action FROM audit.log WHERE entity_type = 'chart' ORDER BY seq")
        ).fetchall()
    assert rows == [("created",), ("deleted",)]


BOUND = st.none() | st.integers(-3, 3)
CODES = ("a", "a:b", "a:b:c", "a:b:c:d", "a:x", "b")
STEPS = st.lists(
    st.tuples(st.sampled_from(("node", "account", "drop")), st.sampled_from(CODES), BOUND, BOUND),
    min_size=1,
    max_size=14,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_whatever_is_changed_each_account_has_the_bounds_that_a_model_gives_it(
    ledger: Ledger, database_urls: AllDatabaseUrls, steps: list[tuple[str, str, int | None, int | None]]
) -> None:
    books = Books(ledger, new_tenant(database_urls.root))
    nodes: dict[str, tuple[int | None, int | None]] = {}
    accounts: dict[str, tuple[int | None, int | None]] = {}
    ids: dict[str, UUID] = {}
    for what, code, lowest, highest in steps:
        own: dict[str, Any] = {"min_balance_minor": lowest, "max_balance_minor": highest}
        try:
            if what == "drop":
                await service.delete_node(ledger, books.tenant_id, code)
                del nodes[code]
            elif what == "node":
                if code in nodes:
                    await service.change_node(ledger, books.tenant_id, code, own)  # type: ignore[arg-type]
                else:
                    await node(books, code, currency="USD", **own)
                nodes[code] = lowest, highest
            else:
                if code in ids:
                    await ledger_service.change_account(ledger, books.tenant_id, ids[code], **own)
                else:
                    ids[code] = (await opened(books, code, **own)).id
                accounts[code] = lowest, highest
        except ChartNodeNotFound:
            assert code not in nodes
        except BoundsOutOfOrder:
            tried_nodes = nodes | ({code: (lowest, highest)} if what == "node" else {})
            tried = accounts | ({code: (lowest, highest)} if what == "account" else {})
            places = {*tried, *tried_nodes}
            assert any(crosses(expected(one, tried_nodes, tried.get(one, (None, None)))) for one in places)
        for one, own_bounds in accounts.items():
            assert await bounds(books, ids[one]) == expected(one, nodes, own_bounds)
            assert not crosses(expected(one, nodes, own_bounds))


def expected(
    code: str, nodes: dict[str, tuple[int | None, int | None]], own: tuple[int | None, int | None]
) -> tuple[int | None, int | None]:
    """The tightest of its own and of all nodes at or above the code."""
    above = [found for one, found in nodes.items() if code == one or code.startswith(one + ":")]
    lowest = [one[0] for one in (*above, own) if one[0] is not None]
    highest = [one[1] for one in (*above, own) if one[1] is not None]
    return max(lowest, default=None), min(highest, default=None)


def crosses(found: tuple[int | None, int | None]) -> bool:
    return found[0] is not None and found[1] is not None and found[0] > found[1]


async def test_a_bound_that_changes_while_postings_run_is_broken_by_none_that_came_after(
    books: Books,
) -> None:
    cash = await books.open(ASSET)
    wallets = [(await opened(books, f"wallet:{number}")).id for number in range(4)]
    await node(books, "wallet", currency="USD", max_balance_minor=1000)
    processes = [Ledger(books.ledger.database) for _ in range(3)]

    async def pay_in(number: int) -> None:
        for _ in range(40):
            item = posting((cash, 5), (wallets[number % 4], -5))
            try:
                await ledger_service.post_transfer(processes[number % 3], books.tenant_id, item)
            except BalanceAboveMaximum:
                return

    async def tighten() -> dict[UUID, int]:
        for highest in (150, 100):
            await asyncio.sleep(0.05)
            await service.change_node(books.ledger, books.tenant_id, "wallet", {"max_balance_minor": highest})
        return {one: (await books.balance(one)).balance_minor for one in wallets}

    *_, stood = await asyncio.gather(*(pay_in(number) for number in range(8)), tighten())
    assert isinstance(stood, dict)
    for wallet in wallets:
        held = (await books.balance(wallet)).balance_minor
        assert held <= max(100, stood[wallet])
        assert await bounds(books, wallet) == (None, 100)
    await books.assert_sound()


async def test_a_new_account_and_a_new_node_never_pass_each_other_unseen(books: Books) -> None:
    async def both(number: int) -> None:
        code = f"c{number}"
        answers = await asyncio.gather(
            node(books, code, ASSET, currency="USD", min_balance_minor=7),
            opened(books, f"{code}:1", LIABILITY),
            opened(books, f"{code}:2", ASSET),
            ledger_service.account_ids(
                books.ledger, books.tenant_id, [SystemAccount(f"{code}:3", "x", ASSET, "USD")]
            ),
            return_exceptions=True,
        )
        made, wrong, right, system = answers
        assert isinstance(made, ChartConflict) or isinstance(wrong, TypeOfClass)
        assert not isinstance(right, BaseException)
        assert not isinstance(system, BaseException)
        if not isinstance(made, BaseException):
            assert await bounds(books, right.id) == (7, None)
            assert await bounds(books, system[0]) == (7, None)

    await asyncio.gather(*(both(number) for number in range(6)))


def test_a_subtree_is_summed_through_the_index_on_codes(database_urls: AllDatabaseUrls) -> None:
    tenant_id = new_tenant(database_urls.root)
    with psycopg.connect(database_urls.root) as root:
        root.execute("SET LOCAL session_replication_role = replica")  # quickly, past the triggers
        root.execute(
            "INSERT INTO ledger.accounts (tenant_id, id, code, type, currency)"
            " SELECT %s, kernel.uuidv7(), 'w:' || (g / 100) || ':' || g, 'liability', 'USD'"
            " FROM generate_series(1, 20000) g",
            (tenant_id,),
        )
        root.execute("ANALYZE ledger.accounts")
        root.commit()
    with psycopg.connect(database_urls.app) as app:
        app.execute(f"SET LOCAL app.tenant_id = {tenant_id}".encode())
        plan = "\n".join(
            row[0]
            for row in app.execute(
                "EXPLAIN SELECT currency, sum(balance) FROM ledger.accounts a WHERE a.tenant_id = %s"
                " AND (a.code = 'w:7' OR (a.code >= 'w:7' || ':' AND a.code < 'w:7' || ';'))"
                " GROUP BY currency",
                (tenant_id,),
            )
        )
    assert "accounts_code_key" in plan, plan
    assert "Seq Scan" not in plan, plan
