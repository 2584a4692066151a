"""Which origins a browser is told about."""

import pytest
from pydantic import ValidationError

from florin.kernel.http.cors import Cors
from florin.kernel.settings import Settings

APP = b"https://app.example"
ASKING = {b"origin": APP, b"access-control-request-method": b"POST"}


def test_the_very_origin_is_named_and_cookies_never() -> None:
    told = dict(Cors([APP.decode()]).headers({b"origin": APP}))
    assert told[b"access-control-allow-origin"] == APP
    assert told[b"vary"] == b"Origin"
    assert b"access-control-allow-credentials" not in told


@pytest.mark.parametrize(
    "origin",
    [
        b"null",
        b"*",
        b"https://app.example.evil.example",
        b"https://evil-app.example",
        b"http://app.example",
        b"https://app.example:444",
        b"https://APP.example",
        b"https://app.example/",
        b"",
    ],
)
def test_another_origin_is_told_nothing_but_that_the_answer_depends_on_it(origin: bytes) -> None:
    cors = Cors([APP.decode()])
    assert cors.headers({b"origin": origin}) == [(b"vary", b"Origin")]
    assert cors.preflight("OPTIONS", {**ASKING, b"origin": origin}) is None


def test_a_browser_that_asks_beforehand_hears_what_it_may_send() -> None:
    allowed = Cors([APP.decode()]).preflight("OPTIONS", ASKING)
    assert allowed is not None
    assert b"idempotency-key" in dict(allowed)[b"access-control-allow-headers"]
    assert Cors([APP.decode()]).preflight("OPTIONS", {b"origin": APP}) is None
    assert Cors([APP.decode()]).preflight("POST", ASKING) is None


def test_without_origins_it_is_off() -> None:
    assert not Cors([])
    assert not Settings().cors_origins


@pytest.mark.parametrize(
    "given",
    [
        "*",
        "null",
        "https://*",
        "https://*.example",
        "http://app.example",
        "https://app.example/",
        "https://APP.example",
        "app.example",
        "https://u@app.example",
        "https://app.example:0",
        "https://a.example,*",
    ],
)
def test_only_exact_origins_can_be_set(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLORIN_CORS_ORIGINS", given)
    with pytest.raises(ValidationError, match="is no origin"):
        Settings()


def test_several_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "FLORIN_CORS_ORIGINS", "https://a.example, http://localhost:3000,https://b.example:8443"
    )
    assert Settings().cors_origins == (
        "https://a.example",
        "http://localhost:3000",
        "https://b.example:8443",
    )
