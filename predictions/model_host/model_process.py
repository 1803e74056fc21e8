"""What runs in a model process: it enters the sandbox, loads one artifact, then answers calls until it is ended.

It was forked from a parent that has imported libraries and nothing else, and knows one connection, to the model host.
"""

import faulthandler
import gc
import json
import os
import time
from functools import partial
from typing import Any

import orjson

from predictions.model_host.contents import MOST_VALUES, Specification, unpacked_call, values_in
from predictions.model_host.protocol import MOST_ANSWER_BYTES, Kind, Message, of_ours, packed, receive, write_all
from registry.formats import loading
from registry.pipelines import calls
from registry.pipelines.wrappers import as_pipeline
from registry.sandbox.sandbox import Sandbox, enter
from registry.schema.record import RecordSchema

# Of what is told of an exception; its caller shows less.
_MOST_WORDS = 2_000


def run(connection: int, artifact: int, dump: int) -> None:
    """Serve until the connection ends. `dump` is where faulthandler writes when the process crashes."""
    reader, read = of_ours(), partial(os.read, connection)
    specification = Specification.unpacked(receive(read, reader).body)
    artifact = _opened_anew(artifact)
    faulthandler.enable(dump, all_threads=True)
    write = partial(write_all, connection)
    held = enter(Sandbox(specification.most_bytes, None, keep_open=(connection, artifact, dump)))
    started = time.monotonic()
    try:
        pipeline, schema = _load(artifact, specification)
    except loading.CannotLoad as error:
        untrusted = error.name if isinstance(error, loading.NotTrusted) else ""
        write(_texts(Kind.REFUSED, detail=f"{error.detail} {error.fix}", untrusted=untrusted))
        return
    except BaseException as error:  # noqa: BLE001 - code of the artifact may raise anything
        write(_texts(Kind.REFUSED, detail=f"It cannot be loaded: {type(error).__name__}: {_words_of(error)}"))
        return
    write(_json(Kind.READY, {"seconds": time.monotonic() - started, "sandbox": held}))
    while True:
        message = receive(read, reader)
        write(_answer(pipeline, schema, message.body))


def _opened_anew(artifact: int) -> int:
    """With a position of its own: another process of the same version may read through the same descriptor."""
    try:
        return os.open(f"/proc/self/fd/{artifact}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # not Linux
        return artifact


def _load(artifact: int, specification: Specification) -> tuple[Any, RecordSchema]:
    with open(artifact, "rb") as file:
        found = loading.recognize(file)
        if found != specification.artifact_format:
            raise loading.CannotLoad(f"It was admitted as {specification.artifact_format}, and is {found}.", "")
        loaded = loading.load(file, trusted=specification.trusted, max_bytes=specification.most_bytes)
    pipeline = as_pipeline(loaded.pipeline)
    calls.use_one_thread(pipeline)
    _limit_threads()
    gc.freeze()  # or each call would look through the objects of a large model
    schema = RecordSchema.from_stored(specification.schema, specification.columns, specification.container)
    return pipeline, schema


def _limit_threads() -> None:
    """BLAS and OpenMP on one thread from now on. Unpickling may have loaded a library with threads of its own."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1)


def _answer(pipeline: Any, schema: RecordSchema, body: bytes) -> bytes:
    try:
        columns, row_count, outputs = unpacked_call(body)
        answer = _json(Kind.ANSWER, calls.run(pipeline, schema, columns, row_count, outputs))
        if len(answer) > MOST_ANSWER_BYTES or values_in(answer) > MOST_VALUES:  # fewer rows may have smaller ones
            raise OverflowError(
                f"its answers have {len(answer)} bytes and about {values_in(answer)} values; a call may have "
                f"{MOST_ANSWER_BYTES} and {MOST_VALUES}"
            )
        return answer
    except BaseException as error:  # noqa: BLE001 - also SystemExit: what a pipeline raises is an error of its rows
        return _texts(Kind.RAISED, kind=type(error).__name__, message=_words_of(error))


def _words_of(error: BaseException) -> str:
    """Its message, unless that raises, too."""
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - code of the artifact
        return ""


def _texts(kind: Kind, /, **texts: str) -> bytes:
    """Cut, and without what UTF-8 cannot carry, so that it can be told in any case."""
    return _json(
        kind,
        {name: text[:_MOST_WORDS].encode(errors="backslashreplace").decode() for name, text in texts.items()},
    )


def _json(kind: Kind, value: Any) -> bytes:
    """A message for the host. Whole numbers beyond 64 bits, which orjson refuses, take the slower way."""
    try:
        body = orjson.dumps(value)
    except orjson.JSONEncodeError:
        body = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    return packed(Message(kind, None, body))
