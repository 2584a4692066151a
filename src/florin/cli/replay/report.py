"""What a replay did and whether the API's own figures agree: two tables and an exit code."""

from collections import Counter
from dataclasses import dataclass, field
from math import ceil
from time import perf_counter

from rich.console import Console
from rich.table import Table

from florin.cli.replay.client import Answer
from florin.kernel.money import to_decimal

HOLDS, FAILS, CANNOT, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: proved; refused or not equal; could not be done; stopped by Ctrl-C (128 + SIGINT)."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the proof: what the file says, what the API says."""

    what: str
    expected: str
    found: str
    holds: bool


@dataclass(slots=True)
class Tally:
    """Counts as they come in."""

    done: Counter[str] = field(default_factory=Counter)
    replayed: Counter[str] = field(default_factory=Counter)
    amount_minor: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    started: float = field(default_factory=perf_counter)
    seconds: float = 0.0

    def count(self, what: str, amount_minor: int, *, replayed: bool) -> None:
        """One `what` (taken, refunded, transferred) was done, in this run or in an earlier one."""
        self.done[what] += 1
        self.amount_minor[what] += amount_minor
        if replayed:
            self.replayed[what] += 1

    def time(self, answer: Answer) -> None:
        """One request was answered."""
        self.latencies_s.append(answer.latency_s)

    def finish(self) -> None:
        """The sending is over; what follows is proof."""
        self.seconds = perf_counter() - self.started


def percentile(values: list[float], share: float) -> float:
    """The nearest-rank percentile; 0 of nothing."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else 0.0


def money(amount_minor: int, currency: str, exponent: int = 2) -> str:
    """`12,345.60 GBP`."""
    return f"{to_decimal(amount_minor, exponent):,} {currency}"


def print_summary(console: Console, title: str, tally: Tally, currency: str) -> None:
    """What was done, refused and skipped, and how fast."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    for what, count in tally.done.items():
        table.add_row(what, f"{count:,}")
        if tally.replayed[what]:
            table.add_row("  of these already there", f"{tally.replayed[what]:,}")
        table.add_row("  amount", money(tally.amount_minor[what], currency))
    for reason, count in sorted(tally.skipped.items()):
        table.add_row(f"skipped: {reason}", f"{count:,}")
    table.add_row("refused", f"{tally.refused.total():,}")
    for code, count in tally.refused.most_common():
        table.add_row(f"  {code}", f"{count:,}")
    table.add_row("requests", f"{len(tally.latencies_s):,}")
    table.add_row("seconds", f"{tally.seconds:,.1f}")
    table.add_row("requests per second", f"{len(tally.latencies_s) / max(tally.seconds, 0.001):,.0f}")
    table.add_row("latency p50", f"{percentile(tally.latencies_s, 0.50) * 1000:,.1f} ms")
    table.add_row("latency p99", f"{percentile(tally.latencies_s, 0.99) * 1000:,.1f} ms")
    console.print(table)


def print_proof(console: Console, checks: list[Check]) -> None:
    """What was compared."""
    table = Table("proof", "file", "API", "", title_justify="left")
    for check in checks:
        mark = "[green]equal[/]" if check.holds else "[red]NOT EQUAL[/]"
        table.add_row(check.what, check.expected, check.found, mark)
    console.print(table)


def exit_code(tally: Tally, checks: list[Check]) -> int:
    """0 where nothing was refused and every check holds, else 1."""
    return HOLDS if not tally.refused and all(check.holds for check in checks) else FAILS
