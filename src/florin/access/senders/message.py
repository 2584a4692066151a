"""What is sent, and what a sender is."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from florin.kernel.settings import SettingUnusable


class Channel(StrEnum):
    """How a message travels."""

    SMS = "sms"
    EMAIL = "email"


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one person. Its representation shows neither to whom nor what."""

    id: str
    """The same for every attempt at sending it: a gateway knows a repetition by it."""

    channel: Channel
    to: str = field(repr=False)
    """E.164, or an e-mail address."""

    subject: str
    """For e-mail."""

    text: str = field(repr=False)


class NotSent(Exception):
    """The message did not leave, or nobody knows whether it did. Says why, and nothing of the message."""


class SenderMisconfigured(SettingUnusable):
    """The settings of a sender are not complete, or of another form."""


class Sender(Protocol):
    """Sends messages."""

    async def send(self, message: Message) -> None:
        """Hands the message on. Raises NotSent."""

    async def close(self) -> None:
        """Lets go of what is open."""
