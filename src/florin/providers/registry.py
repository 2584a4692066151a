"""Which providers this process can reach."""

from florin.kernel.settings import Settings
from florin.providers.provider import Provider
from florin.providers.sandbox.client import HttpSandbox
from florin.providers.sandbox.courier import Deliver
from florin.providers.sandbox.in_process import InProcessSandbox
from florin.providers.sandbox.keys import sandbox_keys

SANDBOX_PREFIX = "/sandbox"
"""Where the application mounts the redirect page of the sandbox in process."""

_EVERYWHERE = {"0.0.0.0", "::", ""}  # noqa: S104, compared with, not bound to


def open_providers(settings: Settings, *, deliver_webhook: Deliver) -> dict[str, Provider]:
    """The providers by name. Whoever opens them closes them.

    Args:
        settings: `sandbox_url` decides between the sandbox over HTTP and the one in process.
        deliver_webhook: takes a webhook of the sandbox in process; raises when it was not stored.
            It is given what the HTTP form would post: headers with a signature, and the body.
    """
    keys = sandbox_keys(settings)
    if settings.sandbox_url is not None:
        return {"sandbox": HttpSandbox(settings.sandbox_url, keys=keys)}
    host = "127.0.0.1" if settings.host in _EVERYWHERE else settings.host
    at = f"[{host}]" if ":" in host else host
    redirect_url = f"{settings.scheme}://{at}:{settings.port}{SANDBOX_PREFIX}/redirect"
    return {"sandbox": InProcessSandbox(keys=keys, deliver=deliver_webhook, redirect_url=redirect_url)}
