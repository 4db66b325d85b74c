"""One model for several threads."""

from collections import deque
from collections.abc import Sequence
from threading import Lock

from tinyhd_lib.data.transforms import Map
from tinyhd_lib.runtime.base import Runtime


class SharedRuntime:
    """A runtime that several threads use as if each had it alone; see `Runtime`.

    One pass runs at a time. What other threads have asked for meanwhile goes into the next one together, as far as that
    stays a batch that the runtime likes: the last windows of several videos fill one batch.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.name, self.spec, self.digest = runtime.name, runtime.spec, runtime.digest
        self.precision, self.batch = runtime.precision, runtime.batch
        self._runtime = runtime
        self._waiting: deque[_Request] = deque()
        self._turn = Lock()

    def __call__(self, clips: Sequence[Map] | Map) -> Map:
        """See `Runtime`."""
        request = _Request(clips)
        self._waiting.append(request)
        with self._turn:  # whoever has it works for all that wait
            while request.maps is None and request.error is None:
                self._serve(self._group())
        if request.error is not None:
            raise request.error
        assert request.maps is not None
        return request.maps

    def _group(self) -> "list[_Request]":
        group = [self._waiting.popleft()]
        size = len(group[0].clips)
        while self._waiting and size + len(self._waiting[0].clips) <= self.batch:
            group.append(self._waiting.popleft())
            size += len(group[-1].clips)
        return group

    def _serve(self, group: "list[_Request]") -> None:
        try:
            maps = self._runtime([clip for request in group for clip in request.clips])
        except BaseException as error:  # noqa: BLE001 - raised in the threads that asked
            for request in group:
                request.error = error
            return
        first = 0
        for request in group:
            request.maps = maps[first : first + len(request.clips)]
            first += len(request.clips)


class _Request:
    """What one thread asks for, and what becomes of it."""

    def __init__(self, clips: Sequence[Map] | Map) -> None:
        self.clips = clips
        self.maps: Map | None = None
        self.error: BaseException | None = None
