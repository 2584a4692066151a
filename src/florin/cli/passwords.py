"""`florin passwords`: set and check passwords, unlock users, take away lost second factors.

Passwords are asked for, or read from the first line of stdin; never taken from an argument, which the list of
processes and the shell's history show.
"""

import asyncio
import getpass
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

import typer

from florin.access.people.errors import UserNotFound
from florin.access.signin import admin
from florin.access.signin.breached import BreachedList
from florin.access.signin.model import Account, Books
from florin.access.signin.password_rules import broken_rule
from florin.access.signin.passwords import own_words
from florin.access.signin.room import SignIn
from florin.cli.console import FAILED, fail, out, run_async
from florin.cli.platform import open_platform, open_sign_in
from florin.kernel.settings import settings

app = typer.Typer(
    help="Set and check passwords, unlock users, take away lost second factors.", no_args_is_help=True
)

Tenant = Annotated[str, typer.Option("--tenant", "-t", help="The tenant's code.")]
User = Annotated[str, typer.Option("--user", "-u", help="User name, e-mail address or telephone number.")]
Live = Annotated[bool, typer.Option("--live/--test", help="Which of the tenant's books.")]


@app.command("set")
def set_(tenant: Tenant, user: User, live: Live = False) -> None:
    """Set a user's password, asked for or read from stdin. All sessions of the user end."""
    password = _read_password(twice=True)

    async def work() -> None:
        async with _open(tenant, user, live=live) as found:
            await admin.set_password(found.room, found.books, found.account, password)
        out.print(f"the password of {user} is set", highlight=False)

    run_async(work())


@app.command()
def check(
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", help="The tenant's code.")] = None,
    user: Annotated[str | None, typer.Option("--user", "-u", help="Whose names may not be in it.")] = None,
    live: Live = False,
) -> None:
    """Say which rule a password breaks, asked for or read from stdin; then exit 1. Nothing is set."""
    if (tenant is None) != (user is None):
        fail("--tenant and --user go together")
    password = _read_password(twice=False)

    async def work() -> None:
        if tenant is not None and user is not None:
            async with _open(tenant, user, live=live) as found:
                words = await own_words(found.room, found.books, found.account)
        else:
            words = []
        path = settings().breached_passwords
        breached = None if path is None else BreachedList(path)
        broken = await asyncio.to_thread(broken_rule, password, words, breached)
        if broken is not None:
            out.print(f"{broken.rule}: the password {broken.detail}", highlight=False)
            raise typer.Exit(FAILED)
        out.print("the password breaks no rule", highlight=False)

    run_async(work())


@app.command()
def unlock(tenant: Tenant, user: User, live: Live = False) -> None:
    """Forgive wrong passwords and codes, so that a user can try again now."""

    async def work() -> None:
        async with _open(tenant, user, live=live) as found:
            changed = await admin.unlock(found.room, found.books.tenant_id, found.account)
        out.print(f"{user} is unlocked" if changed else f"{user} was not locked out", highlight=False)

    run_async(work())


@app.command("reset-second-factor")
def reset_second_factor(tenant: Tenant, user: User, live: Live = False) -> None:
    """Take away a second factor whose phone and recovery codes are lost. All sessions of the user end."""

    async def work() -> None:
        async with _open(tenant, user, live=live) as found:
            changed = await admin.reset_second_factor(found.room, found.books.tenant_id, found.account)
        said = "has no second factor any more" if changed else "had no second factor"
        out.print(f"{user} {said}", highlight=False)

    run_async(work())


@dataclass(frozen=True, slots=True)
class _Found:
    room: SignIn
    books: Books
    account: Account


@asynccontextmanager
async def _open(tenant: str, user: str, *, live: bool) -> AsyncIterator[_Found]:
    """The user and what his password is set with; ends the command when there is no such user."""
    chosen = settings()
    async with open_platform(chosen) as platform, open_sign_in(chosen, platform) as room:
        books = await room.books(tenant, live=live)
        if books is None:
            fail(f"there is no tenant {tenant}; florin tenants list shows them")
        try:
            account = await admin.find_user(room, books, user)
        except UserNotFound:
            fail(f"there is no user {user} in the {'live' if live else 'test'} books of {tenant}")
        yield _Found(room, books, account)
        await platform.tell()


def _read_password(*, twice: bool) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if twice and getpass.getpass("Again: ") != password:
        fail("the two are not the same")
    return password
