"""Sessions that come and go, some without reading their answer: how the server's memory grows.

    python tests/load/sessions.py [--full]

Opens 600 sessions (--full: 10,000), 30 % of which never read their result, and prints resident memory along the way.
Status 1 when it grows by more than 50 MB after the first fifth.
"""

import argparse
import asyncio
import sys

import httpx
from serving_process import QUESTIONS, App, arguments, running

AT_ONCE, ABANDONED, MAX_GROWTH_MB = 16, 0.3, 50


async def visit(http: httpx.AsyncClient, api: str, number: int) -> None:
    """One session: a heartbeat begins, a question is asked, its answer is read or not."""
    session = f"visitor{number}"
    async with http.stream("GET", f"/gradio_api/heartbeat/{session}"):
        body = {"data": arguments(api, "A good film."), "session_hash": session}
        joined = await http.post(f"/gradio_api/call/{api}", json=body)
        while joined.status_code == 503:
            await asyncio.sleep(0.2)
            joined = await http.post(f"/gradio_api/call/{api}", json=body)
        joined.raise_for_status()
        if number % 10 >= 10 * ABANDONED:
            async with http.stream("GET", f"/gradio_api/call/{api}/{joined.json()['event_id']}") as answer:
                async for line in answer.aiter_lines():
                    if line == "event: complete":
                        break


async def open_sessions(app: App, api: str, count: int) -> list[float]:
    """Resident memory in MB after each tenth of the sessions."""
    slots, sizes = asyncio.Semaphore(AT_ONCE), []
    limits = httpx.Limits(max_connections=4 * AT_ONCE)
    async with httpx.AsyncClient(base_url=app.url, timeout=60, limits=limits) as http:

        async def one(number: int) -> None:
            async with slots:
                await visit(http, api, number)

        tenth = count // 10
        for part in range(10):
            await asyncio.gather(*(one(part * tenth + i) for i in range(tenth)))
            sizes.append(app.resident_mb())
            print(f"{(part + 1) * tenth:6} sessions: {sizes[-1]:.0f} MB", flush=True)
    return sizes


def main(count: int, program: str) -> int:
    with running(program) as app:
        sizes = asyncio.run(open_sessions(app, QUESTIONS[program], count))
    growth = max(sizes) - sizes[1]
    print(f"{count} sessions, {ABANDONED:.0%} abandoned: {growth:.0f} MB more after the first fifth")
    return 0 if growth <= MAX_GROWTH_MB else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="10,000 sessions")
    parser.add_argument("--app", choices=("app", "small"), default="app")
    options = parser.parse_args()
    sys.exit(main(10_000 if options.full else 600, options.app))
