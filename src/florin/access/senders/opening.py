"""The senders that the settings name."""

from urllib.parse import urlsplit

from florin.access.senders.console import ConsoleSender
from florin.access.senders.file import FileSender
from florin.access.senders.http import DEFAULT_TEMPLATE, HttpSender
from florin.access.senders.message import Channel, Message, Sender, SenderMisconfigured
from florin.kernel.outbound import Confinement
from florin.kernel.settings import Settings


class Senders:
    """One sender per channel."""

    def __init__(self, by_channel: dict[Channel, Sender]) -> None:
        self._by_channel = by_channel

    async def send(self, message: Message) -> None:
        """Hands the message to its channel's sender. Raises NotSent."""
        await self._by_channel[message.channel].send(message)

    async def close(self) -> None:
        """Closes them all."""
        for sender in self._by_channel.values():
            await sender.close()


def open_senders(settings: Settings) -> Senders:
    """The senders of the settings. Raises SenderMisconfigured."""
    return Senders({channel: _open(settings, channel) for channel in Channel})


def _open(settings: Settings, channel: Channel) -> Sender:
    name = f"FLORIN_{channel.upper()}"
    kind: str = getattr(settings, f"{channel}_sender")
    if kind == "console":
        return ConsoleSender()
    if kind == "file":
        return FileSender(settings.data_dir / "messages.jsonl")
    url: str | None = getattr(settings, f"{channel}_url")
    if url is None:
        raise SenderMisconfigured(f"{name}_SENDER is http, and {name}_URL is not set")
    secret = getattr(settings, f"{channel}_secret")
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    trusted = (
        frozenset({(parts.hostname or "", port)}) if settings.trust_gateways else frozenset[tuple[str, int]]()
    )
    try:
        return HttpSender(
            url,
            secret=None if secret is None else secret.get_secret_value(),
            template=getattr(settings, f"{channel}_template") or DEFAULT_TEMPLATE,
            confinement=Confinement(trusted=trusted),
        )
    except SenderMisconfigured as wrong:
        raise SenderMisconfigured(f"{name}_URL or {name}_TEMPLATE: {wrong}") from None
