"""Two computations at once, each on half of the threads."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest
import torch

from nystrom_demo.limits.parallel import SideBySide

SECONDS = 30  # past it the other half is taken not to run


@pytest.fixture
def halves() -> Iterator[SideBySide]:
    """SideBySide of six threads."""
    before = torch.get_num_threads()
    halves = SideBySide()
    halves.split(6)
    yield halves
    torch.set_num_threads(before)


def threads_of_a_product() -> int:
    """How many torch threads the caller has once it has computed something."""
    (torch.ones(8, 8) @ torch.ones(8, 8)).sum().item()
    return torch.get_num_threads()


def test_each_half_has_half_of_the_threads_and_others_keep_them_all(halves):
    assert halves.both(threads_of_a_product, threads_of_a_product) == (3, 3)
    with ThreadPoolExecutor(1) as later:
        assert later.submit(threads_of_a_product).result() == 6


def test_both_run_at_the_same_time(halves):
    meeting = threading.Barrier(2)
    assert sorted(halves.both(lambda: meeting.wait(SECONDS), lambda: meeting.wait(SECONDS))) == [0, 1]


def test_both_know_the_callers_context(halves):
    limit: ContextVar[int] = ContextVar("limit", default=0)
    limit.set(7)
    assert halves.both(limit.get, limit.get) == (7, 7)


def test_an_error_comes_out_once_the_other_half_has_ended(halves):
    failing, ended = threading.Event(), threading.Event()

    def fail() -> None:
        failing.set()
        raise ValueError("no such token")

    def end() -> None:
        assert failing.wait(SECONDS)
        ended.set()

    with pytest.raises(ValueError, match="no such token"):
        halves.both(fail, end)
    assert ended.is_set()


@pytest.mark.parametrize("num_threads", [None, 1])
def test_without_two_threads_to_divide_all_is_done_in_turn_where_it_is_asked_for(num_threads):
    halves, done = SideBySide(), []
    if num_threads is not None:
        halves.split(num_threads)
    halves.both(*(lambda what=what: done.append((what, threading.get_ident())) for what in "ab"))
    assert done == [("a", threading.get_ident()), ("b", threading.get_ident())]
