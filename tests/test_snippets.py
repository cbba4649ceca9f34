"""Code for this view prints what the view shows."""

import contextlib
import io
from copy import deepcopy
from dataclasses import replace

import pandas as pd
import pytest

from nystrom_demo import snippets
from nystrom_demo.checkpoints import Library
from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.figures import csv_of, summary_of
from nystrom_demo.formatting import percent
from nystrom_demo.lessons import PICTURES, Case, Controls, load_lessons
from nystrom_demo.tasks import TASKS, answer, choose, classify, fill_mask, tag
from nystrom_demo.ui.state import PageState
from nystrom_demo.ui.tabs import error as error_tab
from nystrom_demo.ui.tabs import long_texts
from nystrom_demo.ui.tabs import tasks as tasks_tab
from nystrom_demo.ui.tabs import time as time_tab
from nystrom_demo.ui.tabs.attention import TextReader
from nystrom_demo.ui.task_views.inputs import task_inputs
from nystrom_demo.ui.task_views.registry import TASK_VIEWS

LESSON = load_lessons()[0]
TEXT = 'The "great" film, and Mary\'s walk to the bank\nby the river in London {n}.'


@pytest.fixture
def run(tiny_box, monkeypatch):
    """Runs a script on the tiny box and returns the lines it prints."""
    monkeypatch.setenv("NYSTROM_DEMO_CHECKPOINTS", str(tiny_box))

    def run_script(code: str) -> list[str]:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "<code for this view>", "exec"), {"__name__": "__main__"})
        return printed.getvalue().splitlines()

    return run_script


@pytest.mark.parametrize("own_norms", [False, True])
@pytest.mark.parametrize("lesson", load_lessons(), ids=lambda lesson: lesson.name)
def test_a_steps_code_prints_its_readings(lesson, own_norms, tiny_checkpoints, run):
    settings = AttentionSettings(num_landmarks=5, pinv_iterations=3, inv_coeff_init_option=own_norms)
    controls = Controls(1, 2, step=4, padding=50, sharpness=7.0)
    case = Case(tiny_checkpoints["token-classification"], TEXT, settings, controls, tiny_checkpoints)
    readings = PICTURES[lesson.name](case).readings
    lines = run(snippets.for_lesson(lesson, case))
    assert [line for line in lines if not line.startswith("milliseconds")] == [
        f"{reading.name}: {reading.text}" for reading in readings if not reading.measured
    ]
    assert sum(line.startswith("milliseconds") for line in lines) == sum(reading.measured for reading in readings)


@pytest.mark.parametrize("source", ["owner/model", "model"])
def test_a_checkpoint_from_the_hub_is_loaded_from_there(source, tiny_checkpoints):
    checkpoint = replace(tiny_checkpoints["masked-lm"], name="model", source=source)
    assert snippets.loading(checkpoint) == f"load_checkpoint('{source}', 'masked-lm', device='cpu')"


@pytest.mark.parametrize("name", ["mine", "masked-lm"])  # the second is a bundled checkpoint's name too
def test_a_servers_folder_is_loaded_where_the_script_lies_beside_it(name, tiny_checkpoints, tmp_path, run, monkeypatch):
    own = deepcopy(tiny_checkpoints["masked-lm"].model)
    own.base_model.embeddings.word_embeddings.weight.data.mul_(1.5)
    own.save_pretrained(tmp_path / name)
    tiny_checkpoints["masked-lm"].tokenizer.save_pretrained(tmp_path / name)
    library = Library(tiny_checkpoints.boxes, root=tmp_path)
    case = Case(library.load(name, "masked-lm"), TEXT, AttentionSettings(num_landmarks=5), Controls(1, 2), library)
    code = snippets.for_lesson(LESSON, case)
    assert "# ./ is a placeholder: write where you keep this folder\n" in code
    monkeypatch.chdir(tmp_path)
    assert run(code) == [f"{reading.name}: {reading.text}" for reading in PICTURES[LESSON.name](case).readings]


def page_state(task: str, m: int = 5, text: str = TEXT) -> PageState:
    return PageState(text, task, m, 3, True, "cpu")


def said_by(figure) -> list[str]:
    """What a figure's script must print: the numbers that can be saved on the page, and the page's sentence."""
    return [*csv_of(figure).splitlines(), "", summary_of(figure)]


def table_in(lines: list[str]) -> pd.DataFrame:
    """The table that comes first in what was printed."""
    return pd.read_csv(io.StringIO("\n".join(lines[: lines.index("")])))


@pytest.fixture(scope="module")
def error_answer(tiny_checkpoints):
    state = replace(page_state("token-classification"), layer=1, head=2, measure="output")
    shown = {}
    for piece in error_tab.show(TextReader(tiny_checkpoints), state):
        shown |= piece
    return error_tab.Parts(**shown)


@pytest.mark.parametrize("name", error_tab.FIGURES)
def test_code_of_an_error_figure_prints_its_numbers(name, error_answer, run):
    figure, _, code = getattr(error_answer, name)
    lines = run(code)
    assert lines[: len(said_by(figure))] == said_by(figure)


def test_code_of_the_states_prints_what_the_sentence_says_of_the_logits(error_answer, run):
    _, sentence, code = error_answer.states
    relative = float(run(code)[-1].split("relative=")[1].split(",")[0])
    assert f"The logits move by {percent(relative)}" in sentence


def test_code_of_the_mosaic_prints_every_heads_errors(error_answer, run):
    shown = pd.DataFrame(error_answer.heads["heads"])
    shown = shown.assign(layer=shown["layer"] + 1, head=shown["head"] + 1)  # the page counts from 1
    pd.testing.assert_frame_equal(table_in(run(error_answer.heads_code))[list(shown)], shown, rtol=1e-6)


@pytest.mark.parametrize("source", ["text", "random"])
def test_code_of_long_texts_prints_their_errors(source, tiny_checkpoints, run, monkeypatch):
    monkeypatch.setattr(long_texts, "LENGTHS", (32, 64))
    state = replace(page_state("masked-lm"), layer=1, head=2, long_text=source)
    *_, last = long_texts.measure(tiny_checkpoints, state)
    figure, code = last["plot"], last["code"]
    lines = run(code)
    printed, shown = (table_in(each).drop(columns="seconds") for each in (lines, said_by(figure)))
    pd.testing.assert_frame_equal(printed, shown)
    assert lines[-1] == summary_of(figure)


@pytest.mark.parametrize("scope", ["attention", "model"])
def test_code_of_a_timing_measures_the_same_points(scope, run):
    small = {"num_heads": 1, "head_dim": 8, "batch": 1, "num_layers": 1, "repeats": 1, "budget": 20.0}
    ways = {"methods": ("softmax (SDPA)", "landmarks"), "longest": 1_024, "scope": scope, "dtype": "bfloat16"}
    *_, last = time_tab.measure(replace(page_state("masked-lm"), **small, **ways))
    for figure, _, code in (last["clock"], last["gauge"]):
        printed, shown = (table_in(lines) for lines in (run(code), said_by(figure)))
        pd.testing.assert_frame_equal(printed[["method", "n"]], shown[["method", "n"]])
        assert list(printed) == list(shown)


def test_code_of_the_counted_costs_prints_them(run):
    shown = time_tab.introduce(replace(page_state("masked-lm"), head_dim=16))
    for figure, _, code in (shown["work"], shown["weights"]):
        pd.testing.assert_frame_equal(*(table_in(lines) for lines in (run(code), said_by(figure))))


INPUTS = {
    "masks": ((0, 3),),
    "question": "Who walked?",
    "choices_question": "What happened?",
    "options": "she walked\nit rained",
}
WORDS = {
    "masked-lm": (fill_mask, "masks"),
    "sequence-classification": (classify, "probabilities"),
    "token-classification": (tag, "entities"),
    "question-answering": (answer, "answers"),
    "multiple-choice": (choose, "scores"),
}


def shown_of(checkpoints, state: PageState) -> dict:
    """What the Tasks tab shows once all has come."""
    shown = {}
    for piece in tasks_tab.show(checkpoints, {}, replace(state, **INPUTS)):
        shown |= piece
    return shown


@pytest.mark.parametrize("task", list(TASKS))
def test_code_of_an_answer_prints_what_both_columns_show(task, tiny_checkpoints, run):
    state = replace(page_state(task), **INPUTS)
    code = next(tasks_tab.show(tiny_checkpoints, {}, state))["code"]
    checkpoint = tiny_checkpoints[task]
    inputs = TASK_VIEWS[task].head_inputs(checkpoint, task_inputs(state, state.masks))
    function, field = WORDS[task]
    results = [function(checkpoint, *inputs, settings) for settings in (EXACT, state.settings())]
    for line, result in zip(run(code), results, strict=True):
        assert line.startswith(repr(getattr(result, field)))


@pytest.mark.parametrize("task", list(TASKS))
def test_code_of_a_curve_prints_its_points(task, tiny_checkpoints, run):
    figure, _, code = shown_of(tiny_checkpoints, page_state(task))["curve"]
    assert run(code) == said_by(figure)


@pytest.mark.parametrize("text", ["{layer} {0} %s '''", 'a """quoted""" word \\ and \\n more', "<b>&amp;</b>"])
def test_no_text_breaks_out_of_its_script(text, tiny_checkpoints, run):
    figure, _, code = shown_of(tiny_checkpoints, page_state("sequence-classification", text=text))["curve"]
    assert run(code) == said_by(figure)
