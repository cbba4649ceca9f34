"""Code for this view prints what the view shows."""

import contextlib
import io

import pytest

from nystrom_demo import snippets
from nystrom_demo.config import AttentionSettings
from nystrom_demo.lessons import PICTURES, Case, Controls, load_lessons

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


def test_a_checkpoint_from_elsewhere_is_loaded_from_there(tiny_checkpoints):
    from dataclasses import replace

    checkpoint = replace(tiny_checkpoints["masked-lm"], name="owner/model", source="owner/model")
    assert snippets.loading(checkpoint) == "load_checkpoint('owner/model', 'masked-lm', device='cpu')"
