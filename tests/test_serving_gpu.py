"""On ZeroGPU every heavy handler runs with a lent GPU; elsewhere the same code runs as it is."""

import asyncio
import functools
import inspect
import json
import pickle
import sys

import gradio as gr
import pytest
from small_app import build_app

from nystrom_demo.errors import UserError
from nystrom_demo.limits.budget import Limits, current_limits
from nystrom_demo.serving.gpu import gpu_seconds, is_lent, on_gpu
from nystrom_demo.serving.handlers import HandlerContext, protect, protect_all
from nystrom_demo.serving.log import logger
from nystrom_demo.serving.worker_pool import WorkerPool


class FakeSpaces:
    """Stands in for the package `spaces` on ZeroGPU: what passes between server and GPU is pickled, and of an error
    that is no gr.Error only the type comes back."""

    def __init__(self):
        self.tasks, self.seconds = [], []

    def GPU(self, *, duration):
        return lambda task: self.lend(task, duration)

    def lend(self, task, duration):
        self.tasks.append(task)

        @functools.wraps(task)
        def call(*args):
            self.seconds.append(duration(*args))
            args = pickle.loads(pickle.dumps(args))
            return self.pass_on(lambda: task(*args))

        @functools.wraps(task)
        def steps(*args):
            self.seconds.append(duration(*args))
            running, end = task(*pickle.loads(pickle.dumps(args))), object()
            while (value := self.pass_on(lambda: next(running, end), end)) is not end:
                yield value

        return steps if inspect.isgeneratorfunction(task) else call

    def pass_on(self, work, end=None):
        try:
            value = work()
        except gr.Error as error:
            raise pickle.loads(pickle.dumps(error)) from None
        except Exception as error:
            raise gr.Error(f"ZeroGPU worker error: {type(error).__name__}") from None
        return value if value is end else pickle.loads(pickle.dumps(value))


@pytest.fixture
def lent(monkeypatch):
    fake = FakeSpaces()
    monkeypatch.setitem(sys.modules, "spaces", fake)
    return fake


@pytest.fixture
def context():
    return HandlerContext(WorkerPool(1), Limits(text_chars=77))


def count(text: str) -> tuple[int, int]:
    if not text:
        raise UserError("text must not be empty, got ''.")
    if text == "break":
        raise OSError("/etc/secret")
    return len(text), current_limits().text_chars


def sweep(text: str):
    for i in range(3):
        if text == "break" and i == 1:
            raise OSError("/etc/secret")
        yield i


async def read(handler, *args):
    return [value async for value in handler(*args)]


def test_without_the_package_a_handler_is_left_as_it_is(monkeypatch):
    monkeypatch.delitem(sys.modules, "spaces", raising=False)
    assert on_gpu(count) is count


def test_a_heavy_handler_asks_for_the_gpu_for_its_requests_size(lent, context):
    handler = protect(count, context, "count")
    assert asyncio.run(handler("a" * 70)) == (70, 77)
    assert asyncio.run(handler("a" * 20_000)) == (20_000, 77)
    assert asyncio.run(read(protect(sweep, context, "sweep"), "a")) == [0, 1, 2]
    short, long, swept = lent.seconds
    assert 0 < short < long < swept <= 120


def test_a_request_for_the_cpu_asks_for_no_gpu_and_the_seconds_asked_for_are_logged(lent, context, caplog, monkeypatch):
    monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.setattr(logger, "handlers", [])  # another test's server may have left its own
    caplog.set_level("INFO", logger.name)

    def on(text: str, device: str) -> str:
        return f"{text} on {device}"

    def sweep_on(text: str, device: str):
        yield from (f"{text} on {device}" for _ in range(2))

    assert asyncio.run(protect(on, context, "on")("a", "cpu")) == "a on cpu"
    assert asyncio.run(read(protect(sweep_on, context, "sweep"), "a", "cpu")) == ["a on cpu"] * 2
    assert lent.seconds == []
    assert asyncio.run(protect(on, context, "on")("a", "cuda")) == "a on cuda"
    assert asyncio.run(read(protect(sweep_on, context, "sweep"), "a", "cuda")) == ["a on cuda"] * 2
    lines = [json.loads(record.message) for record in caplog.records]
    assert [line["seconds"] for line in lines if line["event"] == "gpu"] == lent.seconds and len(lent.seconds) == 2


def test_no_request_asks_for_more_than_two_minutes():
    assert gpu_seconds(["a" * 10**6, 3], sweep=False) == gpu_seconds(["a" * 10**6], sweep=True) == 120


def test_a_light_handler_asks_for_no_gpu(lent, context):
    assert protect(count, context, "count", heavy=False)("abc") == (3, 77)
    assert lent.tasks == []


def test_a_handler_of_a_click_stays_where_the_click_came_from(lent, context):
    def clicked(text: str, event: gr.EventData) -> str:
        return f"{text} {event.index}"

    event = gr.EventData(None, {"index": 3})
    assert asyncio.run(protect(clicked, context, "clicked")("a", event)) == "a 3"
    assert lent.tasks == []


def test_every_queued_handler_of_an_app_asks_for_the_gpu_and_no_other(lent, context):
    demo = build_app()
    protect_all(demo, context)
    queued = [fn for fn in demo.fns.values() if fn.fn is not None and fn.queue and not fn.cancels]
    assert len(lent.tasks) == len(queued) > 5


def test_a_refusal_on_the_gpu_reaches_the_visitor(lent, context):
    with pytest.raises(gr.Error, match="text must not be empty"):
        asyncio.run(protect(count, context, "count")(""))


@pytest.mark.parametrize("fn", [count, sweep])
def test_a_failure_on_the_gpu_is_one_sentence_and_one_entry_in_the_log(lent, context, caplog, monkeypatch, fn):
    monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.setattr(logger, "handlers", [])
    caplog.set_level("INFO", logger.name)
    handler = protect(fn, context, fn.__name__)
    with pytest.raises(gr.Error) as caught:
        asyncio.run(handler("break") if fn is count else read(handler, "break"))
    lines = [json.loads(record.message) for record in caplog.records]
    failure, request = (line for line in lines if line.get("handler") == fn.__name__)  # others may still serve
    assert caught.value.message == f"The server failed on this request; its log has it as {failure['id']}."
    assert (failure["event"], request["outcome"], request["id"]) == ("failure", "failed", failure["id"])
    assert failure["trace"][0] == "OSError" and "secret" not in caplog.text


@pytest.mark.parametrize(("value", "lent_here"), [("true", True), ("1", True), ("", False), ("false", False)])
def test_zerogpu_is_known_by_its_variable(value, lent_here):
    assert is_lent({"SPACES_ZERO_GPU": value}) is lent_here and not is_lent({})
