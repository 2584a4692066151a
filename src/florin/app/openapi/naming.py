"""Names of operations (`createPayment`), and the tags under which the reference shows them."""

from typing import Any, Final

TAGS: Final[list[dict[str, Any]]] = [
    {"name": "Payments", "description": "Take money: charge at once, or authorize, capture, cancel."},
    {"name": "Refunds", "description": "Give back what was captured, in full or in parts."},
    {"name": "Events", "description": "What happened, newest first; the same that webhooks tell."},
    {
        "name": "Webhooks",
        "description": "Endpoints that hear of events, and what was delivered to them. Webhooks follow "
        "[Standard Webhooks](https://www.standardwebhooks.com): headers `webhook-id`, "
        "`webhook-timestamp`, `webhook-signature`.",
    },
    {"name": "Accounts", "description": "The accounts of the double-entry ledger, balances and statements."},
    {
        "name": "Chart of accounts",
        "description": "What codes mean: classes of accounts, and what binds them.",
    },
    {"name": "Limits", "description": "Bounds on what several accounts hold together."},
    {"name": "Transfers", "description": "Legs that balance per currency, posted at once or not at all."},
    {
        "name": "Holds",
        "description": "Money reserved, to be posted in full or in part, voided, or to expire.",
    },
    {"name": "Monitors", "description": "Conditions on balances; whoever posts across one makes an event."},
    {
        "name": "Clearing",
        "description": "Accounts that are to return to zero: what on them has not, since when, and why.",
    },
    {"name": "Exchanges", "description": "One currency for another, at a rate that is kept."},
    {"name": "Templates", "description": "Named, versioned recipes for postings."},
    {"name": "Reports", "description": "Statements, journal, general ledger and trial balance of a period."},
    {
        "name": "Periods",
        "description": "Closed for good: nothing more counts in them. Corrections go into the open period.",
    },
    {
        "name": "Seals",
        "description": "Signed heads of the transfer log (RFC 6962), and proofs that need nothing but a key.",
    },
    {
        "name": "Proof",
        "description": "How far the books have been verified against their own log, and what was found.",
    },
    {"name": "Bulk", "description": "Accounts, opening balances and history as CSV or Parquet, in and out."},
    {"name": "Tenant", "description": "The tenant that the key belongs to, its parts and its usage."},
    {"name": "Partners", "description": "Those who call the API in the tenant's name."},
    {"name": "Customers", "description": "Those who pay."},
    {"name": "Configuration", "description": "Settings, each in force from an instant on."},
    {"name": "Users", "description": "Those who sign in: people of the tenant and of its partners."},
    {"name": "Roles", "description": "What users may do: roles, and who has which, where and until when."},
    {"name": "Platform", "description": "For the tenant PLATFORM, which runs the house: all tenants."},
    {"name": "API keys", "description": "Make, rotate and revoke keys. A secret is shown once."},
    {"name": "Sign-in", "description": "Passwords, codes and second factors, for users who sign in."},
    {"name": "Me", "description": "What is a signed-in user's own. Keys do not reach it."},
    {"name": "Sessions", "description": "Where users are signed in: renewed, listed, ended."},
    {
        "name": "OAuth",
        "description": "Access tokens for clients (RFC 6749, client credentials), and how to verify tokens.",
    },
    {"name": "Audit", "description": "Who changed or was shown what, when, from where and why."},
    {"name": "Privacy", "description": "How long what is kept, who is not to be erased, and why."},
    {"name": "Reference", "description": "Currencies and payment methods, the same for everybody."},
    {"name": "Providers", "description": "Where payment providers report. Authentic by their signature."},
    {"name": "Operation", "description": "For load balancers, orchestrators and Prometheus."},
]

_IRREGULAR: Final = {
    ("get", "/healthz"): "checkHealth",
    ("get", "/readyz"): "checkReadiness",
    ("get", "/metrics"): "readMetrics",
    ("post", "/v1/transfers/batch"): "createTransfers",
    ("get", "/v1/statements"): "getStatements",
    ("get", "/v1/reports/journal"): "getJournal",
    ("get", "/v1/reports/general-ledger"): "getGeneralLedger",
    ("get", "/v1/reports/trial-balance"): "getPeriodTrialBalance",
    ("post", "/v1/periods/close"): "closePeriod",
    ("get", "/v1/clearing"): "listClearingAccounts",
    ("get", "/v1/clearing/{account_id}/items/{transfer_id}/trail"): "getClearingTrail",
    ("post", "/v1/transfers/sets"): "createTransferSet",
    ("post", "/v1/transfers/dry-run"): "dryRunTransfers",
    ("get", "/v1/exchanges/positions"): "listExchangePositions",
    ("get", "/v1/seals/checkpoints"): "listCheckpoints",
    ("get", "/v1/seals/checkpoints/latest"): "getLatestCheckpoint",
    ("get", "/v1/seals/keys"): "listSealKeys",
    ("post", "/v1/seals/keys"): "createSealKey",
    ("get", "/v1/seals/consistency"): "getConsistencyProof",
    ("post", "/v1/webhook-endpoints/{endpoint_id}/rotate-secret"): "rotateWebhookEndpointSecret",
    ("delete", "/v1/webhook-endpoints/{endpoint_id}"): "disableWebhookEndpoint",
    ("post", "/v1/chart/nodes"): "createChartNode",
    ("get", "/v1/chart/nodes/{code}"): "getChartNode",
    ("patch", "/v1/chart/nodes/{code}"): "updateChartNode",
    ("delete", "/v1/chart/nodes/{code}"): "deleteChartNode",
    ("get", "/v1/chart/templates"): "listChartTemplates",
    ("post", "/v1/chart/templates/{name}/apply"): "applyChartTemplate",
    ("get", "/v1/chart/balance"): "getChartBalance",
    ("get", "/v1/audit"): "listAuditEntries",
    ("get", "/v1/audit/export"): "exportAuditLog",
    ("get", "/v1/audit/{audit_id}"): "getAuditEntry",
    ("get", "/v1/platform/schema-changes"): "listSchemaChanges",
    ("post", "/v1/customers/search"): "searchCustomers",
    ("post", "/v1/users/search"): "searchUsers",
    ("get", "/v1/platform/tenants"): "listPlatformTenants",
    ("post", "/v1/platform/tenants"): "createPlatformTenant",
    ("get", "/v1/platform/tenants/{tenant_code}"): "getPlatformTenant",
    ("put", "/v1/platform/tenants/{tenant_code}/status"): "setPlatformTenantStatus",
    ("post", "/providers/{name}/webhooks"): "receiveProviderWebhook",
    ("post", "/v1/auth/sign-in"): "signIn",
    ("post", "/v1/auth/challenge"): "answerChallenge",
    ("post", "/v1/auth/challenge/enrol"): "enrolToSignIn",
    ("post", "/v1/auth/challenge/code"): "sendChallengeCode",
    ("post", "/v1/auth/codes"): "sendCode",
    ("post", "/v1/auth/code-sign-in"): "signInWithCode",
    ("post", "/v1/auth/password"): "resetPassword",
    ("get", "/v1/me"): "getMe",
    ("post", "/v1/me/password"): "changePassword",
    ("post", "/v1/me/totp"): "enrolTotp",
    ("post", "/v1/me/totp/confirm"): "confirmTotp",
    ("post", "/v1/me/totp/disable"): "disableTotp",
    ("post", "/v1/me/code-factor"): "chooseCodeFactor",
    ("post", "/v1/me/recovery-codes"): "renewRecoveryCodes",
    ("post", "/v1/me/codes"): "sendOwnCode",
    ("post", "/v1/me/contacts/verify"): "verifyContact",
    ("post", "/v1/users/{user_id}/reset-second-factor"): "resetSecondFactor",
    ("post", "/v1/auth/refresh"): "refreshTokens",
    ("post", "/v1/auth/sign-out"): "signOut",
    ("get", "/v1/me/sessions"): "listOwnSessions",
    ("post", "/v1/me/sessions/end-others"): "endOtherSessions",
    ("post", "/v1/me/sessions/{session_id}/end"): "endOwnSession",
    ("post", "/v1/users/{user_id}/sessions/end"): "endUserSessions",
    ("post", "/v1/users/{user_id}/sessions/{session_id}/end"): "endUserSession",
    ("post", "/v1/oauth/token"): "createAccessToken",
    ("post", "/v1/oauth/introspect"): "introspectToken",
    ("get", "/.well-known/jwks.json"): "getSigningKeys",
    ("get", "/.well-known/oauth-authorization-server"): "getAuthorizationServer",
}
_PLURALS: Final = {"config": "settings"}
_VERBS: Final = {"patch": "update", "put": "set", "delete": "delete"}


def operation_id(method: str, path: str) -> str:
    """`listPayments`, `createPayment`, `capturePayment`, `listPaymentEvents` of a method and a path."""
    irregular = _IRREGULAR.get((method, path))
    if irregular is not None:
        return irregular
    plural, *rest = [_PLURALS.get(part, part) for part in path.removeprefix("/v1/").split("/")]
    one = _camel(_singular(plural))
    match rest:
        case []:
            many = plural.endswith("s")
            verb = {"get": "list" if many else "get", "post": "create"}.get(method) or _VERBS[method]
            return verb + (_camel(plural) if verb == "list" else one)
        case [_]:
            return (_VERBS.get(method) or "get") + one
        case [_, part] if method == "post":
            return part + one
        case [_, part]:
            return ("list" if part.endswith("s") else "get") + one + _camel(part)
        case _:
            raise ValueError(f"{method} {path} has no name")


def sentence(name: str) -> str:
    """`Change a business unit` of the function `patch_business_unit`."""
    verb, _, rest = name.partition("_")
    verb = {"patch": "change", "put": "set", "get": "read"}.get(verb, verb)
    thing = rest.replace("_", " ").replace("api ", "API ")
    if verb == "list":
        return f"List {thing}"
    article = "the" if thing in ("tenant", "usage") else "an" if thing[0] in "aeioA" else "a"
    return f"{verb.capitalize()} {article} {thing}"


def _singular(plural: str) -> str:
    if plural.endswith("ies"):
        return plural[:-3] + "y"
    return plural.removesuffix("s")


def _camel(text: str) -> str:
    return "".join(word.capitalize() for word in text.split("-"))
