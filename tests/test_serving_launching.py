"""What a server does before it is ready."""

import threading

import matplotlib
import torch
from matplotlib import rcsetup

from nystrom_demo.serving import launching
from nystrom_demo.serving.halves import Halves


def test_the_first_event_finds_a_backend_for_figures():
    matplotlib.rcParams._set("backend", rcsetup._auto_backend_sentinel)  # as in a new process
    launching._warm_up(lambda: None)
    assert matplotlib.get_backend(auto_select=False) == "agg"


def test_both_halves_have_run_the_readiness_check(monkeypatch):
    before, halves, meeting = torch.get_num_threads(), Halves(), threading.Barrier(2)
    halves.split(2)
    torch.set_num_threads(before)
    monkeypatch.setattr(launching, "HALVES", halves)
    ran = set()

    def check() -> None:
        ran.add(threading.current_thread())
        meeting.wait(30)  # or one half might run both

    launching._warm_up(check)
    assert len(ran) == 2
