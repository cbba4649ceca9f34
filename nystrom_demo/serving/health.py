"""Whether the process lives (/health) and whether it can still compute (/ready)."""

import threading
import time
from collections.abc import Callable

from nystrom_demo.serving.log import log, trace_of
from nystrom_demo.serving.worker_pool import WorkerPool


class Readiness:
    """Runs `check`, one small forward pass, every `every` seconds, in a thread of its own, so that it never waits.

    Ready means that a pass succeeded within the last `lately` seconds and that not all of the pool's workers have been
    at one job for longer, so neither a model that fails nor workers that all hang go unnoticed. Until the first success
    `warm_up` is run in its place: what visitors would wait for once.
    """

    def __init__(
        self,
        check: Callable[[], object],
        pool: WorkerPool,
        *,
        warm_up: Callable[[], object] | None = None,
        every: float = 15.0,
        lately: float = 90.0,
    ):
        self._check, self._warm_up, self._pool = check, warm_up or check, pool
        self._every, self.lately = every, lately
        self._last: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="readiness", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    @property
    def ready(self) -> bool:
        return self.age is not None and self.age <= self.lately and not self._pool.hangs(self.lately)

    @property
    def age(self) -> float | None:
        """Seconds since the last pass that succeeded."""
        return None if self._last is None else time.monotonic() - self._last

    def look(self) -> None:
        """Run the pass once and note when it succeeded."""
        try:
            (self._warm_up if self._last is None else self._check)()
        except BaseException as error:  # whatever a model raises, the answer is "not ready", and the watch goes on
            log("not ready", trace=trace_of(error))
        else:
            self._last = time.monotonic()

    def _watch(self) -> None:
        while True:
            self.look()
            if self._stop.wait(self._every):
                return
