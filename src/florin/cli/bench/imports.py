"""A file of history for the benchmark, and how fast it comes in."""

import time
from pathlib import Path
from random import Random

from florin.cli.bench.load import LoadFailed
from florin.cli.bench.stage import Books
from florin.kernel.db import Database
from florin.ledger.bulk.files import File
from florin.ledger.bulk.model import FileFormat, ImportKind
from florin.ledger.bulk.service import import_file
from florin.ledger.service import Ledger


def write_history(path: Path, books: Books, rows: int, chance: Random) -> Path:
    """Transfers between the tenant's accounts, drawn as the other loads draw them; no two files are alike."""
    last = len(books.accounts)
    with path.open("w") as file:
        file.write("debit_account,credit_account,amount,currency\n")
        for _ in range(rows):
            debit, credit = chance.sample(range(1, last + 1), 2)
            file.write(f"bench:{debit},bench:{credit},{chance.randrange(1, 1000)},USD\n")
    return path


async def import_rate(database: Database, books: Books, path: Path, rows: int) -> float:
    """Transfers a second of an import, from opening the file to its last commit.

    Raises:
        LoadFailed: rows were refused.
    """
    started = time.perf_counter()
    done = await import_file(
        Ledger(database), books.tenant_id, ImportKind.TRANSFERS, File(path, FileFormat.CSV)
    )
    spent_s = time.perf_counter() - started
    if (done.rows_done, done.rows_refused) != (rows, 0):
        raise LoadFailed(f"the import refused {done.rows_refused} of {done.rows_done} rows")
    return rows / spent_s
