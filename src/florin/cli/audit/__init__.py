"""`florin audit`: who changed or was shown what, whether the log is whole, and changes of the schema."""

import typer

app = typer.Typer(
    help="Who changed or was shown what, whether the log is whole, and changes of the schema.",
    no_args_is_help=True,
)

from florin.cli.audit import chain, export, log, schema  # noqa: E402, F401 - each adds its commands
