"""The program of the model host: `python -P -m predictions.model_host.main LISTENER CACHE_BYTES CORES`.

It is executed anew, with an environment of its own, by a process of the service, and ends when its standard input does.
`--model …` is what its fork server executes where a forked process cannot use the libraries of its parent.
"""

import gc
import os
import resource
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress

from mlserve.processes.naming import name_this_process
from mlserve.processes.secret_memory import hide_memory
from predictions.model_host import fork_server, model_process
from predictions.model_host.host import Host
from predictions.model_host.pool import Limits
from registry.sandbox.sandbox import prepare


def main(arguments: Sequence[str]) -> None:
    if arguments[0] == "--model":
        connection, artifact, dump = map(int, arguments[1:])
        model_process.run(connection, artifact, dump)
        return
    listener, cache_bytes, cores = map(int, arguments)
    name_this_process("model host")
    hide_memory()  # rows of callers pass through it
    _allow_many_files()
    _import_libraries()
    own, theirs = socket.socketpair()
    parent = os.fork()
    if parent == 0:
        own.close()
        os.close(listener)
        fork_server.run(theirs)
    theirs.close()
    host = Host(socket.socket(fileno=listener), own, parent, Limits(cache_bytes, cores))
    host.end_with(sys.stdin.fileno())
    host.run()


def _allow_many_files() -> None:
    """Each loaded version takes three descriptors, each client one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65_536) if most > 0 else 65_536, most))


def _import_libraries() -> None:
    """What nearly every pipeline needs, once for all model processes; about 1 s.

    It freezes all objects, because the garbage collector writes into each object that it visits, and processes no
    longer share a page that was written.
    """
    gc.disable()  # imports make little garbage, and looking for it takes a tenth of their time
    from sklearn import ensemble  # noqa: F401

    from predictions.model_host.rehearsal import rehearse

    rehearse()
    prepare()
    gc.freeze()
    # A prediction makes some thousand objects; looking through them every 700 costs it a twelfth of its time.
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


if __name__ == "__main__":
    main(sys.argv[1:])
