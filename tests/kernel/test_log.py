from florin.kernel.log import redact


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
