"""Kills and restarts: whether the server is ready again each time, and whether SIGTERM ends it in order.

    python tests/load/restarts.py [--full]

Kills the app (SIGKILL) and starts it on the same port 3 times (--full: 20), asking for an answer each time; then opens
50 event streams with work under way and sends SIGTERM. Status 1 unless each start is ready and answers, and the last
process exits with status 0 within ten seconds.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import httpx
from serving_process import QUESTIONS, App, free_port, start_app
from users import ask

STREAMS, EXIT_SECONDS = 50, 10


async def answers(app: App, api: str) -> bool:
    async with httpx.AsyncClient(base_url=app.url, timeout=60) as http:
        return isinstance(await ask(http, api), float)


async def terminate_with_streams(app: App, api: str) -> tuple[int, float]:
    """(exit status, seconds) of SIGTERM while 50 streams are open and requests are at work."""
    limits = httpx.Limits(max_connections=2 * STREAMS)
    async with httpx.AsyncClient(base_url=app.url, timeout=30, limits=limits) as http:
        opened = asyncio.Semaphore(0)

        async def hold(number: int) -> None:
            try:
                async with http.stream("GET", f"/gradio_api/heartbeat/held{number}") as stream:
                    opened.release()
                    async for _ in stream.aiter_bytes():
                        pass
            except httpx.TransportError:
                pass  # the server that held it is gone

        held = [asyncio.ensure_future(hold(number)) for number in range(STREAMS)]
        for _ in range(STREAMS):
            await opened.acquire()
        asked = [asyncio.ensure_future(ask(http, api)) for _ in range(10)]
        await asyncio.sleep(0.05)
        result = await asyncio.to_thread(app.stop, EXIT_SECONDS + 20)
        for task in (*held, *asked):
            task.cancel()
        await asyncio.gather(*held, *asked, return_exceptions=True)
    return result


def main(kills: int, program: str) -> int:
    api, port, starts, good = QUESTIONS[program], free_port(), [], True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(kills):
            began = time.monotonic()
            app = start_app(program, folder, port)
            starts.append(time.monotonic() - began)
            good = asyncio.run(answers(app, api)) and good
            app.process.kill()
            app.process.wait()
        app = start_app(program, folder, port)
        try:
            status, seconds = asyncio.run(terminate_with_streams(app, api))
        finally:
            app.process.kill()
    print(f"{kills} kills: ready again each time, in {max(starts):.1f} s at most; all answered: {good}")
    print(f"SIGTERM with {STREAMS} open streams: exit status {status} after {seconds:.1f} s")
    return 0 if good and status == 0 and seconds <= EXIT_SECONDS else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="20 kills")
    parser.add_argument("--app", choices=("app", "small"), default="app")
    arguments = parser.parse_args()
    sys.exit(main(20 if arguments.full else 3, arguments.app))
