"""From a gr.Blocks to a running server: the settings in one place, and an orderly end."""

import functools
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import matplotlib
import torch
from starlette.middleware import Middleware

from nystrom_demo.limits.budget import Limits
from nystrom_demo.limits.parallel import HALVES
from nystrom_demo.serving.compression import PackedPage
from nystrom_demo.serving.gpu import is_lent
from nystrom_demo.serving.guard import Guard
from nystrom_demo.serving.handlers import Edge, protect_all
from nystrom_demo.serving.health import Readiness
from nystrom_demo.serving.log import log, start_logging
from nystrom_demo.serving.memory import request_bytes
from nystrom_demo.serving.page_states import use_pages
from nystrom_demo.serving.settings import Settings
from nystrom_demo.serving.web_modules import WebModules
from nystrom_demo.serving.worker_pool import Gate
from nystrom_demo.ui.web import modules

SPACE_THREADS = 2
GRACE_SECONDS = 8.0
# Longer than a proxy (nginx: 60 s) or a client keeps an idle connection, so that it is they who close it: a request
# that is sent while the server closes is lost. uvicorn's own 5 s are soon over on a busy machine.
KEEP_ALIVE_SECONDS = 75


def choose_device(settings: Settings) -> torch.device:
    """The device that the settings name; "auto" is cuda where there is one, else cpu."""
    if settings.device != "auto":
        return torch.device(settings.device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def set_threads(settings: Settings) -> int:
    """Tell torch how many threads to use, and return that number."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = settings.threads or (min(cores, SPACE_THREADS) if settings.space else cores)
    torch.set_num_threads(threads)
    return threads


def launch_arguments(demo: gr.Blocks, settings: Settings, readiness: Readiness | None = None) -> dict[str, Any]:
    """The keyword arguments of `demo.launch` for a public host. Also sets up the queue of `demo`.

    All requests leave gradio's queue at once, since the gate's line is the fair one; the guard bounds their number.
    """
    demo.queue(max_size=settings.queue, default_concurrency_limit=None, api_open=False)
    # Gradio would keep its last 10,000 events and tabulate them after each, for a page that the guard does not serve.
    demo._queue.ANALYTICS_MAX_EVENTS = 0
    demo._queue.compute_analytics_summary = lambda records: {"functions": {}}
    demo._queue.pending_messages_per_session.max_size = sys.maxsize  # `forget_unread` bounds it
    packed = Middleware(PackedPage, quality=5)
    guard = Middleware(Guard, demo=demo, settings=settings, readiness=readiness)
    files = Middleware(WebModules, modules=modules())
    return {
        "server_name": settings.host,
        "server_port": settings.port,
        "app_kwargs": {"middleware": [packed, guard, files], "openapi_url": None, "docs_url": None, "redoc_url": None},
        "max_threads": max(settings.queue, 40),
        "max_file_size": settings.body_kb * 1024,
        "state_session_capacity": settings.sessions,
        "show_error": False,
        "enable_monitoring": False,
        "run_history": False,
        "ssr_mode": False,
        "strict_cors": True,
        "pwa": False,
        "share": False,
        "mcp_server": settings.mcp,
        "head": f"<style>{_beside('restarted.css')}</style>"
        f"<script>{_beside('streams.js')}</script><script>{_beside('restarted.js')}</script>",
        "footer_links": [],
        "quiet": True,
    }


def _beside(name: str) -> str:
    return (Path(__file__).parent / name).read_text("utf-8")


def start(
    demo: gr.Blocks,
    settings: Settings,
    *,
    ready_check: Callable[[], object],
    warm_up: Callable[[], object] | None = None,
    device: torch.device | None = None,
    **more: Any,
) -> tuple[Gate, Readiness]:
    """Launch `demo` behind gate and guard and return while it serves. `more` goes to `demo.launch` (css, theme, head).

    `ready_check` is one small forward pass, run again and again. `warm_up`, what visitors ask for, is run in its place
    until it succeeds; from then on /ready answers 200.
    """
    if settings.mcp and importlib.util.find_spec("mcp") is None:
        raise ModuleNotFoundError("NYSTROM_DEMO_MCP needs the package mcp; pip install 'gradio[mcp]' brings it.")
    start_logging()
    device = choose_device(settings) if device is None else device
    if not is_lent():  # ZeroGPU computes in forks of this process, which have none of its threads
        HALVES.split(torch.get_num_threads())
    gate = Gate(settings.workers)
    limits = Limits(settings.text_chars, settings.text_tokens, request_bytes(settings, device))
    protect_all(demo, Edge(gate, limits, settings.proxy_hops))
    first = functools.partial(_warm_up, warm_up or ready_check)
    readiness = Readiness(functools.partial(_run_twice, ready_check), gate, warm_up=first)
    demo.launch(**{**more, **launch_arguments(demo, settings, readiness)}, prevent_thread_lock=True)
    demo.server.config.timeout_keep_alive = KEEP_ALIVE_SECONDS
    use_pages(demo)
    readiness.start()
    log(
        "started",
        address=demo.local_url,
        workers=settings.workers,
        request_mb=limits.request_bytes >> 20,
        device=str(device),
    )
    return gate, readiness


def launch(demo: gr.Blocks, settings: Settings, *, ready_check: Callable[[], object], **more: Any) -> None:
    """Serve `demo` until SIGTERM or Ctrl-C, then end open streams and exit with status 0 within ten seconds."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    start(demo, settings, ready_check=ready_check, **more)
    print(f"Running on {demo.local_url}", flush=True)
    while not stop.wait(1.0):  # in slices, so that a signal is seen on every platform
        pass
    log("stopping")
    # Readers that hang or a request that runs on must not outlive the signal.
    threading.Timer(GRACE_SECONDS, _exit).start()
    demo.close(verbose=False)
    _exit()


def _warm_up(check: Callable[[], object]) -> None:
    """`check` by both halves, and what the first event would wait for: where matplotlib has no backend yet, gradio
    imports all of it on its event loop to find one."""
    matplotlib.use("agg")
    _run_twice(check)


def _run_twice(check: Callable[[], object]) -> None:
    """`check` by both halves, since a visitor's request needs either."""
    HALVES.both(check, check)


def _exit() -> None:
    log("stopped")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads of a request still at work would keep a normal exit waiting
