"""What the doctor says about lines over a network. The rest of it is tried in test_main.py."""

from pathlib import Path

import pytest

from florin.cli.doctor import Finding, lines
from florin.kernel.settings import Settings
from tests.app.certificates import issue


def findings(settings: Settings) -> dict[str, Finding]:
    return {one.name: one for one in lines(settings)}


@pytest.mark.parametrize(
    ("url", "holds"),
    [
        ("postgresql://x:y@db.example/florin", False),
        ("postgresql://x:y@db.example/florin?sslmode=require", False),
        ("postgresql://x:y@db.example/florin?sslmode=verify-ca", False),
        ("postgresql://x:y@db.example/florin?sslmode=verify-full", True),
        ("postgresql://x:y@127.0.0.1,db.example/florin", False),
        ("postgresql://x:y@localhost/florin", True),
        ("postgresql://x:y@[::1]:5433/florin", True),
        ("host=/run/postgresql dbname=florin", True),
        ("host=db.example hostaddr=10.0.0.7 dbname=florin", False),
        ("dbname=florin", True),
    ],
)
def test_a_database_elsewhere_has_to_prove_who_it_is(
    url: str, *, holds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGHOST", "PGSSLMODE"):
        monkeypatch.delenv(name, raising=False)
    found = findings(Settings.model_validate({"database_url": url, "app_database_url": url}))
    for name in ("FLORIN_DATABASE_URL", "FLORIN_APP_DATABASE_URL"):
        one = found[f"{name} proves who answers"]
        assert one.holds is holds
        assert "verify-full" in one.advice
        assert "y@" not in one.seen


def test_the_embedded_database_and_plain_http_have_nothing_to_prove() -> None:
    assert findings(Settings()) == {}


@pytest.mark.parametrize(("days", "holds"), [(90, True), (15, True), (13, False), (0, False)])
def test_a_certificate_that_ends_soon_is_told(tmp_path: Path, days: int, *, holds: bool) -> None:
    pair = issue(tmp_path, "api.example", days=days)
    found = findings(Settings(tls_certificate=pair.certificate, tls_key=pair.key_file))
    assert found["the certificate lasts"].holds is holds


def test_tls_that_cannot_be_spoken_is_told(tmp_path: Path) -> None:
    pair = issue(tmp_path, "api.example")
    pair.key_file.chmod(0o666)
    found = findings(Settings(tls_certificate=pair.certificate, tls_key=pair.key_file))
    assert not found["TLS can be spoken"].holds
    assert "chmod 600" in found["TLS can be spoken"].seen
