"""Florin: a self-hosted payments platform in Python on PostgreSQL."""

from importlib.metadata import version

__version__ = version("florin")
