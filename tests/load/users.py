"""Users at once: how long an answer takes, whether the server stays healthy, and how a full queue refuses.

    python tests/load/users.py [--seconds 20] [--app small]

One user alone, then 50 that ask again as soon as they are answered (the measure that counts takes --seconds 300), then
four times the queue's size at once. Prints medians and 95th percentiles. Status 1 when an answer fails, the 95th
percentile exceeds 1.5 × 50 × the single user's median, that of /health exceeds 100 ms, fewer than 99.9 % of refusals
are a clean 503, or a request that was let in has no end.
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import httpx
from serving_process import QUESTIONS, arguments, running

USERS, QUEUE = 50, 96
TEXT = "The film was slow at first, and then it was wonderful. " * 8
HEALTH_SECONDS, SILENT_SECONDS = 0.1, 120
NO_END, LOST = 0, -1  # a request that was let in and has no answer; one whose connection broke


async def ask(http: httpx.AsyncClient, api: str) -> float | int:
    """Seconds until the answer, or the status of a refusal, or NO_END, or LOST."""
    began = time.monotonic()
    try:
        joined = await http.post(f"/gradio_api/call/{api}", json={"data": arguments(api, TEXT)})
        if joined.status_code != 200:
            return joined.status_code
        async with http.stream("GET", f"/gradio_api/call/{api}/{joined.json()['event_id']}") as answer:
            async for line in answer.aiter_lines():
                if line.startswith("event: ") and line != "event: heartbeat":
                    return time.monotonic() - began if line == "event: complete" else NO_END
    except httpx.TransportError:
        return LOST
    return NO_END


def watch_health(url: str, seconds: float) -> list[float]:
    """How long each of /health's answers took, asked five times a second."""
    times, end = [], time.monotonic() + seconds
    with httpx.Client(base_url=url, timeout=30) as http:
        while time.monotonic() < end:
            began = time.monotonic()
            http.get("/health").raise_for_status()
            times.append(time.monotonic() - began)
            time.sleep(0.2)
    return times


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


async def press(url: str, api: str, seconds: float) -> bool:
    limits = httpx.Limits(max_connections=4 * QUEUE + 10, max_keepalive_connections=4 * QUEUE)
    async with httpx.AsyncClient(base_url=url, timeout=SILENT_SECONDS, limits=limits) as http:
        alone = [await ask(http, api) for _ in range(22)][2:]
        if not all(isinstance(answer, float) for answer in alone):
            raise RuntimeError(f"One user alone gets no answers: {alone}.")
        single = statistics.median(alone)
        answers, end = [], time.monotonic() + seconds

        async def user() -> None:
            while time.monotonic() < end:
                answers.append(await ask(http, api))

        # From a process of its own, since this one is as busy as its fifty users.
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as other:
            watch = asyncio.get_running_loop().run_in_executor(other, watch_health, url, seconds)
            await asyncio.gather(*(user() for _ in range(USERS)))
            health = await watch
        flood = await asyncio.gather(*(ask(http, api) for _ in range(4 * QUEUE)))
    errors = [answer for answer in answers if isinstance(answer, int)]
    times = [answer for answer in answers if isinstance(answer, float)]
    p95, health_p95, allowed = percentile(times, 0.95), percentile(health, 0.95), 1.5 * USERS * single
    endless = flood.count(NO_END)
    refused = [answer for answer in flood if isinstance(answer, int) and answer != NO_END]
    clean = sum(status == 503 for status in refused) / max(len(refused), 1)
    print(f"one user: median {single * 1e3:.1f} ms")
    print(
        f"{USERS} users for {seconds:.0f} s: {len(times)} answers, {len(errors)} errors, median "
        f"{statistics.median(times):.3f} s, p95 {p95:.3f} s (at most {allowed:.3f})"
    )
    print(f"/health: p95 {health_p95 * 1e3:.1f} ms of {len(health)}")
    print(
        f"{4 * QUEUE} at once: {len(flood) - len(refused) - endless} answered, {endless} without an end, "
        f"{len(refused)} refused, {clean:.2%} of them by 503"
    )
    return not (errors or endless) and p95 <= allowed and health_p95 <= HEALTH_SECONDS and clean >= 0.999


def main(seconds: float, program: str) -> int:
    # All users come from one address here, so its part of the queue is the whole.
    with running(program, queue=QUEUE, queue_per_client=QUEUE) as app:
        good = asyncio.run(press(app.url, QUESTIONS[program], seconds))
        print(json.dumps({"resident_mb": round(app.resident_mb())}))
    return 0 if good else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--app", choices=("app", "small"), default="app")
    options = parser.parse_args()
    sys.exit(main(options.seconds, options.app))
