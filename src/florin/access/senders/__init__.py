"""How codes reach people: a sender per channel, chosen by the operator.

Built in: `console` (stderr of the process, for a laptop), `file` (JSON lines, for tests and for a mailer of
one's own that reads along) and `http` (a gateway's API). Others have the one method of `Sender`.
"""

from florin.access.senders.message import Channel, Message, NotSent, Sender, SenderMisconfigured
from florin.access.senders.opening import Senders, open_senders

__all__ = ["Channel", "Message", "NotSent", "Sender", "SenderMisconfigured", "Senders", "open_senders"]
