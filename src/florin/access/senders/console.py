"""Messages to stderr: for a laptop, where the person who signs in looks at the log anyway."""

import sys

from florin.access.senders.message import Message


class ConsoleSender:
    """Writes the message to stderr of this process, past the log: no log that is shipped elsewhere has it."""

    async def send(self, message: Message) -> None:
        """One line."""
        sys.stderr.write(f"[{message.channel} to {message.to}] {message.text}\n")
        sys.stderr.flush()

    async def close(self) -> None:
        """Nothing is open."""
