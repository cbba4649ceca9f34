"""The workers that all heavy requests go through, and who comes next.

Gradio frees its slot when a request is cancelled, while the thread it started runs on. So heavy work runs in threads
of our own: there are as many as requests may run at once, and a thread takes the next request when, and only when, it
has finished the last, whatever became of the reader.
"""

import contextvars
import os
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

BRIEF_SECONDS = 1.0  # a client whose jobs take less than this on average may have every worker that idles
KNOWN_CLIENTS = 1_000  # of whom it is remembered how long their jobs took


class Job(NamedTuple):
    """A call that waits or runs; or, with `place`, one that ran, paused, and waits to have its worker's place again."""

    client: str
    call: Callable[[], Any]
    future: Future
    context: contextvars.Context
    place: threading.Event | None = None


class WorkerPool:
    """`workers` threads that serve the waiting clients in turn, one request of each after the other.

    While anybody else waits a client has one job running. While nobody does it may have several, but all workers only
    if its jobs are brief: whoever comes next must not wait for the end of a long one. A job that pauses (see `pauses`)
    gives way to others each time it has had `turn_seconds`.
    """

    def __init__(self, workers: int, *, turn_seconds: float = 0.5):
        self.workers, self.turn_seconds = workers, turn_seconds
        self._waiting: OrderedDict[str, deque[Job]] = OrderedDict()  # the client at the front is next
        self._changed = threading.Condition()
        self._running: dict[Future, tuple[str, float]] = {}  # whose each running job is, and when it began
        self._seconds: OrderedDict[str, float] = OrderedDict()  # a job of each client, the latest counting most
        self.most_at_once = 0
        self._paused = 0
        self._here = threading.local()  # the job of each of our threads
        self._process = os.getpid()  # ZeroGPU computes in forks of it, where there are no workers
        for _ in range(workers):
            self._start_worker()

    def submit(self, client: str, call: Callable[[], Any]) -> Future:
        """A future of `call()`, run when `client`'s turn comes, in the caller's context. Cancelling it while it waits
        takes it off the queue; once it runs it runs to its end."""
        job = Job(client, call, Future(), contextvars.copy_context())
        with self._changed:
            self._waiting.setdefault(client, deque()).append(job)
            self._changed.notify_all()
        return job.future

    def pause(self) -> None:
        """Called by a running job between two of its steps: where others wait and it had its turn, it waits as they do.

        No more jobs pause at once than there are workers, since a paused one keeps its memory.
        """
        job = getattr(self._here, "job", None)
        if job is None or os.getpid() != self._process:
            return
        with self._changed:
            others = any(client != job.client for client in self._waiting)
            _, began = self._running[job.future]
            if not others or self._paused >= self.workers or time.monotonic() - began < self.turn_seconds:
                return
            paused = job._replace(place=threading.Event())
            self._waiting.setdefault(job.client, deque()).appendleft(paused)
            self._waiting.move_to_end(job.client)
            self._running.pop(job.future)
            self._paused += 1
            self._start_worker()  # in this thread's place, until that worker gives it back
            self._changed.notify_all()
        paused.place.wait()

    @property
    def running(self) -> int:
        return len(self._running)

    def waiting(self, client: str | None = None) -> int:
        """How many requests wait, of one client or of all."""
        with self._changed:
            queues = self._waiting.values() if client is None else [self._waiting.get(client, ())]
            return sum(not job.future.cancelled() and job.place is None for queue in queues for job in queue)

    def hangs(self, seconds: float) -> bool:
        """Whether every worker has been at its job for longer than that."""
        with self._changed:
            began = [when for _, when in self._running.values()]
        return len(began) == self.workers and max(began) < time.monotonic() - seconds

    def _start_worker(self) -> None:
        # A daemon, so that a request that never ends cannot keep the process from ending.
        threading.Thread(target=self._work, name="worker", daemon=True).start()

    def _work(self) -> None:
        while True:
            job, result = self._next(), None
            if job.place is not None:
                job.place.set()  # the thread that waits there works on in place of this one
                return
            self._here.job = job
            if job.future.set_running_or_notify_cancel():
                try:
                    result = job.context.run(job.call)
                except BaseException as error:  # SystemExit too: a request must not take a worker with it
                    self._note_end(job)
                    job.future.set_exception(error)
                else:
                    self._note_end(job)
                    job.future.set_result(result)
            else:
                self._note_end(job)
            self._here.job = job = result = None  # or an idle worker would hold the last request's tensors

    def _next(self) -> Job:
        with self._changed:
            while (client := self._next_client()) is None:
                self._changed.wait()
            queue = self._waiting.pop(client)
            job = queue.popleft()
            if queue:
                self._waiting[client] = queue  # back to the end of the line
            self._paused -= job.place is not None
            self._running[job.future] = client, time.monotonic()
            self.most_at_once = max(self.most_at_once, len(self._running))
            return job

    def _next_client(self) -> str | None:
        """The first in line with nothing running; else the first that may have another worker."""
        running = Counter(client for client, _ in self._running.values())
        first = next((client for client in self._waiting if not running[client]), None)
        if first is not None:
            return first
        return next((client for client in self._waiting if self._may_have_more(client)), None)

    def _may_have_more(self, client: str) -> bool:
        now = time.monotonic()
        ages = [now - began for whose, began in self._running.values() if whose == client]
        brief = max(self._seconds.get(client, 0.0), *ages) < BRIEF_SECONDS
        return brief or len(self._running) < self.workers - 1

    def _note_end(self, job: Job) -> None:
        with self._changed:
            _, began = self._running.pop(job.future)
            took = time.monotonic() - began
            self._seconds[job.client] = (self._seconds.pop(job.client, took) + took) / 2
            while len(self._seconds) > KNOWN_CLIENTS:
                self._seconds.popitem(last=False)
            self._changed.notify_all()
