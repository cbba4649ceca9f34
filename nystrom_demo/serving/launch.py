"""From a gr.Blocks to a running server: the settings in one place, and an orderly end."""

import functools
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
import matplotlib
import torch

from nystrom_demo.console import find_device
from nystrom_demo.errors import UserError
from nystrom_demo.limits.parallel import SIDE_BY_SIDE
from nystrom_demo.serving.compression import Packed
from nystrom_demo.serving.connections import BACKLOG, BoundedProtocol, Connections, most_connections
from nystrom_demo.serving.gpu import is_lent
from nystrom_demo.serving.gradio_patches import bound_queue, served_with, use_pages
from nystrom_demo.serving.guard import Guard
from nystrom_demo.serving.handlers import HandlerContext, protect_all
from nystrom_demo.serving.health import Readiness
from nystrom_demo.serving.log import log, own_standard_error, start_logging
from nystrom_demo.serving.memory import request_limits
from nystrom_demo.serving.metrics import Metrics
from nystrom_demo.serving.settings import PREFIX, Settings
from nystrom_demo.serving.worker_pool import WorkerPool

SPACE_THREADS = 2
GRACE_SECONDS = 8.0
# Longer than a proxy (nginx: 60 s) or a client keeps an idle connection, so that it is they who close it: a request
# that is sent while the server closes is lost. uvicorn's own 5 s are soon over on a busy machine.
KEEP_ALIVE_SECONDS = 75


def choose_device(settings: Settings) -> torch.device:
    """The device that the settings name; "auto" is cuda where there is one, else cpu. UserError for one that is not
    there."""
    if settings.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return find_device(settings.device)
    except ValueError as error:
        raise UserError(f"{PREFIX}DEVICE names no device of this machine: {error}") from None


def set_threads(settings: Settings) -> int:
    """Tell torch how many threads to use, and return that number."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = settings.threads or (min(cores, SPACE_THREADS) if settings.space else cores)
    torch.set_num_threads(threads)
    return threads


def launch_arguments(demo: gr.Blocks, settings: Settings) -> dict[str, Any]:
    """The keyword arguments of `demo.launch` for a public host. Also sets up the queue of `demo`.

    All requests leave gradio's queue at once, since the pool's line is the fair one; the guard bounds their number.
    """
    demo.queue(max_size=settings.queue, default_concurrency_limit=None, api_open=False)
    bound_queue(demo, settings.unread_mb << 20)
    return {
        "server_name": f"[{settings.host}]" if ":" in settings.host else settings.host,
        "server_port": settings.port,
        "root_path": settings.root_path or None,
        "app_kwargs": {"openapi_url": None, "docs_url": None, "redoc_url": None},
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
        "_frontend": False,  # no look at its own page, which it would give three seconds
    }


def server_options(settings: Settings) -> dict[str, Any]:
    """uvicorn's options beside gradio's."""
    per_client = None if settings.proxy_hops else settings.connections_per_client  # a proxy's are all from one address
    connections = Connections(most_connections(settings.connections), per_client)
    body_bytes = settings.body_kb * 1024
    return {
        "http": functools.partial(BoundedProtocol, connections=connections, body_bytes=body_bytes),
        "ws": "none",
        "proxy_headers": False,  # `identity` reads them, and once
        "backlog": BACKLOG,
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
        "server_header": False,
        "log_config": None,
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
    files: Mapping[str, bytes] | None = None,
    **more: Any,
) -> tuple[WorkerPool, Readiness]:
    """Launch `demo` behind pool and guard and return while it serves. `more` goes to `demo.launch` (css, theme, head),
    `files` are served under /web/ by their names there.

    `ready_check` is one small forward pass, run again and again. `warm_up`, what visitors ask for, is run in its place
    until it succeeds; from then on /ready answers 200.
    """
    if settings.mcp and importlib.util.find_spec("mcp") is None:
        raise UserError("NYSTROM_DEMO_MCP needs the package mcp; pip install 'gradio[mcp]' brings it.")
    start_logging()
    device = choose_device(settings) if device is None else device
    if not is_lent():  # ZeroGPU computes in forks of this process, which have none of its threads
        SIDE_BY_SIDE.split(torch.get_num_threads())
    pool = WorkerPool(settings.workers)
    limits = request_limits(settings, device)
    metrics = Metrics(pool)
    protect_all(demo, HandlerContext(pool, limits, metrics))
    first = functools.partial(_warm_up, warm_up or ready_check)
    readiness = Readiness(functools.partial(_run_twice, ready_check), pool, warm_up=first)
    # Around the whole of gradio's app: its own middleware reads headers and packs answers, too.
    guarded = lambda app: Guard(Packed(app), demo, settings, readiness, metrics, files)  # noqa: E731
    with served_with(guarded, **server_options(settings)):
        demo.launch(**{**more, **launch_arguments(demo, settings)}, prevent_thread_lock=True)
    use_pages(demo)
    readiness.start()
    log(
        "started",
        address=demo.local_url,
        workers=settings.workers,
        request_mb=limits.request_bytes >> 20,
        device=str(device),
    )
    return pool, readiness


def launch(demo: gr.Blocks, settings: Settings, *, ready_check: Callable[[], object], **more: Any) -> None:
    """Serve `demo` until SIGTERM or Ctrl-C, then end open streams and exit with status 0 within ten seconds."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    start_logging()  # to standard error as it is
    own_standard_error()
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
    SIDE_BY_SIDE.both(check, check)


def _exit() -> None:
    log("stopped")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads of a request still at work would keep a normal exit waiting
