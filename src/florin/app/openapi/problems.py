"""Examples of problems, as the gate would render them."""

from typing import Any, Final

import orjson

from florin.access.errors import ApiKeyAlreadyRotated, ApiKeyEnded, ApiKeyNotFound, TenantNotActive
from florin.access.people.errors import (
    AssignmentExists,
    AssignmentNotFound,
    LastAdministrator,
    RoleCodeTaken,
    RoleInUse,
    RoleNotFound,
    UserExists,
    UserNotFound,
    UserStateConflict,
)
from florin.access.sessions.errors import SessionNotFound
from florin.access.signin.errors import (
    ContactNotVerified,
    PasswordRefused,
    SecondFactorMissing,
    SecondFactorOn,
)
from florin.audit.errors import AuditEntryNotFound
from florin.kernel.errors import (
    Forbidden,
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
    InvalidRequest,
    MalformedRequest,
    NotFound,
    Refusal,
    RequestInFlight,
    TimedOut,
    TooLarge,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
    UsersOnly,
)
from florin.kernel.http.problem import render
from florin.ledger.bulk.errors import ImportInProgress, ImportNotFound
from florin.ledger.chart.errors import (
    ChartConflict,
    ChartNodeExists,
    ChartNodeNotFound,
    ChartTemplateNotFound,
)
from florin.ledger.clearing.errors import NotAClearingAccount
from florin.ledger.errors import (
    AccountCodeTaken,
    AccountFrozen,
    AccountNotEmpty,
    AccountNotFound,
    AlreadyReversed,
    HoldClosed,
    HoldNotFound,
    InsufficientFunds,
    LimitNotFound,
    TransferNotFound,
)
from florin.ledger.exchange.errors import RateMismatch
from florin.ledger.limits.errors import LimitNameTaken
from florin.ledger.monitors.errors import MonitorNotFound, TooManyMonitors
from florin.ledger.recipes.errors import (
    AccountOfAnotherKind,
    ParameterInvalid,
    TemplateBuiltIn,
    TemplateInvalid,
    TemplateNotFound,
)
from florin.ledger.seals.errors import CheckpointNotFound, LogAltered, NotSealedYet
from florin.ledger.times.errors import PeriodAlreadyClosed
from florin.payments.errors import (
    EventNotFound,
    LedgerRefused,
    PaymentNotCancellable,
    PaymentNotCapturable,
    PaymentNotConfirmable,
    PaymentNotFound,
    PaymentNotRefundable,
    ProviderNotFound,
    RefundExceedsRemaining,
    RefundNotFound,
)
from florin.privacy.errors import (
    AlreadyReleased,
    LegalHoldNotFound,
    PersonErased,
    UnderLegalHold,
)
from florin.tenancy.errors import (
    BusinessUnitNotFound,
    CustomerNotFound,
    EmailTaken,
    PartnerNotFound,
    PlatformStaysActive,
    ReferenceTaken,
    SettingExists,
    SettingNotFound,
    TenantCodeTaken,
    TenantNotFound,
)
from florin.webhooks.errors import (
    DeliveryInFlight,
    DeliveryNotFound,
    EndpointDisabled,
    EndpointNotFound,
    TooManyEndpoints,
    TooManySecrets,
)

_REQUEST_ID: Final = "req_01h455vb4pex5vsknk084sn02q"

_NOT_FOUND: Final[dict[str, type[Refusal]]] = {
    "getMe": UserNotFound,
    "changePassword": UserNotFound,
    "Totp": UserNotFound,
    "CodeFactor": UserNotFound,
    "RecoveryCodes": UserNotFound,
    "sendOwnCode": UserNotFound,
    "verifyContact": UserNotFound,
    "unlockUser": UserNotFound,
    "resetSecondFactor": UserNotFound,
    "endUserSessions": UserNotFound,
    "endUserSession": SessionNotFound,
    "endOwnSession": SessionNotFound,
    "listUserSessions": UserNotFound,
    "createRefund": PaymentNotFound,
    "createMonitor": AccountNotFound,
    "Monitor": MonitorNotFound,
    "Clearing": NotAClearingAccount,
    "Payment": PaymentNotFound,
    "Refund": RefundNotFound,
    "WebhookEndpoint": EndpointNotFound,
    "WebhookDelivery": DeliveryNotFound,
    "Event": EventNotFound,
    "ChartNode": ChartNodeNotFound,
    "ChartTemplate": ChartTemplateNotFound,
    "Limit": LimitNotFound,
    "getLatestCheckpoint": CheckpointNotFound,
    "getConsistencyProof": CheckpointNotFound,
    "Account": AccountNotFound,
    "createTransfer": AccountNotFound,
    "createExchange": AccountNotFound,
    "Template": TemplateNotFound,
    "Transfer": TransferNotFound,
    "createHold": AccountNotFound,
    "releaseLegalHold": LegalHoldNotFound,
    "LegalHold": CustomerNotFound,
    "Hold": HoldNotFound,
    "Import": ImportNotFound,
    "Export": NotFound,
    "BusinessUnit": BusinessUnitNotFound,
    "eraseUser": UserNotFound,
    "Customer": CustomerNotFound,
    "Partner": PartnerNotFound,
    "Setting": SettingNotFound,
    "ApiKey": ApiKeyNotFound,
    "AuditEntry": AuditEntryNotFound,
    "PlatformTenant": TenantNotFound,
    "listUsers": RoleNotFound,
    "listAssignments": RoleNotFound,
    "User": UserNotFound,
    "Role": RoleNotFound,
    "Assignment": AssignmentNotFound,
    "Provider": ProviderNotFound,
    "getStatements": AccountNotFound,
    "getJournal": AccountNotFound,
    "getGeneralLedger": AccountNotFound,
    "getPeriodTrialBalance": AccountNotFound,
}
"""By operation id, or by what its name holds; the first that fits."""

_CONFLICTS: Final[dict[str, type[Refusal]]] = {
    "enrolToSignIn": SecondFactorOn,
    "sendChallengeCode": ContactNotVerified,
    "sendOwnCode": ContactNotVerified,
    "Totp": SecondFactorMissing,
    "CodeFactor": ContactNotVerified,
    "RecoveryCodes": SecondFactorMissing,
    "createPayment": LedgerRefused,
    "confirmPayment": PaymentNotConfirmable,
    "capturePayment": PaymentNotCapturable,
    "cancelPayment": PaymentNotCancellable,
    "createRefund": PaymentNotRefundable,
    "Monitor": TooManyMonitors,
    "createChartNode": ChartNodeExists,
    "Chart": ChartConflict,
    "Limit": LimitNameTaken,
    "createAccount": AccountCodeTaken,
    "updateAccount": AccountNotEmpty,
    "getTransferProof": NotSealedYet,
    "getConsistencyProof": LogAltered,
    "reverseTransfer": AlreadyReversed,
    "correctTransfer": AlreadyReversed,
    "createExchange": AccountFrozen,
    "setTemplate": TemplateBuiltIn,
    "postTemplate": AccountOfAnotherKind,
    "createTransfer": AccountFrozen,
    "createHold": AccountFrozen,
    "releaseLegalHold": AlreadyReleased,
    "LegalHold": PersonErased,
    "Hold": HoldClosed,
    "closePeriod": PeriodAlreadyClosed,
    "Import": ImportInProgress,
    "createWebhookEndpoint": TooManyEndpoints,
    "rotateWebhookEndpointSecret": TooManySecrets,
    "WebhookEndpoint": EndpointDisabled,
    "WebhookDelivery": DeliveryInFlight,
    "eraseUser": UnderLegalHold,
    "eraseCustomer": UnderLegalHold,
    "Customer": ReferenceTaken,
    "Partner": EmailTaken,
    "Setting": SettingExists,
    "updateApiKey": ApiKeyEnded,
    "ApiKey": ApiKeyAlreadyRotated,
    "createPlatformTenant": TenantCodeTaken,
    "PlatformTenant": PlatformStaysActive,
    "createUser": UserExists,
    "updateUser": UserExists,
    "deleteUser": LastAdministrator,
    "User": UserStateConflict,
    "createRole": RoleCodeTaken,
    "Role": RoleInUse,
    "createAssignment": AssignmentExists,
    "endAssignment": LastAdministrator,
}

_PASSWORD_REFUSED: Final = PasswordRefused(
    "password: the password is one of the most common passwords",
    param="password",
    errors=[
        {
            "param": "password",
            "rule": "common",
            "detail": "the password is one of the most common passwords",
        }
    ],
)

_BROKEN_RULES: Final[dict[str, Refusal]] = {
    "resetPassword": _PASSWORD_REFUSED,
    "createRefund": RefundExceedsRemaining(
        "only 2100 minor units are left to refund", param="amount", remaining=2100
    ),
    "createTransfer": InsufficientFunds(param="legs[0].amount"),
    "createHold": InsufficientFunds(param="legs[0].amount"),
    "createTransferSet": InsufficientFunds(param="transfers[3].legs[0].amount"),
    "createExchange": RateMismatch(
        "the rate gives 9214, 9200 was agreed; a difference of 1 is allowed", param="buy.amount"
    ),
    "setTemplate": TemplateInvalid("legs[0].debit: there is no parameter fee", param="legs[0].debit"),
    "postTemplate": ParameterInvalid("the parameter currency is missing", param="parameters.currency"),
}

_WRONG_LIMIT: Final = InvalidRequest(
    "limit: Input should be less than or equal to 100",
    param="limit",
    errors=[
        {"param": "limit", "rule": "less_than_equal", "detail": "Input should be less than or equal to 100"}
    ],
)
ALIKE: Final[dict[int, Refusal]] = {
    401: Unauthenticated(),
    413: TooLarge("the body has 2000000 bytes; 1048576 are allowed"),
    415: UnsupportedMediaType(param="Content-Type"),
    429: TooManyRequests(),
    503: Unavailable(),
    504: TimedOut("no answer within 60 s; whether it was done is not known"),
}
"""What every operation under /v1 answers alike."""

_WRONG_ID: Final = "expected {prefix} and 26 characters"


def problem_examples(operation: dict[str, Any], status: int) -> dict[str, Any]:
    """OpenAPI examples, by code, of what this operation answers with this status."""
    return {
        refusal.code: {"summary": refusal.title, "value": orjson.loads(render(refusal, _REQUEST_ID))}
        for refusal in _refusals(operation, status)
    }


def _refusals(operation: dict[str, Any], status: int) -> list[Refusal]:
    if status in ALIKE:
        return [ALIKE[status]]
    name: str = operation["operationId"]
    keyed = any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", ()))
    found: list[Refusal] = []
    match status:
        case 400:
            found = [IdempotencyKeyMissing()] if keyed else []
            found.append(MalformedRequest("the body is not JSON: Expecting value at character 11"))
        case 403:
            found = [_forbidden(operation["security"])]
        case 404:
            found = [_NOT_FOUND[_key(_NOT_FOUND, name)]()]
        case 409:
            found = [_CONFLICTS[_key(_CONFLICTS, name)]()]
            found += [RequestInFlight()] if keyed else []
        case 422:
            found = [_broken_rule(operation)]
            found += [_BROKEN_RULES[name]] if name in _BROKEN_RULES else []
            found += [IdempotencyKeyReused()] if keyed else []
    return found


def _forbidden(security: list[dict[str, list[str]]]) -> Refusal:
    match security:
        case [{"key": [scope]}]:
            return Forbidden(f"the key has no scope {scope}", scope=scope)
        case [_]:
            return UsersOnly()
    return TenantNotActive()


def _broken_rule(operation: dict[str, Any]) -> InvalidRequest:
    """A field that this operation has, and a rule that it can break."""
    if "requestBody" in operation:
        return _invalid("colour", "extra_forbidden", "Extra inputs are not permitted")
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == "limit":
            return _WRONG_LIMIT
        pattern = parameter["schema"].get("pattern", "")
        if parameter["in"] == "path" and "_[0-7]" in pattern:
            prefix = pattern[1 : pattern.index("_[0-7]") + 1]
            return _invalid(parameter["name"], "value_error", _WRONG_ID.format(prefix=prefix))
    return _invalid("colour", "extra_forbidden", "there is no such query parameter here")


def _invalid(param: str, rule: str, detail: str) -> InvalidRequest:
    return InvalidRequest(
        f"{param}: {detail}", param=param, errors=[{"param": param, "rule": rule, "detail": detail}]
    )


def _key(table: dict[str, type[Refusal]], name: str) -> str:
    """Raises StopIteration for an operation of which the table knows nothing: then it wants a line."""
    return next(key for key in table if key in name)
