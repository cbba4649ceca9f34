"""What /metrics tells: counts by outcome and reason, and nothing of a visitor."""

import asyncio
import contextlib

import gradio as gr
import pytest
from prometheus_client.parser import text_string_to_metric_families

from nystrom_demo.errors import UserError
from nystrom_demo.limits.admission import admit
from nystrom_demo.limits.budget import Limits
from nystrom_demo.serving.guard import Guard
from nystrom_demo.serving.handlers import HandlerContext, protect
from nystrom_demo.serving.metrics import Metrics
from nystrom_demo.serving.settings import Settings
from nystrom_demo.serving.worker_pool import WorkerPool


def samples(metrics: Metrics) -> dict[str, float]:
    """Each sample by its name and its labels' values."""
    families = text_string_to_metric_families(metrics.text().decode())
    return {" ".join([s.name, *s.labels.values()]): s.value for family in families for s in family.samples}


def refuse():
    raise UserError("text must not be empty.")


def fail():
    raise RuntimeError("secret words")


def test_requests_are_counted_by_handler_and_outcome_and_refusals_by_reason():
    pool = WorkerPool(2)
    metrics = Metrics(pool)
    context = HandlerContext(pool, Limits(request_bytes=7), metrics=metrics)
    for fn in (refuse, fail, lambda: admit(8, "It"), lambda: 3, lambda: 3):
        with contextlib.suppress(gr.Error):
            asyncio.run(protect(fn, context, "ask")())
    told = samples(metrics)
    assert told["nystrom_requests_total ask done"] == 2 and told["nystrom_requests_total ask refused"] == 2
    assert told["nystrom_requests_total ask failed"] == 1
    assert told["nystrom_refusals_total value"] == told["nystrom_refusals_total memory"] == 1
    assert told["nystrom_request_seconds_count"] == told["nystrom_worked_seconds_count"] == 5
    assert (told["nystrom_queue"], told["nystrom_running"], told["nystrom_workers"]) == (0, 0, 2)
    assert "nystrom_answers_bytes" in told and b"secret" not in metrics.text()


def ask(settings: Settings, path: str = "/metrics") -> list[dict]:
    sent = []

    async def send(message):
        sent.append(message)

    async def nothing():
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [(b"host", b"localhost")]}
    guard = Guard(None, gr.Blocks(), settings, metrics=Metrics(WorkerPool(1)))
    asyncio.run(guard(scope | {"client": ("127.0.0.1", 1)}, nothing, send))
    return sent


def test_metrics_are_told_where_the_host_wants_it_and_are_not_there_elsewhere():
    begin, body = ask(Settings())
    assert begin["status"] == 200 and b"nystrom_running 0.0" in body["body"]
    assert dict(begin["headers"])[b"content-type"].startswith(b"text/plain")
    assert ask(Settings(metrics=False))[0]["status"] == 404


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, True),
        ({"NYSTROM_DEMO_HOST": "0.0.0.0"}, False),
        ({"SPACE_ID": "a/b"}, False),
        ({"NYSTROM_DEMO_HOST": "0.0.0.0", "NYSTROM_DEMO_METRICS": "on"}, True),
    ],
)
def test_a_public_host_tells_no_metrics_unless_it_says_so(environment, told):
    assert Settings.from_env(environment).metrics is told
