"""Calls of versions, each in its model process: the only place outside of the inspection that has a pipeline called.

1. the artifact was admitted, and is there: registry/publishing, registry/storage    2. its descriptor goes to the model
host, which has a process load it, once per machine    3. rows go there, and JSON values come back
"""

import logging
import os
import time
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import sha256
from math import inf
from typing import Any

from django.conf import settings

from mlserve.errors import ArtifactUnavailable, Unavailable
from mlserve.observability.tracing import span
from predictions.batching.backoff import Backoff
from predictions.metrics.counters import count_load
from predictions.model_host.client import Loaded
from predictions.model_host.contents import Specification, packed_call, read_answers, read_raised
from predictions.model_host.errors import HostUnavailable, ModelEnded, ModelRefused
from predictions.model_host.protocol import Kind as MessageKind
from predictions.runtime import host_access
from registry.models import ModelVersion
from registry.models.incident import Kind
from registry.pipelines.outputs import RESULT_NAMES
from registry.publishing.lookup import require_admitted
from registry.sandbox.measurement import parts_in_force
from registry.schema.columns import to_columns
from registry.schema.record import Row
from registry.storage.artifacts import local_copy

log = logging.getLogger(__name__)

# A process may be ended for want of memory between two requests of this one for it.
_MOST_LOADS = 3
_MOST_KEYS = 1_000


# Versions whose artifact was unreachable when it was last loaded.
unreachable: Backoff[int] = Backoff()
# Under what the host knows a version: to it, the same bytes with another schema are another model.
_keys: OrderedDict[tuple[int, str], str] = OrderedDict()
# What this process has seen loaded, under the host's keys; it may be ended meanwhile.
_loaded: OrderedDict[str, Loaded] = OrderedDict()


class Budget:
    """Time for the calls of a batch: `seconds_left` to run, and until `ends_at` together with waiting for others, from
    when the first of them is made: loading has a time of its own.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds, self.seconds_left, self.ends_at = seconds, seconds, inf

    def require_rest(self) -> None:
        """Raises ModelEnded when the calls have run for too long, Unavailable when they have waited for too long."""
        self.ends_at = min(self.ends_at, time.monotonic() + self.seconds)
        if self.seconds_left <= 0:
            raise ModelEnded(Kind.HUNG, f"Its calls took longer than {self.seconds:g} s together.")
        if time.monotonic() >= self.ends_at:
            raise Unavailable("Calls of others took the time of this batch.")


def predict(
    version: ModelVersion, rows: Sequence[Row], outputs: Sequence[str], *, budget: Budget | None = None
) -> dict[str, list[Any]]:
    """One call per output: {"predictions": …} with one JSON value per row, in the rows' order.

    Raises Unavailable when the pipeline is unreachable, ModelEnded when its process hung or ended, else what stands for
    what the pipeline raised. Without a `budget` a call may take MLSERVE_BATCH_SECONDS.
    """
    budget = budget or Budget(settings.MLSERVE_BATCH_SECONDS)
    body = packed_call(to_columns(version.record_schema, rows), len(rows), outputs)
    with span("predict", rows=len(rows)):
        for _ in range(_MOST_LOADS):
            load(version)
            budget.require_rest()
            patience = budget.ends_at - time.monotonic()
            try:
                answer = host_access.client().call(
                    _key_of(version), body, seconds=budget.seconds_left, patience_seconds=patience
                )
            except HostUnavailable as error:
                raise Unavailable(str(error)) from error
            if answer is not None:
                break
            _loaded.pop(_key_of(version), None)
        else:
            raise Unavailable(f"There is not memory enough for all models that are asked for; {version} waits.")
    budget.seconds_left -= answer.head["seconds"]
    if answer.kind is MessageKind.RAISED:
        raise read_raised(answer.body)
    names = [RESULT_NAMES[output] for output in outputs]
    return read_answers(answer.body, names=names, row_count=len(rows))


def load(version: ModelVersion, *, seconds: float | None = None) -> Loaded:
    """Have the version's pipeline in a process, which takes nothing where this process knows that there is one.

    Raises Unavailable, or ModelEnded if its process did not survive loading it. Only what this service admitted is
    read at all. What is loaded is not asked for again: it was admitted.
    """
    key = _key_of(version)
    if (known := _loaded.get(key)) is not None:
        return known
    try:
        with span("load", model=version.model.name, version=version.tag):
            loaded = _load(version, seconds or settings.MLSERVE_BATCH_SECONDS)
    except Unavailable as error:
        if error.may_pass:
            unreachable.begin(version.pk)
        raise
    unreachable.end(version.pk)
    if loaded.is_new:
        count_load(version, loaded.seconds)
        if lacking := set(parts_in_force()) - set(loaded.sandbox):
            log.error("The process of %s has a weaker sandbox than this machine has: without %s", version, lacking)
    _loaded[key] = loaded
    while len(_loaded) > _MOST_KEYS:
        _loaded.popitem(last=False)
    return loaded


def forget_loaded() -> None:
    """Believe no version to be loaded: the host has been replaced."""
    _loaded.clear()


def forget_all() -> None:
    """End all model processes, and forget what is known of versions that could not be loaded."""
    if host_access.is_started():
        host_access.client().forget_all()
    _keys.clear()
    _loaded.clear()
    unreachable.forget_all()


def _load(version: ModelVersion, seconds: float) -> Loaded:
    admitted = require_admitted(version)
    specification = _specification(version, admitted.artifact_format)
    with local_copy(admitted.digest) as path:
        artifact = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return host_access.client().load(_key_of(version), artifact, specification, seconds=seconds)
        except HostUnavailable as error:
            raise Unavailable(str(error)) from error
        except ModelRefused as error:
            if error.untrusted:
                raise ArtifactUnavailable(
                    f"The {admitted.digest} was admitted, but this process does not trust {error.untrusted}: it was "
                    "started before MLSERVE_TRUSTED_MODULES was changed, or without it. Restart mlserve with the value "
                    "under which the version was admitted, for web and workers alike."
                ) from error
            raise ArtifactUnavailable(error.detail) from error
        finally:
            os.close(artifact)


def _key_of(version: ModelVersion) -> str:
    known = _keys.get((version.pk, version.sha256))
    if known is None:
        specified = version.sha256.encode() + _specification(version, "").packed()
        known = _keys[version.pk, version.sha256] = f"{version.pk} {sha256(specified).hexdigest()}"
        while len(_keys) > _MOST_KEYS:
            _keys.popitem(last=False)
    return known


def _specification(version: ModelVersion, artifact_format: str) -> Specification:
    schema = version.record_schema
    return Specification(
        artifact_format=artifact_format,
        schema=schema.json_schema,
        columns=schema.stored_columns(),
        container=schema.container,
        trusted=list(settings.MLSERVE_TRUSTED_MODULES),
        most_bytes=settings.MLSERVE_INSPECTION_BYTES,
    )
