"""The model host: the one process of a machine that starts, limits, ends and replaces model processes.

It passes rows and answers on between clients and model processes without looking at them; it has one thread, never
waits, and holds no connection, secret or pipeline.

| what happens | what the host does |
|---|---|
| a call, and a process of its version is idle | hands it over |
| a call, and none is idle | the call waits; after a while, where a core is idle, a further process is started |
| a call takes a second | its process gets a core only where none is wanted otherwise, until it has answered |
| a call or a load takes too long | its process writes its stack and is killed; its client is told that it hung |
| a process ends, crashes, or writes no answer | its client is told how; calls that only waited get a new process |
| the processes take more than the cache may have | idle ones are ended, least recently used first |
| the service is about to stop | calls get some seconds more; what takes longer is given back, without blame |
| a client is gone | its waiting call is dropped; a running one ends, and its answer is dropped |
"""

import marshal
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import inf
from typing import Any, NoReturn

from predictions.model_host import pool
from predictions.model_host.endings import CLOSED, explained, hung
from predictions.model_host.loop import Loop
from predictions.model_host.memory import private_bytes, times_out_of_memory
from predictions.model_host.peer import Peer
from predictions.model_host.pool import Call, Ending, Limits, Model, ModelProcess, State
from predictions.model_host.priority import take_back, yield_to_others
from predictions.model_host.protocol import Kind, Message, ProtocolError, of_model, of_ours, send_with_descriptors

# While something runs or waits, and otherwise.
_BUSY_LOOK_SECONDS, _IDLE_LOOK_SECONDS = 0.05, 5.0
# For a process that hangs to write its stack, and for one that closed its connection to end.
_LAST_SECONDS = 0.5
_MEASURE_SECONDS = 2.0
_OTHERS = "Other calls of the model took too long."
# Usually milliseconds; longer where memory is short.
_FORK_SECONDS = 20.0
# Of what an ended process has written: more than the largest answer.
_MOST_READS = 1024


class Host:
    """`fork_server` is the connection to it, `parent` its process number; `run` returns never."""

    def __init__(
        self,
        listener: socket.socket,
        fork_server: socket.socket,
        parent: int,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parent, self._limits, self._clock = parent, limits, clock
        self._most_seconds = inf
        self._look_at = 0.0
        self._models: dict[str, Model] = {}
        self._forking: deque[ModelProcess] = deque()
        self._by_pid: dict[int, ModelProcess] = {}
        self._listener, self._fork_server = listener, Peer(fork_server, of_ours())
        fork_server.setblocking(True)  # it always reads, and descriptors cannot be sent in parts
        listener.setblocking(False)
        self._loop = Loop()
        self._loop.call_when_readable(listener, self._accept)
        self._loop.call_when_readable(fork_server, self._read_fork_server)

    def run(self) -> NoReturn:
        while True:
            self.step()

    def step(self) -> None:
        """Wait for what comes next, do it, and look at what is due."""
        self._loop.step(max(self._look_at - self._clock(), 0.0))
        if (now := self._clock()) >= self._look_at:
            self._look(now)
            processes = pool.processes_of(self._models.values())
            is_busy = any(process.state is not State.IDLE or process.model.waiting for process in processes)
            self._look_at = now + (_BUSY_LOOK_SECONDS if is_busy else _IDLE_LOOK_SECONDS)

    def end_with(self, descriptor: int) -> None:
        """End this process when the descriptor does: it is held by the process that started this one."""
        self._loop.call_when_readable(descriptor, lambda: os.read(descriptor, 1) or os._exit(0))

    # Clients

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # another descriptor may not be had at the moment; the client waits
            time.sleep(_BUSY_LOOK_SECONDS)
        else:
            self._loop.watch(Peer(connection, of_ours(), may_send_descriptors=True), self._read_client)

    def _read_client(self, peer: Peer) -> None:
        try:
            for message in peer.read():
                self._answer_client(peer, message)
        except (EOFError, ProtocolError):
            self._loop.close(peer)
            for model in self._models.values():
                model.waiting = deque(call for call in model.waiting if call.client is not peer)
                model.loading = [each for each in model.loading if each is not peer]

    def _answer_client(self, peer: Peer, message: Message) -> None:
        match message.kind:
            case Kind.LOAD:
                self._load(peer, message.head, message.body)
            case Kind.CALL:
                self._call(peer, message.head, message.body)
            case Kind.HURRY:
                self._hurry(message.head["seconds"])
                self._loop.send(peer, Message(Kind.HURRY))
            case Kind.STATE:
                self._loop.send(peer, Message(Kind.STATE, None, marshal.dumps(pool.overview(self._models.values()))))
            case Kind.FORGET_ALL:
                self._forget_all()
                self._loop.send(peer, Message(Kind.FORGET_ALL))
            case _:
                raise ProtocolError(f"a {message.kind.name} of a client")

    def _load(self, peer: Peer, head: Mapping[str, Any], body: bytes) -> None:
        artifact = peer.take_descriptor()
        if artifact is None:
            raise ProtocolError("a LOAD without an artifact")
        model = self._models.get(head["key"])
        if model is None:
            model = self._models[head["key"]] = Model(head["key"], body, artifact, head["seconds"])
        else:
            os.close(artifact)
        ready = next((each for each in model.living if each.state is not State.LOADING), None)
        if ready is not None:
            self._loop.send(peer, Message(Kind.LOADED, {**ready.facts, "bytes": ready.size_bytes, "is_new": False}))
            return
        model.loading.append(peer)
        self._supply(model)

    def _call(self, peer: Peer, head: Mapping[str, Any], body: bytes) -> None:
        model = self._models.get(head["key"])
        if model is None:
            self._loop.send(peer, Message(Kind.NOT_LOADED))
            return
        now = self._clock()
        model.waiting.append(Call(peer, body, head["seconds"], now, now + head["patience"]))
        self._supply(model)

    def _supply(self, model: Model) -> None:
        """Hand waiting calls to idle processes, and start a process where one is needed."""
        self._look_soon()
        while model.waiting and (process := model.idle()) is not None:
            call = model.waiting.popleft()
            process.begin(call, self._clock(), self._most_seconds)
            self._loop.send(process.peer, Message(Kind.CALL, None, call.body))
        is_wanted = bool(model.waiting or model.loading)
        if is_wanted and pool.needs_process(model, self._models.values(), self._limits, self._clock()):
            self._start(model)

    def _look_soon(self) -> None:
        self._look_at = min(self._look_at, self._clock() + _BUSY_LOOK_SECONDS)

    def _forget_all(self) -> None:
        for model in list(self._models.values()):
            for process in list(model.processes):
                self._end(process, None)
            for peer in self._take_all(model):
                self._loop.send(peer, Message(Kind.NOT_LOADED))

    def _hurry(self, seconds: float) -> None:
        self._most_seconds, until = seconds, self._clock() + seconds
        for process in pool.processes_of(self._models.values()):
            if process.state in (State.LOADING, State.BUSY):
                process.until = min(process.until, until)

    # Model processes

    def _start(self, model: Model) -> None:
        try:
            (own, theirs), (dump, dump_of_theirs) = socket.socketpair(), os.pipe()
        except OSError as error:
            for peer in self._take_all(model):
                self._loop.send(peer, Message(Kind.FAILED, {"detail": f"No process can be started: {error.strerror}."}))
            return
        os.set_blocking(dump, False)
        until = self._clock() + _FORK_SECONDS
        process = ModelProcess(model, Peer(own, of_model()), dump, until, times_out_of_memory())
        model.processes.append(process)
        self._forking.append(process)
        self._loop.watch(process.peer, lambda _: self._read_process(process))
        self._loop.send(process.peer, Message(Kind.LOAD, None, model.specification))
        with theirs:
            send_with_descriptors(
                self._fork_server.connection, Message(Kind.FORK), (theirs.fileno(), model.artifact, dump_of_theirs)
            )
        os.close(dump_of_theirs)

    def _read_fork_server(self) -> None:
        try:
            for message in self._fork_server.read():
                match message.kind:
                    case Kind.FORKED:
                        self._forked(self._forking.popleft(), message.head["pid"])
                    case Kind.FAILED:
                        self._failed_to_start(self._forking.popleft(), message.head)
                    case Kind.EXITED:
                        process = self._by_pid.pop(message.head["pid"])
                        self._ended(process, message.head["status"])
        except EOFError:
            sys.exit("The fork server of model processes has ended.")

    def _forked(self, process: ModelProcess, pid: int) -> None:
        process.pid, process.begun_at = pid, self._clock()
        process.until = process.begun_at + min(process.model.load_seconds, self._most_seconds)
        self._by_pid[pid] = process
        if process.state is State.ENDING:
            self._kill(process, signal.SIGKILL)

    def _failed_to_start(self, process: ModelProcess, head: Mapping[str, Any]) -> None:
        model = process.model
        self._discard(process)
        if not model.living:
            for peer in self._take_all(model):
                self._loop.send(peer, Message(Kind.FAILED, head))

    def _read_process(self, process: ModelProcess) -> None:
        try:
            for message in process.peer.read():
                self._take_from(process, message)
        except EOFError:
            self._loop.unwatch(process.peer)
            process.is_closed = True
            # Usually it has ended, and how is known in a moment; else it closed its connection and is killed for that.
            process.until = min(process.until, self._clock() + _LAST_SECONDS)
            self._look_soon()
        except ProtocolError as error:
            self._end(process, Ending("crashed", f"Its process wrote what is no answer: {error}."))

    def _take_from(self, process: ModelProcess, message: Message) -> None:
        call, model = process.call, process.model
        if process.state is State.ENDING or process.verdict is not None:
            return  # also an answer that comes too late, for the process is being killed
        if process.state is State.LOADING and message.kind is Kind.READY:
            self._ready(process, message.body)
        elif process.state is State.LOADING and message.kind is Kind.REFUSED:
            self._end(process, None)
            if not model.living:
                for peer in self._take_all(model):
                    self._loop.send(peer, Message(Kind.REFUSED, None, message.body))
        elif call is not None and message.kind in (Kind.ANSWER, Kind.RAISED):
            process.call = None
            facts = {"seconds": self._clock() - process.begun_at}
            self._now_idle(process)
            self._loop.send(call.client, Message(message.kind, facts, message.body))
            self._measure(process)
        else:
            raise ProtocolError(f"a {message.kind.name} that nobody asked for")
        self._supply(model)

    def _ready(self, process: ModelProcess, body: bytes) -> None:
        process.facts = {"ready": body}
        self._now_idle(process)
        self._measure(process)
        process.loaded_bytes = process.size_bytes
        loading, process.model.loading = process.model.loading, []
        for position, peer in enumerate(loading):
            facts = {**process.facts, "bytes": process.size_bytes, "is_new": position == 0}
            self._loop.send(peer, Message(Kind.LOADED, facts))

    def _now_idle(self, process: ModelProcess) -> None:
        if process.has_yielded:
            process.has_yielded = not take_back(process.pid)
        process.state, process.until, process.idle_since = State.IDLE, inf, self._clock()

    def _measure(self, process: ModelProcess) -> None:
        """After a call, now and then: it takes a millisecond."""
        now = self._clock()
        if now < process.measured_at + _MEASURE_SECONDS:
            return
        process.measured_at, process.size_bytes = now, private_bytes(process.pid, self._parent) if process.pid else 0
        for each in pool.to_evict(self._models.values(), self._limits):
            self._end(each, None)
        if process.state is State.IDLE and process.loaded_bytes and process.has_leaked:
            self._end(process, None)

    def _end(self, process: ModelProcess, verdict: Ending | None) -> None:
        """End a process: for a `verdict`, which its call gets, or because it is not needed any more."""
        if process.state is State.ENDING:
            return
        process.verdict = verdict
        if verdict is None and process.call is not None:
            self._loop.send(process.call.client, Message(Kind.NOT_LOADED))
            process.call = None
        if verdict is None or process.is_idle:
            process.state = State.ENDING
        if process.pid:
            # Python writes the stack for this signal, and the process ends.
            is_hung = verdict is not None and verdict.kind == "hung"
            self._kill(process, signal.SIGABRT if is_hung else signal.SIGKILL)
        process.until = self._clock() + _LAST_SECONDS
        self._look_soon()
        self._forget_if_unused(process.model)

    def _kill(self, process: ModelProcess, number: signal.Signals) -> None:
        self._send_to_fork_server(Message(Kind.KILL, {"pid": process.pid, "signal": int(number)}))

    def _send_to_fork_server(self, message: Message) -> None:
        send_with_descriptors(self._fork_server.connection, message, ())

    def _ended(self, process: ModelProcess, status: int) -> None:
        model, was = process.model, process.state
        self._read_rest(process)
        ending = explained(process, status, was)
        self._discard(process)
        if process.call is not None:
            self._loop.send(process.call.client, Message(Kind.ENDED, ending.facts(is_first=True)))
        elif was is State.LOADING and not model.living:
            for position, peer in enumerate(self._take_all(model)):
                self._loop.send(peer, Message(Kind.ENDED, ending.facts(is_first=position == 0)))
        self._supply(model)
        self._forget_if_unused(model)

    def _read_rest(self, process: ModelProcess) -> None:
        """An answer may have come together with the end of its process."""
        if not process.is_closed:
            process.is_closed = True
            self._loop.unwatch(process.peer)
            with suppress(EOFError, ProtocolError):
                for _ in range(_MOST_READS):
                    for message in process.peer.read():
                        self._take_from(process, message)

    def _take_all(self, model: Model) -> list[Peer]:
        """The clients that wait for the model, which wait no longer."""
        peers = [*model.loading, *(call.client for call in model.waiting)]
        model.loading.clear()
        model.waiting.clear()
        self._forget_if_unused(model)
        return peers

    def _discard(self, process: ModelProcess) -> None:
        process.state = State.ENDING
        process.model.processes.remove(process)
        if not process.is_closed:
            process.is_closed = True
            self._loop.unwatch(process.peer)
        process.peer.close()
        os.close(process.dump)
        self._forget_if_unused(process.model)

    def _forget_if_unused(self, model: Model) -> None:
        if self._models.get(model.key) is model and not (model.living or model.waiting or model.loading):
            del self._models[model.key]
            os.close(model.artifact)

    # Time

    def _look(self, now: float) -> None:
        for model in list(self._models.values()):
            for process in list(model.processes):
                if process.takes_long(now):
                    process.has_yielded = yield_to_others(process.pid)
                if now >= process.until:
                    self._out_of_time(process)
            for call in [call for call in model.waiting if now >= call.until]:
                model.waiting.remove(call)
                self._loop.send(call.client, Message(Kind.BUSY, {"detail": _OTHERS}))
            for process in list(pool.not_needed(model, now)):
                self._end(process, None)
            self._supply(model)

    def _out_of_time(self, process: ModelProcess) -> None:
        if process.verdict is not None or process.is_closed or process.state is State.ENDING:
            process.verdict = process.verdict or CLOSED
            process.until = self._clock() + _LAST_SECONDS
            if process.pid:
                self._kill(process, signal.SIGKILL)
        elif not process.pid:
            sys.exit("The fork server of model processes does not answer.")
        elif process.had_its_time(self._clock()):
            self._end(process, hung(process.most_seconds, process.state))
        else:
            given_back = self._take_all(process.model) if process.call is None else [process.call.client]
            process.call = None
            detail = _OTHERS if self._most_seconds == inf else "The service is stopping."
            for peer in given_back:
                self._loop.send(peer, Message(Kind.BUSY, {"detail": detail}))
            self._end(process, None)
