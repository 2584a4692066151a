"""`python -m florin` is the `florin` command."""

from florin.cli.main import main

main()
