"""The landing page and the API reference, from a started application."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from florin.app.asgi import build
from florin.kernel.settings import Settings
from tests.conftest import AllDatabaseUrls


@pytest.fixture(scope="module")
async def client(
    database_urls: AllDatabaseUrls, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    gate = build(Settings(data_dir=tmp_path_factory.mktemp("data")), database_urls.app)
    app = gate._app  # type: ignore[attr-defined]
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(gate)
        async with httpx.AsyncClient(transport=transport, base_url="http://florin.test") as opened:
            yield opened


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_page_fetches_from_nowhere_else_and_cannot_be_framed(
    client: httpx.AsyncClient, path: str
) -> None:
    page = await client.get(path)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert "https:" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["cross-origin-opener-policy"] == "same-origin"
    assert page.headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in page.headers["permissions-policy"]
    assert len(page.headers.get_list("content-security-policy")) == 1
    references = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert references
    assert not [one for one in references if re.match(r"(https?:)?//", one)]


async def test_the_landing_page_says_what_runs_and_its_links_lead_somewhere(
    client: httpx.AsyncClient,
) -> None:
    page = await client.get("/")
    assert "PostgreSQL 1" in page.text
    assert "http://florin.test/v1/payments" in page.text
    for link in re.findall(r'<a href="([^"]+)"', page.text):
        assert (await client.get(link)).status_code == 200, link


async def test_the_host_that_a_client_claims_cannot_write_into_the_page(client: httpx.AsyncClient) -> None:
    page = await client.get("/", headers={"host": '"><script>alert(1)</script>'})
    assert "<script>" not in page.text


async def test_the_reference_finds_its_parts_here(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    parts = [one for one in re.findall(r'(?:src|href)="([^"]+)"', page.text) if not one.startswith("data:")]
    assert len(parts) == 2
    for part in parts:
        found = await client.get(f"/{part}")
        assert found.status_code == 200
        assert found.headers["content-type"].startswith("text/")
        assert len(found.content) > 100_000
    missing = await client.get("/docs/nothing.js")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
