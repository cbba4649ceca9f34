"""Answers that were given before: no model runs again, whatever else is asked is computed, and bounds hold."""

import threading
import tracemalloc
from contextvars import ContextVar
from dataclasses import replace

import pytest
import torch

from nystrom_demo.limits.budget import Limits, under_limits
from nystrom_demo.limits.cache import ANSWERS, ENTRY_BYTES, ResultCache, about
from nystrom_demo.ui.examples import load_examples
from nystrom_demo.ui.state import PageState
from nystrom_demo.ui.tabs import attention as attention_tab
from nystrom_demo.ui.tabs import error as error_tab
from nystrom_demo.ui.tabs import tasks as tasks_tab
from nystrom_demo.ui.tabs.attention import TextReader

TEXT = "mary walked by the river and saw the old house"
TASKS = ("masked-lm", "sequence-classification", "token-classification", "question-answering", "multiple-choice")


ASKED_HERE = ContextVar("asked_here", default=False)  # a server of another test, and its watch, have other contexts


@pytest.fixture
def passes(tiny_checkpoints):
    """One entry a text of this test that the models' embeddings take."""
    seen = []
    asked_here = ASKED_HERE.set(True)
    embeddings = {checkpoint.model.base_model.embeddings for checkpoint in tiny_checkpoints.values()}
    hooks = [
        each.register_forward_pre_hook(lambda *_: seen.append(1) if ASKED_HERE.get() else None) for each in embeddings
    ]
    yield seen
    ASKED_HERE.reset(asked_here)
    for hook in hooks:
        hook.remove()


def page_state(text: str = TEXT, task: str = "sequence-classification", m: int = 3, **changes) -> PageState:
    return PageState(
        **{"text": text, "task": task, "num_landmarks": m, "pinv_iterations": 6, "inv_coeff_init_option": False}
        | {"device": "cpu"}
        | changes
    )


INPUTS = {
    "masks": ((0, 4),),
    "question": "who saw it?",
    "choices_question": "who saw it?",
    "options": "mary\nthe river",
}


def tasks(checkpoints, state: PageState):
    return next(tasks_tab.show(checkpoints, load_examples(), replace(state, **INPUTS)))


def attention(checkpoints, state: PageState, head: int = 1):
    return list(attention_tab.show(TextReader(checkpoints), replace(state, head=head)))  # a reader that knows no text


def error(checkpoints, state: PageState, head: int = 1):
    return [str(piece) for piece in error_tab.show(TextReader(checkpoints), replace(state, head=head))]


@pytest.mark.parametrize("task", TASKS)
def test_a_head_asked_the_same_again_runs_no_model(tiny_checkpoints, passes, task):
    first = tasks(tiny_checkpoints, page_state(task=task))
    assert passes
    passes.clear()
    assert tasks(tiny_checkpoints, page_state(task=task)) == first
    assert passes == []


@pytest.mark.parametrize("ask", [attention, error])
def test_maps_and_errors_asked_for_again_run_no_model(tiny_checkpoints, passes, ask):
    first = ask(tiny_checkpoints, page_state())
    assert passes
    passes.clear()
    assert ask(tiny_checkpoints, page_state()) == first
    assert passes == []


@pytest.mark.parametrize("ask", [tasks, attention, error])
@pytest.mark.parametrize("changes", [{"text": TEXT + " walk"}, {"m": 4}, {"pinv_iterations": 5}])
def test_another_text_m_or_pseudo_inverse_is_computed(tiny_checkpoints, passes, ask, changes):
    first = ask(tiny_checkpoints, page_state())
    passes.clear()
    assert ask(tiny_checkpoints, page_state(**changes)) != first
    assert passes


def test_another_m_asks_for_the_landmark_pass_alone(tiny_checkpoints, passes):
    tasks(tiny_checkpoints, page_state(m=3))
    passes.clear()
    tasks(tiny_checkpoints, page_state(m=4))
    assert len(passes) == 1


def test_what_is_refused_is_not_kept(tiny_checkpoints):
    for ask in (attention, error):
        with pytest.raises(ValueError, match="The maps show a text whole"):
            ask(tiny_checkpoints, page_state("great " * 5000))
    with pytest.raises(ZeroDivisionError):
        ANSWERS.get_or_compute("a", lambda: 1 / 0)
    assert len(ANSWERS) == 0 and ANSWERS.get_or_compute("a", lambda: 2) == 2


def test_steps_are_kept_once_they_came_to_their_end():
    kept = ResultCache()
    steps = kept.replay("a", lambda: iter("xyz"))
    assert next(steps) == "x"
    steps.close()
    assert len(kept) == 0
    assert list(kept.replay("a", lambda: iter("xyz"))) == ["x", "y", "z"]
    assert list(kept.replay("a", lambda: iter(""))) == ["x", "y", "z"]


def test_what_was_asked_for_longest_ago_goes_first():
    kept = ResultCache(max_bytes=2 * ENTRY_BYTES + 100)
    for key in "aba":
        kept.get_or_compute(key, lambda key=key: key)
    kept.get_or_compute("c", lambda: "c")
    assert kept.get_or_compute("a", lambda: "new") == "a" and kept.get_or_compute("b", lambda: "new") == "new"
    assert len(kept) == 2


def test_the_bytes_kept_stay_within_the_bound():
    kept = ResultCache(max_bytes=4 * ENTRY_BYTES)
    for key in range(7):
        kept.get_or_compute(key, lambda: b"x" * 300)
    assert len(kept) == 3 and 3 * (ENTRY_BYTES + 300) < kept.num_bytes <= 4 * ENTRY_BYTES
    kept.get_or_compute("large", lambda: b"x" * 4 * ENTRY_BYTES)
    assert len(kept) == 3 and kept.get_or_compute(6, lambda: b"new") == b"x" * 300


@pytest.mark.parametrize(("texts", "size"), [(2_000, 1), (400, 3_000)])
def test_long_texts_and_their_answers_take_no_more_memory_than_the_bound(texts, size):
    kept, model = ResultCache(max_bytes=2**20), torch.nn.Linear(2, 3)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for i in range(texts):
        key = about(model, "answer", "\u200b" * 50_000 + str(i), [i])
        kept.get_or_compute(key, lambda: b"x" * size)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) > 200 and after - before < kept.max_bytes


def test_ones_own_text_is_kept_for_ones_own_page_and_an_examples_answer_for_all(tiny_checkpoints, passes):
    own, example = page_state(), page_state(load_examples()["review"].text)
    for values, expected in ((own, 1), (example, 0)):
        for visitor, computed in (("a", 1), ("a", 0), ("b", expected)):
            passes.clear()
            with under_limits(Limits(), visitor):
                attention(tiny_checkpoints, values)
                tasks(tiny_checkpoints, values)
            assert bool(passes) == computed


def test_nobody_can_change_what_another_is_given():
    kept = ResultCache()
    kept.get_or_compute("a", lambda: [1]).append(2)
    kept.get_or_compute("a", lambda: [0]).append(3)
    assert kept.get_or_compute("a", lambda: [0]) == [1]


def test_the_key_of_a_model_that_is_gone_is_no_other_models():
    model = torch.nn.Linear(2, 3)
    key = about(model, "a")
    assert key == about(model, "a") and hash(key) == hash(about(model, "a"))
    del model
    assert all(about(torch.nn.Linear(2, 3), "a") != key for _ in range(5))


def test_two_who_ask_at_once_get_the_same(tiny_checkpoints):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(tasks(tiny_checkpoints, page_state()))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 2 and answers[0] == answers[1]
