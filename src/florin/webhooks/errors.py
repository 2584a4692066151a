"""Refusals of the webhooks room."""

from florin.kernel.errors import Conflict, InvalidRequest, NotFound


class EndpointNotFound(NotFound):
    """There is no webhook endpoint with this id."""

    code = "webhook_endpoint_not_found"


class DeliveryNotFound(NotFound):
    """There is no webhook delivery with this id."""

    code = "webhook_delivery_not_found"


class UrlNotAllowed(InvalidRequest):
    """Webhooks cannot be sent to this URL."""

    code = "webhook_url_not_allowed"


class TooManyEndpoints(Conflict):
    """There are as many webhook endpoints as one owner may have."""

    code = "too_many_webhook_endpoints"


class TooManySecrets(Conflict):
    """As many secrets as may sign at a time do: wait until one has expired."""

    code = "too_many_webhook_secrets"


class EndpointDisabled(Conflict):
    """The webhook endpoint is disabled. Enable it first."""

    code = "webhook_endpoint_disabled"


class DeliveryInFlight(Conflict):
    """The delivery is being tried right now."""

    code = "webhook_delivery_in_flight"


class DeliveryWaits(Conflict):
    """An earlier delivery about the same object comes first."""

    code = "webhook_delivery_waits"
