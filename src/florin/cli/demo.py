"""The tenant DEMO that the first start makes: something to try at once."""

import os
import secrets
import shlex
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from florin.access.people.errors import UserNotFound
from florin.access.people.model import Grant
from florin.access.people.policy import operator
from florin.access.people.users import create_user
from florin.access.service import create_key
from florin.access.signin.admin import find_user, set_password
from florin.cli.platform import Platform, open_sign_in, platform_on
from florin.kernel.database_urls import DatabaseUrls
from florin.kernel.db import Database
from florin.kernel.ids import encode_id
from florin.kernel.settings import Settings
from florin.tenancy.model import TenantDetails, TenantType
from florin.tenancy.service import create_partner, create_tenant, list_tenants
from florin.webhooks.service import EndpointSettings, change_endpoint, create_endpoint, list_endpoints

CODE = "DEMO"
ADMINISTRATOR = "admin"


@dataclass(frozen=True, slots=True)
class Demo:
    """Where the demo's key is, and the secret of its webhook endpoint."""

    env_file: Path
    webhook_secret: str


async def ensure_demo(settings: Settings, urls: DatabaseUrls, receiver_url: str) -> Demo:
    """Makes tenant, partner, key and endpoint unless they are there; writes `demo.env`, mode 600.

    A lost `demo.env` gets a new key: the old one cannot be read back from anywhere.
    """
    env_file = settings.data_dir / "demo.env"
    async with Database(urls.app, size=2) as database:
        platform = platform_on(settings.model_copy(update={"receiver_url": receiver_url}), database)
        twins = await list_tenants(platform.tenancy, CODE)
        known = _read(env_file)
        if not twins:
            twins = [*await create_tenant(platform.tenancy, CODE, _details())]
            known = {}
        tenant_id = next(twin.tenant_id for twin in twins if not twin.live)
        if "FLORIN_API_KEY" not in known:
            known = await _furnish(platform, tenant_id, receiver_url)
            known |= await _administrator(settings, platform)
            _write(env_file, known)
        elif known.get("FLORIN_WEBHOOK_URL") != receiver_url:
            await _redirect(platform, tenant_id, known.get("FLORIN_WEBHOOK_URL", ""), receiver_url)
            known["FLORIN_WEBHOOK_URL"] = receiver_url
            _write(env_file, known)
    return Demo(env_file, known["FLORIN_WEBHOOK_SECRET"])


def _details() -> TenantDetails:
    return TenantDetails(
        name="Demonstration",
        type=TenantType.FINTECH,
        contact_email="demo@localhost.localdomain",
        country="US",
        timezone="UTC",
        currency="USD",
    )


async def _furnish(platform: Platform, tenant_id: int, receiver_url: str) -> dict[str, str]:
    partner_id = await _partner(platform, tenant_id)
    made = await create_key(
        platform.access,
        tenant_id,
        name="demo",
        scopes=["*"],
        limits=dict.fromkeys(("per_minute", "per_hour", "per_day")),
    )
    _, secret = await create_endpoint(
        platform.webhooks,
        tenant_id,
        None,
        EndpointSettings(
            receiver_url, ["*"], description="The receiver of florin run", include_partners=True
        ),
    )
    return {
        "FLORIN_API_KEY": made.secret,
        "FLORIN_DEMO_PARTNER": encode_id("ptnr", partner_id),
        "FLORIN_WEBHOOK_URL": receiver_url,
        "FLORIN_WEBHOOK_SECRET": secret,
    }


async def _administrator(settings: Settings, platform: Platform) -> dict[str, str]:
    """Somebody to sign in as, in the test books, with a password that nobody else has."""
    password = secrets.token_urlsafe(18)
    async with open_sign_in(settings, platform) as room:
        books = await room.books(CODE, live=False)
        assert books is not None, "the demo's tenant was made just now"
        try:
            account = await find_user(room, books, ADMINISTRATOR)
        except UserNotFound:
            await create_user(
                platform.people,
                books.tenant_id,
                {"user_name": ADMINISTRATOR, "name": "Demo administrator"},
                by=operator("florin run"),
                grants=[Grant("tenant_admin")],
            )
            account = await find_user(room, books, ADMINISTRATOR)
        await set_password(room, books, account, password)
    return {"FLORIN_DEMO_USER": ADMINISTRATOR, "FLORIN_DEMO_PASSWORD": password}


async def _partner(platform: Platform, tenant_id: int) -> UUID:
    partner = await create_partner(
        platform.tenancy,
        tenant_id,
        name="Demo shop",
        email=f"shop-{os.urandom(4).hex()}@localhost.localdomain",
    )
    return partner.id


async def _redirect(platform: Platform, tenant_id: int, old_url: str, new_url: str) -> None:
    """The receiver has another port today."""
    for endpoint in await list_endpoints(platform.webhooks, tenant_id, None, None, 100):
        if endpoint.url == old_url:
            await change_endpoint(platform.webhooks, tenant_id, None, endpoint.id, {"url": new_url})


def _read(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    pairs = (line.partition("=") for line in path.read_text().splitlines() if "=" in line)
    return {name: " ".join(shlex.split(value)) for name, _, value in pairs}


def _write(path: Path, values: dict[str, str]) -> None:
    """In one step: whoever reads it sees the old file or the new one, never half."""
    fresh = path.with_suffix(".tmp")
    descriptor = os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
