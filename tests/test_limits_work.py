"""Seconds foretold from shapes: they grow as the work does, and what would take too long is refused at once."""

import asyncio
import functools
import threading
import time
from types import SimpleNamespace

import gradio as gr
import pytest
from waiting import PATIENCE, wait_until

from nystrom_demo.config import EXACT, AttentionSettings, NystromformerConfig
from nystrom_demo.errors import UserError
from nystrom_demo.limits import admission, work
from nystrom_demo.limits.budget import Limits, under_limits
from nystrom_demo.limits.steps import in_steps, steps_of
from nystrom_demo.limits.work import Speed, Work, measure_speed
from nystrom_demo.serving.handlers import HandlerContext, protect
from nystrom_demo.serving.worker_pool import BRIEF_SECONDS, WorkerPool
from nystrom_demo.tasks import classify

CONFIG = NystromformerConfig(
    vocab_size=30_522, hidden_size=384, num_attention_heads=12, num_hidden_layers=6, intermediate_size=1536
)
LAPTOP = Speed(products=3e-11, attention=4e-11, decompositions=2e-10, elements=1.2e-9, calls=5e-6)
SERVER = Limits(request_seconds=10.0, deadline_seconds=300.0, speed=LAPTOP)


def masked(num_masks: int, top_k: int = 5) -> SimpleNamespace:
    return SimpleNamespace(windows=[range(4096)] * 2, positions=range(num_masks), top_k=top_k, num_tokens=8_002)


def test_a_machines_speed_is_measured():
    speed = measure_speed()
    assert all(0 < each < 1e-3 for each in speed)
    assert speed.seconds(Work(products=2e9)) == pytest.approx(2 * speed.seconds(Work(products=1e9)))


def test_a_pass_over_twice_the_text_is_twice_the_work_over_landmarks_and_more_exactly():
    def ratio(settings: AttentionSettings) -> float:
        long, short = (LAPTOP.seconds(work.encoder_work(CONFIG, 1, n, settings)) for n in (8192, 4096))
        return long / short

    assert ratio(AttentionSettings("nystrom", 64)) == pytest.approx(2, rel=0.05)
    assert 2.4 < ratio(EXACT) < 4


def test_by_hand_one_layer_of_one_token():
    config = SimpleNamespace(
        hidden_size=2, num_attention_heads=1, num_hidden_layers=1, intermediate_size=3, conv_kernel_size=None
    )
    done = work.encoder_work(config, 1, 1, AttentionSettings("eager"))
    assert done.products == 4 * 2 * 2 + 2 * 2 * 3 + 2 * 2  # q, k, v, output; both of the feed-forward; q kᵀ and S v


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: admission.admit_answer(CONFIG, masked(8_000, 100), EXACT, 8192), "at most 1,000 masks, got 8,000."),
        (lambda: admission.admit_answer(CONFIG, masked(900, 100), EXACT, 8192), "at most 10,000, got 900 times 100."),
        (lambda: admission.admit_comparison(CONFIG, 4_000, 64), "The singular values of 4,000 tokens would take about"),
        (lambda: admission.admit_spectrum(8_000), "The singular values of 8,000 tokens would take about 1[0-9]{2} s"),
        (lambda: admission.admit_lengths(CONFIG, 131_072, 1024), "The errors of 131,072 tokens would take about"),
        (lambda: admission.admit_heads(CONFIG, 32_768, 64), "The errors of all heads at 32,768 tokens would take"),
        (lambda: admission.admit_ladder(CONFIG, 2_500, range(1, 999)), "at every m would take about"),
        (lambda: admission.admit_timing([65_536] * 12, 32, 256), "must be at most 268,435,456, got 536,870,912."),
    ],
)
def test_too_much_work_is_refused_in_a_sentence_with_its_number_and_the_limit(ask, said):
    with under_limits(SERVER), pytest.raises(UserError, match=said) as refused:
        ask()
    words = str(refused.value)
    assert words.endswith(".") and ("this server allows a request " in words or "at most" in words)


def test_usual_requests_are_admitted():
    with under_limits(SERVER):
        admission.admit_answer(CONFIG, masked(20), AttentionSettings("nystrom", 64), 4096, with_exact=True)
        admission.admit_lengths(CONFIG, 16_384, 1_024, 1_024)
        admission.admit_reading(CONFIG, 4_096)
        admission.admit_comparison(CONFIG, 1_024, 64)
        admission.admit_heads(CONFIG, 2_048, 64)
        admission.admit_timing([2**i for i in range(6, 17)], 12, 64)


def test_outside_a_server_no_seconds_are_counted():
    admission.admit_comparison(CONFIG, 16_000, 64)


def test_a_function_in_steps_gives_its_last_value_and_its_steps_to_a_server():
    class Counter:
        @in_steps
        def count(self, upto: int) -> list[int]:
            yield from (list(range(i)) for i in range(1, upto + 1))

    assert Counter().count(3) == [0, 1, 2]
    assert list(steps_of(Counter().count)(2)) == [[0], [0, 1]]
    assert steps_of(len) is None
    pool, order = WorkerPool(1), []

    async def beside() -> list[int]:
        asked = asyncio.ensure_future(protect(Counter().count, HandlerContext(pool), "count")(5))
        await asyncio.sleep(0)
        await protect(lambda: order.append("other"), HandlerContext(pool), "other")()
        return await asked

    assert asyncio.run(beside()) == [0, 1, 2, 3, 4] and order == ["other"]


def test_a_sweep_past_its_deadline_ends_between_two_steps_with_a_sentence():
    def sweep():
        for step in range(100):
            time.sleep(0.03)
            yield step

    async def read() -> list[int]:
        seen = []
        context = HandlerContext(WorkerPool(1), Limits(deadline_seconds=0.1))
        with pytest.raises(gr.Error, match=r"The server ended this request, which had its 0\.1 s of a worker"):
            async for step in protect(sweep, context, "sweep")():
                seen.append(step)
        return seen

    assert 2 <= len(asyncio.run(read())) <= 5


def test_an_address_has_one_job_running_while_others_wait():
    pool, release, ran = WorkerPool(2), threading.Event(), []
    for i in range(3):
        pool.submit("greedy", lambda i=i: (ran.append(i), release.wait(PATIENCE)))
    wait_until(lambda: pool.running == 2)  # brief so far, as far as anyone knows
    jobs = [pool.submit("modest", lambda: ran.append("modest"))]
    release.set()
    jobs[0].result(timeout=PATIENCE)
    wait_until(lambda: len(ran) == 4)
    assert ran.index("modest") < 3


def test_an_address_whose_jobs_are_long_leaves_a_worker_for_whoever_comes():
    pool, release = WorkerPool(2), threading.Event()
    pool._seconds["greedy"] = 2 * BRIEF_SECONDS
    jobs = [pool.submit("greedy", lambda: release.wait(PATIENCE)) for _ in range(5)]
    wait_until(lambda: pool.running == 1)
    assert pool.submit("modest", lambda: 7).result(timeout=PATIENCE) == 7
    assert pool.running == 1 and pool.waiting("greedy") == 4
    release.set()
    for job in jobs:
        job.result(timeout=PATIENCE)
    assert pool.most_at_once == 2


def test_a_job_that_pauses_lets_others_run_and_goes_on_where_it_was():
    pool, order, began = WorkerPool(1, turn_seconds=0.0), [], threading.Event()

    def long():
        for step in range(3):
            order.append(step)
            began.set()
            wait_until(lambda step=step: pool.waiting() > 0 or step == 2)
            pool.pause()
        return "end"

    job = pool.submit("greedy", long)
    began.wait(PATIENCE)
    others = []
    for i in range(2):
        wait_until(lambda i=i: len(order) == 2 * i + 1)
        others.append(pool.submit("modest", lambda i=i: order.append(f"modest {i}")))
    assert job.result(timeout=PATIENCE) == "end"
    assert order == [0, "modest 0", 1, "modest 1", 2] and pool.most_at_once == 1
    wait_until(lambda: pool.running == 0)
    assert pool.submit("next", lambda: 5).result(timeout=PATIENCE) == 5


def test_a_job_that_has_not_had_its_turn_or_is_alone_goes_on():
    pool, seen = WorkerPool(1, turn_seconds=1_000), []

    def long():
        wait_until(lambda: pool.waiting() == 1)
        pool.pause()
        seen.append("long")

    jobs = [pool.submit("greedy", long), pool.submit("modest", lambda: seen.append("modest"))]
    for job in jobs:
        job.result(timeout=PATIENCE)
    assert seen == ["long", "modest"]
    pool.pause()  # a thread that is no worker of the pool has nothing to give way to


def test_a_long_pass_over_a_text_is_ended_between_two_batches(tiny_checkpoints):
    context = HandlerContext(WorkerPool(1), Limits(deadline_seconds=1e-9))
    ask = functools.partial(classify, tiny_checkpoints["sequence-classification"])
    with pytest.raises(gr.Error, match="The server ended this request"):
        asyncio.run(protect(ask, context, "ask")("the river and the old house " * 400))


def test_workers_that_all_hang_are_noticed():
    pool, release = WorkerPool(2), threading.Event()
    pool.submit("a", lambda: release.wait(PATIENCE))
    wait_until(lambda: pool.running == 1)
    assert not pool.hangs(0)
    pool.submit("b", lambda: release.wait(PATIENCE))
    wait_until(lambda: pool.running == 2)
    time.sleep(0.01)
    assert pool.hangs(0) and not pool.hangs(60)
    release.set()
