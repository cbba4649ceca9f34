"""The workers that all heavy requests go through, and who comes next.

Gradio frees its slot when a request is cancelled, while the thread it started runs on. So heavy work runs in threads
of our own: there are as many as requests may run at once, and a thread takes the next request when, and only when, it
has finished the last, whatever became of the reader.
"""

import contextvars
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple


class Job(NamedTuple):
    call: Callable[[], Any]
    future: Future
    context: contextvars.Context


class WorkerPool:
    """`workers` threads that serve the waiting clients in turn, one request of each after the other."""

    def __init__(self, workers: int):
        self._waiting: OrderedDict[str, deque[Job]] = OrderedDict()  # the client at the front is next
        self._changed = threading.Condition()
        self._running = 0
        self.most_at_once = 0
        # Daemons, so that a request that never ends cannot keep the process from ending.
        for i in range(workers):
            threading.Thread(target=self._work, name=f"worker-{i}", daemon=True).start()

    def submit(self, client: str, call: Callable[[], Any]) -> Future:
        """A future of `call()`, run when `client`'s turn comes, in the caller's context. Cancelling it while it waits
        takes it off the queue; once it runs it runs to its end."""
        job = Job(call, Future(), contextvars.copy_context())
        with self._changed:
            self._waiting.setdefault(client, deque()).append(job)
            self._changed.notify()
        return job.future

    @property
    def running(self) -> int:
        return self._running

    def waiting(self, client: str | None = None) -> int:
        """How many requests wait, of one client or of all."""
        with self._changed:
            queues = self._waiting.values() if client is None else [self._waiting.get(client, ())]
            return sum(not job.future.cancelled() for queue in queues for job in queue)

    def _work(self) -> None:
        while True:
            job, result = self._next(), None
            if job.future.set_running_or_notify_cancel():
                try:
                    result = job.context.run(job.call)
                except BaseException as error:  # SystemExit too: a request must not take a worker with it
                    job.future.set_exception(error)
                else:
                    job.future.set_result(result)
            with self._changed:
                self._running -= 1
            job = result = None  # or an idle worker would hold the last request's tensors

    def _next(self) -> Job:
        with self._changed:
            while not self._waiting:
                self._changed.wait()
            client, queue = self._waiting.popitem(last=False)
            job = queue.popleft()
            if queue:
                self._waiting[client] = queue  # back to the end of the line
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
            return job
