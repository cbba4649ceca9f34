"""The pool's workers bound what runs, serve clients in turn, and outlive whatever a request does."""

import asyncio
import functools
import threading

import gradio as gr
import pytest
from waiting import PATIENCE, wait_until

from nystrom_demo.attention.checks import check_num_landmarks
from nystrom_demo.checkpoints import load_checkpoint
from nystrom_demo.errors import UserError
from nystrom_demo.limits.admission import admit
from nystrom_demo.limits.budget import Limits
from nystrom_demo.serving.handlers import HandlerContext, protect
from nystrom_demo.serving.worker_pool import WorkerPool
from nystrom_demo.tasks.windows import encode


def test_never_more_run_at_once_than_there_are_workers():
    pool, running, most, meeting = WorkerPool(2), set(), [], threading.Barrier(2)

    def work(i):
        running.add(i)
        most.append(len(running))
        if i < 2:  # these begin only together
            meeting.wait(PATIENCE)
        running.remove(i)

    jobs = [pool.submit(f"client {i % 3}", lambda i=i: work(i)) for i in range(13)]
    for job in jobs:
        job.result(timeout=PATIENCE)
    assert max(most) == pool.most_at_once == 2


def test_join_and_cancel_never_frees_a_worker_that_is_still_at_work():
    pool, started, release = WorkerPool(1), threading.Event(), threading.Event()

    def work():
        started.set()
        release.wait(PATIENCE)

    async def join_and_cancel():
        handler = protect(work, HandlerContext(pool), "work")
        for _ in range(11):
            task = asyncio.ensure_future(handler())
            await asyncio.to_thread(started.wait, PATIENCE)
            task.cancel()
            await asyncio.wait([task])
        return pool.running, pool.waiting()

    running, waiting = asyncio.run(join_and_cancel())
    assert (running, waiting, pool.most_at_once) == (1, 0, 1)
    release.set()
    assert pool.submit("next", lambda: 7).result(timeout=PATIENCE) == 7


def test_clients_are_served_in_turn_whoever_came_first():
    pool, release, order = WorkerPool(1), threading.Event(), []
    pool.submit("first", lambda: release.wait(PATIENCE))
    wait_until(lambda: pool.running == 1)
    jobs = [pool.submit("greedy", lambda i=i: order.append(f"greedy {i}")) for i in range(5)]
    jobs += [pool.submit("modest", lambda: order.append("modest"))]
    assert pool.waiting("greedy") == 5 and pool.waiting() == 6
    release.set()
    for job in jobs:
        job.result(timeout=PATIENCE)
    assert order.index("modest") == 1


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), MemoryError(), ZeroDivisionError()])
def test_a_worker_outlives_what_a_request_raises(error):
    pool = WorkerPool(1)

    def fail():
        raise error

    with pytest.raises(type(error)):
        pool.submit("a", fail).result(timeout=PATIENCE)
    assert pool.submit("a", lambda: 3).result(timeout=PATIENCE) == 3


def ask(fn, *args, context=None, **options):
    """What a protected plain handler returns or raises."""
    return asyncio.run(protect(fn, context or HandlerContext(WorkerPool(1)), "handler", **options)(*args))


def test_an_error_becomes_one_sentence_without_trace_path_or_message():
    def fail():
        raise OSError("/etc/secret of package.module")

    with pytest.raises(gr.Error) as caught:
        ask(fail)
    assert "secret" not in caught.value.message and caught.value.message.endswith(".")
    assert caught.value.message.startswith("The server failed on this request; its log has it as ")
    assert caught.value.print_exception is False


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_what_is_no_exception_is_caught_at_the_edge_too(error):
    def fail():
        raise error

    with pytest.raises(gr.Error, match="The server failed"):
        ask(fail)


def test_what_is_written_for_a_visitor_reaches_him_and_no_other_error_does():

    def refuse():
        raise UserError("text must not be empty, got ''.")

    def foreign():
        raise ValueError("some library's words")

    with pytest.raises(gr.Error, match="text must not be empty"):
        ask(refuse)
    with pytest.raises(gr.Error, match="text must be text, got int"):
        ask(encode, None, 7, "text")
    with pytest.raises(gr.Error, match="task must be one of"):
        ask(load_checkpoint, "bundled", "translation")
    with pytest.raises(gr.Error, match="is not in the folder of checkpoints"):
        ask(functools.partial(load_checkpoint, root="."), "../secret", "masked-lm")
    for fn in (foreign, functools.partial(check_num_landmarks, 0)):
        with pytest.raises(gr.Error, match="The server failed"):
            ask(fn)


@pytest.mark.parametrize(("drawn", "said"), [(True, "text, got '&lt;b&gt; &amp;'."), (False, "text, got '<b> &'.")])
def test_a_page_that_draws_markup_is_told_a_refusal_as_text(drawn, said):
    def refuse():
        raise UserError("text, got '<b> &'.")

    for heavy in (True, False):
        with pytest.raises(gr.Error) as caught:
            handler = protect(refuse, HandlerContext(WorkerPool(1)), "handler", heavy=heavy, drawn=drawn)
            asyncio.run(handler()) if heavy else handler()
        assert caught.value.message == said


def test_a_request_over_its_share_of_memory_is_refused_before_it_allocates():
    context = HandlerContext(WorkerPool(1), limits=Limits(request_bytes=3 << 30))
    with pytest.raises(gr.Error, match=r"the map would take about 5 GiB of memory, .* allows a request 3 GiB"):
        ask(admit, 5 << 30, "the map", context=context)
    assert ask(admit, 2 << 30, "the map", context=context) is None


def test_a_sweep_whose_reader_left_stops_within_one_step():
    steps, closed, pool = [], threading.Event(), WorkerPool(1)

    def sweep():
        try:
            for i in range(1000):
                steps.append(i)
                yield i
        finally:
            closed.set()

    async def read_two():
        stream = protect(sweep, HandlerContext(pool), "sweep")()
        async for value in stream:
            if value == 1:
                break
        await stream.aclose()

    asyncio.run(read_two())
    assert closed.wait(PATIENCE) and len(steps) == 2


def test_a_sweep_that_is_slow_to_close_does_not_hold_up_the_event_loop():
    go_on, closed = threading.Event(), threading.Event()

    def sweep():
        try:
            yield 0
            yield 1
        finally:
            go_on.wait(PATIENCE)
            closed.set()

    async def read_one():
        stream = protect(sweep, HandlerContext(WorkerPool(1)), "sweep")()
        await anext(stream)
        await stream.aclose()
        assert not closed.is_set()
        go_on.set()

    asyncio.run(read_one())
    assert closed.wait(PATIENCE)


def test_a_sweep_that_is_cancelled_in_a_step_is_closed_by_its_worker():
    started, go_on, closed, pool = threading.Event(), threading.Event(), threading.Event(), WorkerPool(1)

    def sweep():
        try:
            started.set()
            go_on.wait(PATIENCE)
            yield 0
            yield 1
        finally:
            closed.set()

    async def cancel():
        stream = protect(sweep, HandlerContext(pool), "sweep")()
        task = asyncio.ensure_future(anext(stream))
        await asyncio.to_thread(started.wait, PATIENCE)
        task.cancel()
        await asyncio.wait([task])
        assert pool.running == 1 and not closed.is_set()

    asyncio.run(cancel())
    go_on.set()
    assert closed.wait(PATIENCE)
    assert pool.submit("next", lambda: 5).result(timeout=PATIENCE) == 5


def test_a_sweep_lets_others_in_between_its_steps():
    pool, order = WorkerPool(1), []

    def sweep():
        for i in range(5):
            if i == 1:
                wait_until(lambda: pool.waiting() == 1)
            order.append(f"step {i}")
            yield i

    async def both():
        async def other():
            await protect(lambda: order.append("other"), HandlerContext(pool), "other")()

        async for step in protect(sweep, HandlerContext(pool), "sweep")():
            if step == 0:
                later = asyncio.ensure_future(other())
        await later

    asyncio.run(both())
    assert order == ["step 0", "step 1", "other", "step 2", "step 3", "step 4"]


def test_gradio_still_sees_the_handlers_own_signature():
    from inspect import signature
    from typing import get_type_hints

    def handler(text: str, top_k: int = 5) -> list[str]:
        """Words."""

    handler.cache = object()
    wrapped = protect(handler, HandlerContext(WorkerPool(1)), "handler")
    assert signature(wrapped) == signature(handler) and get_type_hints(wrapped) == get_type_hints(handler)
    assert wrapped.__doc__ == "Words." and not hasattr(wrapped, "cache")
