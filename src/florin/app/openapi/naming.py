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
    {"name": "Transfers", "description": "Legs that balance per currency, posted at once or not at all."},
    {
        "name": "Holds",
        "description": "Money reserved, to be posted in full or in part, voided, or to expire.",
    },
    {"name": "Bulk", "description": "Accounts, opening balances and history as CSV or Parquet, in and out."},
    {"name": "Tenant", "description": "The tenant that the key belongs to, its parts and its usage."},
    {"name": "Partners", "description": "Those who call the API in the tenant's name."},
    {"name": "Customers", "description": "Those who pay."},
    {"name": "Configuration", "description": "Settings, each in force from an instant on."},
    {"name": "API keys", "description": "Make, rotate and revoke keys. A secret is shown once."},
    {"name": "Reference", "description": "Currencies and payment methods, the same for everybody."},
    {"name": "Providers", "description": "Where payment providers report. Authentic by their signature."},
    {"name": "Operation", "description": "For load balancers, orchestrators and Prometheus."},
]

_IRREGULAR: Final = {
    ("get", "/healthz"): "checkHealth",
    ("get", "/readyz"): "checkReadiness",
    ("get", "/metrics"): "readMetrics",
    ("post", "/v1/transfers/batch"): "createTransfers",
    ("post", "/v1/webhook-endpoints/{endpoint_id}/rotate-secret"): "rotateWebhookEndpointSecret",
    ("delete", "/v1/webhook-endpoints/{endpoint_id}"): "disableWebhookEndpoint",
    ("post", "/providers/{name}/webhooks"): "receiveProviderWebhook",
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
