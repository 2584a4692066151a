"""What is refused around seals and proofs."""

from florin.kernel.errors import Conflict, InvalidRequest, NotFound


class CheckpointNotFound(NotFound):
    """There is no such checkpoint."""

    code = "checkpoint_not_found"


class NotSealedYet(Conflict):
    """The transfer is not under this checkpoint: it will be sealed within a minute or so of being posted."""

    code = "not_sealed_yet"


class CheckpointsOutOfOrder(InvalidRequest):
    """The first of two checkpoints must not be the larger one."""

    code = "checkpoints_out_of_order"


class LogAltered(Conflict):
    """The log is no longer what was sealed; `florin ledger verify` says where."""

    code = "log_altered"
