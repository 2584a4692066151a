"""`florin ledger`: the books from the command line. One module per subject; each adds its commands here."""

import typer

app = typer.Typer(help="The books: chart, statements, proofs, imports.", no_args_is_help=True)

from florin.cli.ledger import archive, bulk  # noqa: E402, F401 - they add their commands
