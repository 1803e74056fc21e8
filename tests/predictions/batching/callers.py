"""What is called, and who calls, in the tests of shared calls."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from predictions.batching.micro_batching import MicroBatcher
from tests.waiting import wait_until

PATIENCE = 20.0


@dataclass
class Machine:
    """What is called: records each call, and waits between `hold` and `go`."""

    calls: list[list[Any]] = field(default_factory=list)
    settled: list[list[Any]] = field(default_factory=list)
    settlers: list[str] = field(default_factory=list)
    is_called: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    fail: Callable[[Sequence[Any]], object] = lambda _: None
    fail_settling: Callable[[Sequence[Any]], object] = lambda _: None

    def __post_init__(self) -> None:
        self.go.set()

    def hold(self) -> None:
        self.is_called.clear()
        self.go.clear()

    def call(self, items: Sequence[Any]) -> None:
        self.calls.append(list(items))
        self.is_called.set()
        assert self.go.wait(PATIENCE)
        self.fail(items)

    def called(self) -> list[Any]:
        return [item for call in list(self.calls) for item in call]

    def settle(self, items: Sequence[Any]) -> None:
        self.fail_settling(items)
        self.settled.append(list(items))
        self.settlers.append(threading.current_thread().name)


class Callers:
    """Threads that submit; `result` is what `submit` returned or raised."""

    def __init__(self, micro_batcher: MicroBatcher[Any], machine: Machine) -> None:
        self._micro_batcher, self._machine = micro_batcher, machine
        self._threads: list[threading.Thread] = []
        self.results: dict[Any, Any] = {}

    def start(self, item: Any, *, key: Any = "version", timeout: float = PATIENCE, **options: Any) -> None:
        """Returns once the caller waits in the queue, or was called."""

        def submit() -> None:
            try:
                options.setdefault("weight", 1)
                self.results[item] = self._micro_batcher.submit(item, key=key, timeout_seconds=timeout, **options)
            except BaseException as error:  # noqa: BLE001 - the test looks at it
                self.results[item] = error

        thread = threading.Thread(target=submit, name=f"caller {item}")
        thread.start()
        self._threads.append(thread)
        wait_until(lambda: item in [*self._machine.called(), *self._in_line()])

    def _in_line(self) -> list[Any]:
        return [place.item for line in list(self._micro_batcher._lines.values()) for place in list(line.places)]

    def join(self) -> dict[Any, Any]:
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a caller waits for ever"
        return self.results
