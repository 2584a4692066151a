"""The `florin` command in a process of its own, forked from one that has imported it already.

Reading the code takes most of a command's time; hundreds of commands need not read it again. A request is
a line of JSON on stdin; the answer is the exit code. This process starts no thread, so that it may fork.
"""

import json
import os
import sys
import traceback
from typing import Any


def serve() -> None:
    """Answers until stdin ends."""
    from florin.cli import main as entry
    from florin.cli.lazy import GROUPS, load

    for name in GROUPS:
        load(name)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _run(request, entry)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(request: dict[str, Any], entry: Any) -> None:
    for descriptor, path in ((0, os.devnull), (1, request["stdout"]), (2, request["stderr"])):
        flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(path, flags), descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["florin", *request["arguments"]]
    code = 1
    try:
        entry.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - what the interpreter would do
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
