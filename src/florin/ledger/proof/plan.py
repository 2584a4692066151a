"""A verification in pieces: what is to be done, what is done, what was found. No I/O but one file.

The pieces are ranges of the log and ranges of accounts. Each is judged by itself but for one thing:
that log and entries speak of the same movements shows only when the sums of all pieces are compared.
Rows before the mark are final, so these sums may be taken at any time, and a verification that was
stopped goes on where it was.
"""

from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson

from florin.ledger.proof.model import AccountRange, EntrySum, Fault, LegSum, fault_of

LOWEST: Final = UUID(int=0)
HIGHEST: Final = UUID(int=2**128 - 1)
MAX_SEQ: Final = 2**63 - 1


class BadPlan(Exception):
    """The file does not hold an interrupted verification."""


@dataclass(slots=True)
class Plan:
    """A verification under way."""

    tenant_id: int
    bounds: list[UUID]
    """Where ranges of the log begin; the last is the mark, behind which nothing is final yet."""

    accounts: list[AccountRange]
    entries_expected: int
    """What accounts said they had, for the progress bar."""

    legs_done: dict[int, LegSum] = field(default_factory=dict)
    entries_done: dict[int, int] = field(default_factory=dict)
    """Per range of accounts that is done, how many entries it has."""

    sums: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Per range of the log (from 1), how many entries were found and the sum of their hashes."""

    faults: list[Fault] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Units of work: each entry twice, once in the log and once in its account."""
        return 2 * self.entries_expected

    @property
    def done(self) -> int:
        """Units of work that are behind us."""
        return sum(one.entries for one in self.legs_done.values()) + sum(self.entries_done.values())

    def range_of(self, part: int) -> tuple[UUID, UUID]:
        """The range of the log with this number, from 1; the last is what lies behind the mark."""
        upper = self.bounds[part] if part < len(self.bounds) else HIGHEST
        return self.bounds[part - 1], upper

    def add_entries(self, piece: int, found: list[EntrySum]) -> None:
        """Notes what the entries of a range of accounts come to."""
        for one in found:
            entries, total = self.sums.get(one.part, (0, 0))
            self.sums[one.part] = (entries + one.entries, total + one.total)
        self.entries_done[piece] = sum(one.entries for one in found)

    def unequal(self) -> list[int]:
        """Ranges of the log, before the mark, whose entries are not those that the accounts have."""
        return [
            part
            for part in range(1, len(self.bounds))
            if self.sums.get(part, (0, 0)) != (self.legs_done[part].entries, self.legs_done[part].total)
        ]

    def save(self, file: Path) -> None:
        """Writes the plan; whoever reads meanwhile sees the one before or this one."""
        new = file.with_suffix(".new")
        new.write_bytes(orjson.dumps(self._state(), option=orjson.OPT_NON_STR_KEYS))
        new.replace(file)

    def _state(self) -> dict[str, Any]:
        return {
            "tenant_id": self.tenant_id,
            "bounds": self.bounds,
            "accounts": [tuple(one) for one in self.accounts],
            "entries_expected": self.entries_expected,
            # Sums of hashes are larger than a JSON number may be.
            "legs_done": {
                part: (*one[:2], str(one.total), one.balanced) for part, one in self.legs_done.items()
            },
            "entries_done": self.entries_done,
            "sums": {part: (entries, str(total)) for part, (entries, total) in self.sums.items()},
            "faults": [asdict(one) for one in self.faults],
        }

    @classmethod
    def load(cls, file: Path, tenant_id: int) -> "Plan":
        """The plan of a verification that was stopped.

        Raises:
            BadPlan: no such file, or of other books, or not one of these.
        """
        try:
            state = orjson.loads(file.read_bytes())
            if state["tenant_id"] != tenant_id:
                raise BadPlan(f"{file} is of other books")
            return cls(
                tenant_id=tenant_id,
                bounds=[UUID(one) for one in state["bounds"]],
                accounts=[
                    AccountRange(UUID(low), UUID(high), *seqs) for low, high, *seqs in state["accounts"]
                ],
                entries_expected=state["entries_expected"],
                legs_done={
                    int(part): LegSum(transfers, entries, int(total), balanced)
                    for part, (transfers, entries, total, balanced) in state["legs_done"].items()
                },
                entries_done={int(piece): entries for piece, entries in state["entries_done"].items()},
                sums={int(part): (entries, int(total)) for part, (entries, total) in state["sums"].items()},
                faults=[fault_of(**one) for one in state["faults"]],
            )
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise BadPlan(f"{file} does not hold an interrupted verification: {error}") from None


def ranges_of_accounts(accounts: list[tuple[UUID, int]], entries_each: int) -> list[AccountRange]:
    """Ranges that cover every id, known or not, with about so many entries each; a large account is cut up.

    Args:
        accounts: ids, ascending, each with the number of its last entry.
    """
    ranges: list[AccountRange] = []
    begun, gathered = LOWEST, 0
    for account_id, entries in accounts:
        if entries > entries_each:
            after = UUID(int=account_id.int + 1)
            if begun < account_id:
                ranges.append(AccountRange(begun, account_id, 1, MAX_SEQ))
            cuts = [*range(1, entries, entries_each), MAX_SEQ]
            ranges += [AccountRange(account_id, after, low, high) for low, high in pairwise(cuts)]
            begun, gathered = after, 0
            continue
        if gathered and gathered + entries > entries_each:
            ranges.append(AccountRange(begun, account_id, 1, MAX_SEQ))
            begun, gathered = account_id, 0
        gathered += entries
    ranges.append(AccountRange(begun, HIGHEST, 1, MAX_SEQ))
    return ranges
