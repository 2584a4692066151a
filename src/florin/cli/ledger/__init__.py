"""`florin ledger`: the books from the command line. One module per subject; each adds its commands here."""

import typer

app = typer.Typer(help="The books: chart, statements, proofs, imports.", no_args_is_help=True)

# Mounted by being imported, once `app` is there.
from florin.cli.ledger import (  # noqa: E402
    accounts,  # noqa: F401
    archive,  # noqa: F401
    bulk,  # noqa: F401
    chart,  # noqa: F401
    clearing,  # noqa: F401
    holds,  # noqa: F401
    limits,  # noqa: F401
    monitors,  # noqa: F401
    posting,  # noqa: F401
    proof,  # noqa: F401
    reports,  # noqa: F401
    seals,  # noqa: F401
    templates,  # noqa: F401
    times,  # noqa: F401
)
