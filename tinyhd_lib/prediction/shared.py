"""One model for several threads."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from threading import Lock

from tinyhd_lib.data.transforms import Map
from tinyhd_lib.runtime import Runtime


class SharedRuntime:
    """Run a model for several threads as if each had it alone; see `Runtime`.

    One pass runs at a time. What other threads have asked for meanwhile goes into the next one together, as far as that
    stays a batch that the runtime likes: the last windows of several videos fill one batch.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.name, self.spec, self.digest = runtime.name, runtime.spec, runtime.digest
        self.precision, self.batch = runtime.precision, runtime.batch
        self._runtime = runtime
        self._waiting: deque[tuple[Sequence[Map] | Map, Future[Map]]] = deque()
        self._turn = Lock()

    def __call__(self, clips: Sequence[Map] | Map) -> Map:
        """Return the maps of clips, see `Runtime`."""
        outputs: Future[Map] = Future()
        self._waiting.append((clips, outputs))
        with self._turn:  # whoever has it works for all that wait
            while not outputs.done():
                self._serve()
        return outputs.result()

    def _serve(self) -> None:
        group = [self._waiting.popleft()]
        size = len(group[0][0])
        while self._waiting and size + len(self._waiting[0][0]) <= self.batch:
            group.append(self._waiting.popleft())
            size += len(group[-1][0])
        try:
            maps = self._runtime([clip for clips, _ in group for clip in clips])
        except BaseException as error:  # noqa: BLE001 - raised in the threads that asked
            for _, outputs in group:
                outputs.set_exception(error)
            return
        for clips, outputs in group:
            outputs.set_result(maps[: len(clips)])
            maps = maps[len(clips) :]
