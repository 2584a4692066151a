"""Messages to a file: one JSON object a line, readable by its owner alone."""

import asyncio
import os
from pathlib import Path

import orjson

from florin.access.senders.message import Message, NotSent
from florin.kernel.clock import now, rfc3339


class FileSender:
    """Appends messages. Several processes may write to the same file: a line is one write."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def send(self, message: Message) -> None:
        """`{"id", "at", "channel", "to", "subject", "text"}`. Raises NotSent."""
        line = orjson.dumps(
            {
                "id": message.id,
                "at": rfc3339(now()),
                "channel": message.channel,
                "to": message.to,
                "subject": message.subject,
                "text": message.text,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        try:
            await asyncio.to_thread(self._append, line)
        except OSError as error:
            raise NotSent(f"the file cannot be written: {error.strerror}") from None

    async def close(self) -> None:
        """Nothing is open."""

    def _append(self, line: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.fchmod(descriptor, 0o600)  # a file that was there before may be readable by others
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
