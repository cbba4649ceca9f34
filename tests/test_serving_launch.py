"""What a server does before it is ready."""

import threading

import matplotlib
import torch
from matplotlib import rcsetup

from nystrom_demo.limits.parallel import SideBySide
from nystrom_demo.serving import launch as launching
from nystrom_demo.serving.health import Readiness
from nystrom_demo.serving.worker_pool import WorkerPool


def test_the_first_event_finds_a_backend_for_figures():
    matplotlib.rcParams._set("backend", rcsetup._auto_backend_sentinel)  # as in a new process
    launching._warm_up(lambda: None)
    assert matplotlib.get_backend(auto_select=False) == "agg"


def test_both_halves_have_run_the_readiness_check(monkeypatch):
    before, halves, meeting = torch.get_num_threads(), SideBySide(), threading.Barrier(2)
    halves.split(2)
    torch.set_num_threads(before)
    monkeypatch.setattr(launching, "SIDE_BY_SIDE", halves)
    ran = set()

    def check() -> None:
        ran.add(threading.current_thread())
        meeting.wait(30)  # or one half might run both

    launching._warm_up(check)
    assert len(ran) == 2


def test_until_a_pass_succeeds_the_warm_up_is_run_and_then_the_small_check():
    ran = []

    def warm_up() -> None:
        ran.append("warm up")
        if len(ran) == 1:
            raise RuntimeError("not yet")

    readiness = Readiness(lambda: ran.append("check"), WorkerPool(1), warm_up=warm_up)
    seen = []
    for _ in range(4):
        readiness.look()
        seen.append(readiness.ready)
    assert ran == ["warm up", "warm up", "check", "check"] and seen == [False, True, True, True]
