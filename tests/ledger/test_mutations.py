"""Mutation testing of what moves money: each check, taken out, is missed by a test.

A mutant is a function of the ledger with one thing changed. It is put into a database of its own, and the
script (test_script.py) or an anomaly (anomalies.py) has to notice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pytest

from florin.kernel.db import Database
from florin.ledger.service import Ledger
from tests.conftest import AllDatabaseUrls
from tests.ledger import anomalies
from tests.ledger.books import Books
from tests.ledger.conftest import new_tenant
from tests.ledger.test_script import play_both

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

Anomaly = Callable[[Books, AllDatabaseUrls], Awaitable[None]]


@dataclass(frozen=True)
class Mutant:
    """One change to one function; `noticed_by`: an anomaly, else the script."""

    what: str
    function: str
    old: str
    new: str
    noticed_by: Anomaly | None = None

    def __str__(self) -> str:
        return self.what


APPLY, POST, ENTER = "ledger.apply", "ledger.post", "ledger.enter"
REVERSE, SETTLE, CORRECT = "ledger.reverse", "ledger.settle_holds", "ledger.correct"

MUTANTS = [
    # Locks
    Mutant("accounts are not locked", APPLY, "ORDER BY id\n        FOR NO KEY UPDATE\n    ) a;",
           "ORDER BY id\n    ) a;", anomalies.lost_update),
    Mutant("shared limits are not locked", APPLY, "ORDER BY id\n            FOR NO KEY UPDATE\n        ) s;",
           "ORDER BY id\n        ) s;", anomalies.write_skew),
    Mutant("accounts come in any order", APPLY, "WHERE w.id <= p_accounts[w.position - 1]", "WHERE false",
           anomalies.accounts_out_of_order),
    Mutant("nobody holds the door", ENTER, "PERFORM pg_advisory_xact_lock_shared(1279607879, p_tenant);", "",
           anomalies.a_door_left_open),
    Mutant("ids from before the seal pass", ENTER, "NOT v_sealed <= ALL (p_ids)", "false",
           anomalies.an_id_from_before_the_seal),
    Mutant("time may go back", APPLY, "greatest(clock_timestamp(), v_last)", "clock_timestamp()",
           anomalies.time_goes_back),
    # Bounds
    Mutant("a debit account has no minimum", APPLY,
           "v_balance[v_account] - v_credits[v_account] < v_min[v_account]", "false"),
    Mutant("a credit account has no minimum", APPLY,
           "v_balance[v_account] - v_debits[v_account] < v_min[v_account]", "false"),
    Mutant("a debit account has no maximum", APPLY,
           "v_balance[v_account] + v_debits[v_account] > v_max[v_account]", "false"),
    Mutant("a credit account has no maximum", APPLY,
           "v_balance[v_account] + v_credits[v_account] > v_max[v_account]", "false"),
    Mutant("holds do not count against the minimum", APPLY,
           "v_balance[v_account] - v_debits[v_account] < v_min", "v_balance[v_account] < v_min"),
    Mutant("holds do not count towards the maximum", APPLY,
           "v_balance[v_account] + v_credits[v_account] > v_max", "v_balance[v_account] > v_max"),
    Mutant("a bound stops what moves away from it", APPLY, "IF v_moved < v_debit AND ", "IF "),
    Mutant("a maximum stops what moves away from it", APPLY, "ELSIF v_moved + v_credit > 0 AND ", "ELSIF "),
    Mutant("a minimum is a little lower", APPLY, "< v_min[v_account] THEN", "< v_min[v_account] - 1 THEN"),
    # Rules of a transfer
    Mutant("any currency will do", APPLY, "IF v_claimed <> currencies[v_account] THEN", "IF false THEN"),
    Mutant("frozen accounts move", APPLY, "v_usable := v_status[v_account] = 'active' OR (",
           "v_usable := v_status[v_account] IN ('active', 'frozen') OR ("),
    Mutant("debits need not equal credits", APPLY, "ELSIF v_total <> 0 OR v_held <> 0 THEN",
           "ELSIF v_held <> 0 THEN"),
    Mutant("holds need not balance", APPLY, "ELSIF v_total <> 0 OR v_held <> 0 THEN", "ELSIF v_total <> 0 THEN"),
    Mutant("currencies balance against each other", APPLY, "IF v_mixed THEN", "IF false THEN"),
    Mutant("amounts have no limit", POST, "THEN 'amount_out_of_range' END", "THEN NULL END"),
    Mutant("closed periods are open", POST, "IF p_effective IS NOT NULL AND v_entered.closed_before IS NOT NULL",
           "IF false"),
    Mutant("a hold may begin expired", POST, "r.expires_at <= v_now", "false",
           anomalies.a_hold_that_begins_expired),
    # Refused items leave nothing behind
    Mutant("a refused item keeps its balance", APPLY,
           "v_balance[v_account] := v_balance[v_account] - signs[v_account] * p_leg_amount[i];", "NULL;"),
    Mutant("a refused item keeps its numbers", APPLY, "v_seq[v_account] := v_seq[v_account] - 1;", "NULL;"),
    Mutant("a refused item keeps its reserve", APPLY,
           "v_debits[v_account] := v_debits[v_account] - p_leg_debit_hold[i];", "NULL;"),
    Mutant("a refused item keeps its share", APPLY,
           "v_pool[l] := v_pool[l] - signs[v_account] * p_leg_amount[i];", "NULL;"),
    Mutant("a refused item is told to monitors", APPLY, "v_seen := v_seen - 1;", "EXIT;"),
    Mutant("a refused item is written", APPLY, "WHERE g.amount <> 0 AND refusals[g.item] IS NULL\n",
           "WHERE g.amount <> 0 AND g.seq IS NOT NULL\n"),
    Mutant("a refused item enters the log", POST, "WHERE v_refusals[g.item] IS NULL\n        RETURNING id",
           "RETURNING id"),
    Mutant("the leg at fault is not taken back", APPLY, "CASE WHEN v_usable THEN 0 ELSE 1 END", "1"),
    # Sets
    Mutant("a set is refused in part", APPLY, "coalesce(refusals[p_leg_item[v_next]], 'set_refused')",
           "refusals[p_leg_item[v_next]]"),
    Mutant("a refused set keeps its balances", APPLY, "v_balance := v_balance_0;", ""),
    Mutant("a refused set keeps its numbers", APPLY, "v_seq := v_seq_0;", ""),
    Mutant("a refused set keeps its reserves", APPLY, "v_debits := v_debits_0;", ""),
    Mutant("a refused set keeps its share", APPLY, "v_pool := v_pool_0;", ""),
    Mutant("a set has no bounds", APPLY, "v_min[v_account], v_max[v_account], NULL);", "NULL, NULL, NULL);"),
    Mutant("a set has no shared limit", APPLY, "IF v_code IS NULL AND v_limits IS NOT NULL THEN\n                        l :=",
           "IF false THEN\n                        l :="),
    Mutant("bounds are asked within a set", APPLY, "IF v_set IS NULL THEN\n                        IF signs",
           "IF true THEN\n                        IF signs"),
    # Shared limits and monitors
    Mutant("a shared limit is not asked", APPLY, "IF v_code IS NULL AND v_limits IS NOT NULL AND v_set IS NULL THEN",
           "IF false THEN"),
    Mutant("a shared limit forgets holds", APPLY, "v_pool_debits[l] := v_pool_debits[l] + v_debit;", ""),
    Mutant("monitors are not told", APPLY, "IF v_seen > 0 THEN", "IF false THEN"),
    Mutant("monitors are told of sets in parts", APPLY, "IF v_watched AND v_set IS NULL AND v_monitored",
           "IF v_watched AND v_monitored"),
    Mutant("dates are forgotten", APPLY, "SET dated = true", "SET dated = a.dated", anomalies.a_date_that_is_forgotten),
    # Idempotency
    Mutant("a key may come with another body", "kernel.claim_slots",
           "CASE WHEN v_found.same_body THEN 'replay' ELSE 'idempotency_key_reused' END", "'replay'"),
    Mutant("a key forgets its refusal", "ledger.tell_refusals", "PERFORM kernel.store_refusals", "PERFORM kernel.mislaid"),
    # Reversals and corrections
    Mutant("a reversal takes more than is left", REVERSE, "abs(a.taken) > abs(a.remaining) OR ", ""),
    Mutant("what was reversed is forgotten", REVERSE, "u.amount - coalesce(so_far.reversed[u.position], 0)", "u.amount"),
    Mutant("reversals can be reversed", REVERSE, "NOT IN ('transfer', 'post', 'repost')",
           "NOT IN ('transfer', 'post', 'repost', 'reversal')"),
    Mutant("reversals reach closed periods", REVERSE,
           "ledger.refuse_closed(v_entered.closed_before, p_effective, v_claims)", "v_claims"),
    Mutant("a correction takes back too much", CORRECT, "u.amount - coalesce(r.reversed[u.position], 0)", "u.amount"),
    Mutant("a correction reaches a closed period", CORRECT, "WHEN p_effective < v_entered.closed_before", "WHEN false"),
    Mutant("a correction is asked halfway", CORRECT, "v_times, '{1,1}', v_items", "v_times, NULL, v_items"),
    # Holds
    Mutant("more is posted than is held", SETTLE, "abs(a.post) > abs(a.remaining) OR ", ""),
    Mutant("a closed hold is posted", SETTLE, "WHEN min(a.status) NOT IN ('reserved', 'partially_posted') THEN 'hold_closed'",
           ""),
    Mutant("a posted hold keeps its reserve", SETTLE, "array_agg(-greatest(l.freed, 0)", "array_agg(0 * greatest(l.freed, 0)"),
]  # fmt: skip


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="module", autouse=True)
def _no_hurry_to_disk(database_urls: AllDatabaseUrls) -> None:
    """Thousands of small transactions, none of which has to outlive a crash."""
    with psycopg.connect(database_urls.root, autocommit=True) as root:
        root.execute(
            "DO $$ BEGIN"
            " EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database());"
            " END $$"
        )


@contextmanager
def mutated(urls: AllDatabaseUrls, mutant: Mutant) -> Iterator[None]:
    """The database with this one change, put back afterwards."""
    with psycopg.connect(urls.root, autocommit=True) as root:
        row = root.execute(
            "SELECT pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
            " WHERE n.nspname || '.' || p.proname = %s",
            (mutant.function,),
        ).fetchone()
        assert row is not None
        (source,) = row
        assert source.count(mutant.old) >= 1, (
            f"{mutant.function} has no {mutant.old!r}: the mutant is out of date"
        )
        root.execute(source.replace(mutant.old, mutant.new).encode())
        try:
            yield
        finally:
            root.execute(source.encode())


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_check_that_is_taken_out_is_missed(
    mutant: Mutant, runner: asyncio.Runner, database_urls: AllDatabaseUrls
) -> None:
    with mutated(database_urls, mutant), pytest.raises((AssertionError, psycopg.Error, ExceptionGroup)):
        if mutant.noticed_by is not None:
            runner.run(_try(mutant.noticed_by, database_urls))
        else:
            play_both(runner, database_urls)


async def _try(anomaly: Anomaly, urls: AllDatabaseUrls) -> None:
    async with Database(urls.app, size=2) as database:
        await anomaly(Books(Ledger(database), new_tenant(urls.root)), urls)
