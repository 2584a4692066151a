import logging
from collections.abc import Iterator

import pytest
import structlog

from florin.kernel.log import configure_logging, redact


def test_what_is_named_like_a_secret_is_masked() -> None:
    names = ["authorization", "api_key", "client_secret", "token", "password", "body", "webhook_signature"]
    event = redact(None, "info", {"event": "x", **dict.fromkeys(names, "value"), "amount": 5})
    assert all(event[name] == "***" for name in names)
    assert event["amount"] == 5


def test_what_reads_like_a_secret_is_masked_inside_text() -> None:
    event = redact(
        None,
        "error",
        {
            "event": "failed",
            "error": "key fl_test_1_abcDEF-_123 at postgresql://app:pw@host/db with whsec_QUJD",
        },
    )
    assert "fl_test_1_abc" not in event["error"]
    assert "pw@" not in event["error"]
    assert "QUJD" not in event["error"]
    assert event["event"] == "failed"


def test_card_data_and_the_rows_that_postgresql_repeats_are_masked() -> None:
    text = (
        "CheckViolation: new row breaks payments_amount_check\n"
        "DETAIL:  Failing row contains (7, ann@example.org).\nCONTEXT:  SQL function"
    )
    event = redact(
        None,
        "error",
        {"event": "failed", "exception": text, "reason": "4242 4242 4242 4242 as tok_planted, password=pw x"},
    )
    assert "ann@" not in event["exception"]
    assert "CONTEXT:  SQL function" in event["exception"]
    assert event["reason"] == "*** as ***, password=*** x"


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """What a test configures here writes to a stream that ends with the test."""
    root = logging.getLogger()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    yield
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("logging_restored")
def test_a_traceback_shows_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    for style in ("console", "json"):
        configure_logging("info", style)
        header = "Bearer " + "fl_test_1_planted"
        try:
            int("broken")
        except ValueError:
            structlog.get_logger(style).exception("failed", method="POST")
        said = capsys.readouterr().err
        assert "ValueError: invalid literal" in said
        assert "planted" not in said, header[:6]
