"""`florin sandbox`: the sandbox provider over a real network path."""

from florin.cli.console import err
from florin.kernel.settings import Settings
from florin.providers.sandbox.keys import sandbox_keys
from florin.providers.sandbox.server import SandboxServer, sandbox_app


async def serve_sandbox(settings: Settings, host: str, port: int, webhook_url: str | None) -> None:
    """Serves until Ctrl-C. `florin run` with FLORIN_SANDBOX_URL then takes payments through it."""
    app = sandbox_app(keys=sandbox_keys(settings), webhook_url=webhook_url)
    shown = f"http://{host}:{port}"
    err.print(f"sandbox provider on {shown}", highlight=False)
    err.print(f"start Florin with FLORIN_SANDBOX_URL={shown}", highlight=False)
    if webhook_url is None:
        err.print("no --webhook-url: late outcomes are found by inquiry only", highlight=False)
    await SandboxServer(app, host=host, port=port).serve()
