"""`florin ledger`: the books from the command line. One module per subject; each adds its commands here."""

import typer

app = typer.Typer(help="The books: chart, statements, proofs, imports.", no_args_is_help=True)

# Mounted by being imported, once `app` is there.
from florin.cli.ledger import clearing, monitors, posting, templates, times  # noqa: E402, F401
