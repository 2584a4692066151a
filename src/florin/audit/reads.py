"""Notes of what was shown to whom, written for florin.kernel.http.notes."""

from typing import Final

from florin.audit.store import NOTE_READS
from florin.kernel.coalescer import Coalescer
from florin.kernel.db import Database
from florin.kernel.http.notes import Witness

_PATIENCE_S: Final = 3.0
"""How long a reader waits for a database that has gone away."""


def open_witness(database: Database) -> Witness:
    """Writes notes in groups: readers at the same time share one commit and one turn at the chain's head."""
    return Witness(Coalescer(database, NOTE_READS, patience_s=_PATIENCE_S).call)
