"""What stands between a handler and gradio: a place in the line, one sentence for the visitor, one line in the log."""

import asyncio
import contextlib
import functools
import html
import inspect
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from typing import Any, NamedTuple

import gradio as gr

from nystrom_demo.errors import UserError
from nystrom_demo.limits.budget import Limits, under_limits
from nystrom_demo.limits.steps import steps_of
from nystrom_demo.pauses import interrupted_by
from nystrom_demo.serving.gpu import on_gpu
from nystrom_demo.serving.gradio_patches import current_client, current_session
from nystrom_demo.serving.log import client_tag, log, trace_of
from nystrom_demo.serving.metrics import Metrics
from nystrom_demo.serving.worker_pool import WorkerPool

MESSAGE_CHARS = 600
END = object()


class HandlerContext(NamedTuple):
    """What every handler of one server shares: the workers, the limits of a request, what is counted."""

    pool: WorkerPool
    limits: Limits = Limits()
    metrics: Metrics | None = None


def protect(fn: Callable, context: HandlerContext, name: str, *, heavy: bool = True, drawn: bool = True) -> Callable:
    """`fn` as gradio should call it: run by the pool's workers in turn, ending in a result or in one gr.Error.

    A generator takes its turn anew for each step, so a long sweep lets others in, and one whose reader has left stops
    after the step it is in. So does a function made by `in_steps`, whose result is the last step's. A handler that is
    not `heavy` runs where gradio runs it, with the same ending. On ZeroGPU the others run with the GPU. Coroutines run
    on the event loop and are left there. What it is told is `drawn` by a page, which takes it for markup, or read by a
    program.
    """
    if inspect.isasyncgenfunction(fn):
        raise TypeError(f"{name} is an asynchronous generator, which would run on the event loop; make it a plain one.")
    if inspect.iscoroutinefunction(fn):
        return fn
    begin, steps = functools.partial(_Record, context, name, drawn), steps_of(fn)
    if steps is not None:
        return _last_step(fn, on_gpu(_ending(steps, name)), context.pool, begin)
    if not heavy and not inspect.isgeneratorfunction(fn):
        return _direct(fn, begin)
    lent = on_gpu(_ending(fn, name))
    return _stream(lent, context.pool, begin) if inspect.isgeneratorfunction(fn) else _queued(lent, context.pool, begin)


def protect_all(demo: gr.Blocks, context: HandlerContext) -> None:
    """Put `protect` around every handler of `demo`, those outside gradio's queue as light ones. Once, before launch."""
    for block_fn in demo.fns.values():
        if block_fn.fn is not None and not block_fn.cancels:
            name = block_fn.api_name or getattr(block_fn.fn, "__qualname__", "handler")
            drawn = block_fn.api_visibility != "public"
            block_fn.fn = protect(block_fn.fn, context, str(name), heavy=block_fn.queue, drawn=drawn)


def sentence(error: BaseException, request_id: str) -> str:
    """What the visitor is told. A UserError is written for that; of others only the log knows more."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "The server has not enough memory for this request; a shorter text takes less."
    if isinstance(error, UserError):
        return str(error)[:MESSAGE_CHARS]
    return f"The server failed on this request; its log has it as {request_id}."


def as_text(sentence: str) -> str:
    """A sentence, which may quote a visitor, for a page that draws markup: gradio keeps links, pictures and forms."""
    return html.escape(sentence, quote=False)


class Failure(gr.Error):
    """What the visitor is told of an error of which only the log, under `id`, knows more."""

    id = ""


def told(error: BaseException, name: str, request_id: str) -> gr.Error:
    """The end of a request that raised `error`: a refusal's sentence, or a Failure, which has its line in the log."""
    if isinstance(error, gr.Error):
        error.print_exception = False
        return error
    message = sentence(error, request_id)
    if isinstance(error, UserError):
        refusal = gr.Error(message, print_exception=False)
        refusal.reason = error.reason
        return refusal
    log("failure", id=request_id, handler=name, trace=trace_of(error))
    failure = Failure(message, print_exception=False)
    failure.id = request_id
    return failure


class _Record:
    """One request's line in the log."""

    def __init__(self, context: HandlerContext, name: str, drawn: bool):
        self.client = current_client()
        self.name, self.drawn, self.id = name, drawn, _new_id()
        self.came, self.worked, self.outcome = time.monotonic(), 0.0, "cancelled"
        self.pool = context.pool
        self.limits, self.metrics = context.limits, context.metrics
        self.visitor = f"{self.client} {current_session()}"

    def call(self, fn: Callable, *args: Any, **kwargs: Any) -> Any:
        """`fn(...)` in the thread that works on it, with whatever it raises turned into one gr.Error."""
        began = time.monotonic()
        try:
            self._check_deadline()
            with under_limits(self.limits, self.visitor), interrupted_by(functools.partial(self._interrupt, began)):
                return fn(*args, **kwargs)
        except BaseException as error:  # a GPU that was not lent, too
            end = told(error, self.name, self.id)
            failed = isinstance(end, Failure)
            if self.metrics is not None and not failed:
                self.metrics.note_refusal(getattr(end, "reason", "value"))
            self.outcome, self.id = ("failed", end.id) if failed else ("refused", self.id)
            if self.drawn:
                end.message = as_text(end.message)
            raise end from None
        finally:
            self.worked += time.monotonic() - began

    def _interrupt(self, began: float) -> None:
        self._check_deadline(time.monotonic() - began)
        self.pool.pause()

    def _check_deadline(self, under_way: float = 0.0) -> None:
        most = self.limits.deadline_seconds
        if most is not None and self.worked + under_way > most:
            said = f"The server ended this request, which had its {most:g} s of a worker; ask for less at once."
            raise UserError(said, reason="deadline")

    def write(self) -> None:
        total = time.monotonic() - self.came
        if self.metrics is not None:
            self.metrics.note_request(self.name, self.outcome, total, self.worked)
        log(
            "request",
            id=self.id,
            handler=self.name,
            client=client_tag(self.client),
            outcome=self.outcome,
            ms=round(total * 1e3, 1),
            worked_ms=round(self.worked * 1e3, 1),
        )


def _wraps(fn: Callable) -> Callable[[Callable], Callable]:
    # Not fn's __dict__: gradio looks there for its own marks, such as a cache that would bypass the pool.
    return functools.wraps(fn, updated=())


def _ending(fn: Callable, name: str) -> Callable:
    """`fn` with whatever it raises turned into one gr.Error where it runs: in the process that has ZeroGPU's GPU, which
    tells of other errors no more than their type, and has the limits of the thread that it was forked from."""

    @_wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        except BaseException as error:  # SystemExit and a library's panics would leave the reader without an end
            raise told(error, name, _new_id()) from None

    @_wraps(fn)
    def steps(*args: Any, **kwargs: Any) -> Iterator[Any]:
        try:
            yield from fn(*args, **kwargs)
        except GeneratorExit:  # its reader left
            raise
        except BaseException as error:
            raise told(error, name, _new_id()) from None

    return steps if inspect.isgeneratorfunction(fn) else call


def _new_id() -> str:
    return uuid.uuid4().hex[:12]


def _queued(fn: Callable, pool: WorkerPool, begin: Callable[[], _Record]) -> Callable:
    @_wraps(fn)
    async def handler(*args: Any, **kwargs: Any) -> Any:
        record = begin()
        try:
            job = pool.submit(record.client, functools.partial(record.call, fn, *args, **kwargs))
            result = await asyncio.wrap_future(job)
            record.outcome = "done"
            return result
        finally:
            record.write()

    return handler


def _stream(fn: Callable, pool: WorkerPool, begin: Callable[[], _Record]) -> Callable:
    @_wraps(fn)
    async def handler(*args: Any, **kwargs: Any) -> Any:
        async with contextlib.aclosing(_run_steps(fn(*args, **kwargs), pool, begin())) as steps:
            async for value in steps:
                yield value

    return handler


def _last_step(fn: Callable, steps: Callable, pool: WorkerPool, begin: Callable[[], _Record]) -> Callable:
    @_wraps(fn)
    async def handler(*args: Any, **kwargs: Any) -> Any:
        value = None
        async with contextlib.aclosing(_run_steps(steps(*args, **kwargs), pool, begin())) as values:
            async for step in values:
                value = step
        return value

    return handler


async def _run_steps(steps: Iterator[Any], pool: WorkerPool, record: _Record) -> AsyncIterator[Any]:
    """The values of `steps`, each made by a worker in its client's turn."""
    job: Future | None = None
    try:
        while True:
            job = pool.submit(record.client, functools.partial(record.call, next, steps, END))
            value = await asyncio.wrap_future(job)
            if value is END:
                record.outcome = "done"
                return
            yield value
    finally:
        # A step may still run although its reader has left; the worker closes the sweep when that step ends.
        if job is None or job.done():  # not on this loop: on ZeroGPU closing waits for another process
            asyncio.get_running_loop().run_in_executor(None, steps.close)
        else:
            job.add_done_callback(lambda _: steps.close())
        record.write()


def _direct(fn: Callable, begin: Callable[[], _Record]) -> Callable:
    @_wraps(fn)
    def handler(*args: Any, **kwargs: Any) -> Any:
        record = begin()
        try:
            result = record.call(fn, *args, **kwargs)
            record.outcome = "done"
            return result
        finally:
            record.write()

    return handler
