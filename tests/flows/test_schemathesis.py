"""Schemathesis reads the OpenAPI document and tries what it promises, and what it forbids."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.flows.conftest import Florin

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ignored_auth",
)
"""All but `positive_data_acceptance` (a body that fits the schema may name an unknown customer) and
those that look at several resources or users: they are tests of their own here."""


CONFIG = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429]
"""
"""413 is a rejection too: a list with one item more than allowed can be more than a body may hold."""


@pytest.mark.slow
def test_schemathesis_finds_no_5xx_and_no_undocumented_answer(florin: Florin, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    report = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{florin.base}/openapi.json"),
            *("--header", f"Authorization: Bearer {florin.key}"),
            *("--checks", ",".join(CHECKS)),
            *("--phases", "examples,coverage,fuzzing,stateful"),
            *("--max-examples", "10", "--seed", "1"),
            *("--continue-on-failure", "--no-shrink", "--no-color", "--request-timeout", "20"),
        ],
        cwd=tmp_path,  # it leaves its notes where it runs
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert report.returncode == 0, report.stdout[-20_000:] + report.stderr[-2_000:]
    document = httpx.get(f"{florin.base}/openapi.json").json()
    assert f"Tested: {sum(len(item) for item in document['paths'].values())}" in report.stdout
    log = (florin.data_dir / "run.log").read_text()
    assert "request_failed" not in log, log[-5_000:]
    mine = httpx.get(f"{florin.base}/v1/tenant", headers={"authorization": f"Bearer {florin.key}"})
    assert mine.status_code == 200, "its own key was ended on the way: what came after proves nothing"
