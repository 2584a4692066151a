"""Names of operations."""

import pytest

from florin.app.openapi.naming import operation_id, sentence


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("get", "/v1/payments", "listPayments"),
        ("post", "/v1/payments", "createPayment"),
        ("get", "/v1/payments/{payment_id}", "getPayment"),
        ("post", "/v1/payments/{payment_id}/capture", "capturePayment"),
        ("get", "/v1/payments/{payment_id}/events", "listPaymentEvents"),
        ("get", "/v1/accounts/{account_id}/balance", "getAccountBalance"),
        ("get", "/v1/currencies", "listCurrencies"),
        ("patch", "/v1/business-units/{unit_id}", "updateBusinessUnit"),
        ("delete", "/v1/partners/{partner_id}", "deletePartner"),
        ("put", "/v1/config/{key}", "setSetting"),
        ("patch", "/v1/tenant", "updateTenant"),
        ("get", "/v1/trial-balance", "getTrialBalance"),
        ("post", "/v1/transfers/batch", "createTransfers"),
    ],
)
def test_an_operation_is_named_for_what_it_does(method: str, path: str, name: str) -> None:
    assert operation_id(method, path) == name


def test_a_path_that_fits_no_rule_is_not_named_by_guessing() -> None:
    with pytest.raises(ValueError, match="has no name"):
        operation_id("get", "/v1/a/{b}/c/{d}")


@pytest.mark.parametrize(
    ("function", "text"),
    [
        ("patch_business_unit", "Change a business unit"),
        ("create_api_key", "Create an API key"),
        ("list_customers", "List customers"),
        ("read_tenant", "Read the tenant"),
    ],
)
def test_a_function_without_a_summary_lends_its_name(function: str, text: str) -> None:
    assert sentence(function) == text
