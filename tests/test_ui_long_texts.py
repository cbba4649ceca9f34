"""Errors at lengths that no map is held for: the analysis, and the Error tab's section that shows them."""

from dataclasses import replace

import pytest
import torch

from nystrom_demo.analysis import blocked_errors, collect_layers
from nystrom_demo.analysis.lengths import error_against_length, random_inputs, repeated_inputs
from nystrom_demo.benchmark import peak_bytes
from nystrom_demo.config import AttentionSettings, NystromformerConfig
from nystrom_demo.limits.budget import Limits, under_limits
from nystrom_demo.limits.estimates import lengths_bytes
from nystrom_demo.ui.readout import count_tokens
from nystrom_demo.ui.state import PageState
from nystrom_demo.ui.tabs import long_texts

TEXT = "john smith went to paris and saw the river, the cat and the old house by the water"
SETTINGS = AttentionSettings(num_landmarks=3)


class TestAnalysis:
    def test_points_are_the_errors_of_the_first_n_tokens(self):
        inputs = random_inputs(53, 7)
        points = list(error_against_length(inputs, 0, [11, 53], SETTINGS, tokens_per_landmark=2.0))
        assert [(point.num_tokens, point.num_landmarks, point.rule) for point in points] == [
            (11, 3, "fixed"), (11, 6, "growing"), (53, 3, "fixed"), (53, 26, "growing"),
        ]  # fmt: skip
        for point in points:
            first = inputs._replace(**{name: getattr(inputs, name)[:, :, : point.num_tokens] for name in "qkv"})
            errors = blocked_errors(first, 0, SETTINGS._replace(num_landmarks=point.num_landmarks), spectral=False)
            assert (point.frobenius, point.output) == (errors.frobenius, errors.output)

    def test_a_landmark_for_each_token_has_no_error(self):
        exact = SETTINGS._replace(num_landmarks=99)
        points = list(error_against_length(random_inputs(29, 7), 0, [29], exact, tokens_per_landmark=1.0))
        assert [(point.num_landmarks, point.frobenius) for point in points] == [(29, 0.0), (29, 0.0)]

    def test_m_never_passes_its_bound_unless_it_is_exact(self):
        points = error_against_length(
            random_inputs(53, 7), 0, [2, 11, 53], SETTINGS, tokens_per_landmark=2.0, most_landmarks=6
        )
        assert [(point.num_tokens, point.num_landmarks) for point in points] == [
            (2, 2), (2, 1), (11, 3), (11, 6), (53, 3),
        ]  # fmt: skip

    def test_a_repeated_text_is_read_in_windows_from_position_zero(self, tiny_checkpoints):
        model = tiny_checkpoints["masked-lm"].model
        ids = torch.tensor([[7, 8, 9, 10, 11]])
        inputs = repeated_inputs(model, ids, 1, 13, window=4)
        whole = ids.repeat(1, 3)[:, :13]
        for start in range(0, 13, 4):
            window = collect_layers(model, whole[:, start : start + 4], layers=[1])[0]
            torch.testing.assert_close(inputs.q[:, :, start : start + 4], window.q)
            torch.testing.assert_close(inputs.v[:, :, start : start + 4], window.v)
        assert inputs.layer == 1 and inputs.q.shape[2] == 13

    def test_random_numbers_are_the_same_for_the_same_seed(self):
        assert torch.equal(random_inputs(5, 3).q, random_inputs(5, 3).q)
        assert not torch.equal(random_inputs(5, 3).q, random_inputs(5, 3, seed=1).q)
        assert not torch.equal(random_inputs(5, 3).q, random_inputs(5, 3).k)


@pytest.fixture
def short(monkeypatch):
    """Lengths that a test can wait for."""
    monkeypatch.setattr(long_texts, "LENGTHS", (32, 64))
    monkeypatch.setattr(long_texts, "WINDOW_TOKENS", 16)


def page_state(m: int = 3, text: str = TEXT, task: str = "masked-lm") -> PageState:
    return PageState(text, task, m, 6, False, "cpu")


def measured(checkpoints, values: PageState, source: str = "text", layer: int = 1, head: int = 2) -> list[dict]:
    return list(long_texts.measure(checkpoints, replace(values, long_text=source, layer=layer, head=head)))


class TestHandler:
    @pytest.mark.parametrize("source", ["text", "random"])
    def test_the_figure_plots_the_errors_of_the_chosen_head(self, short, tiny_checkpoints, source):
        shown = measured(tiny_checkpoints, page_state(), source)[-1]
        figure, sentence, table = shown["plot"], shown["note"], shown["table"]
        checkpoint = tiny_checkpoints["masked-lm"]
        inputs, head = random_inputs(64, 8), 0
        if source == "text":
            ids = checkpoint.tokenizer(TEXT, add_special_tokens=False, return_tensors="pt")["input_ids"]
            inputs, head = repeated_inputs(checkpoint.model, ids, 1, 64, window=16), 2
        ratio = count_tokens(checkpoint, TEXT) / 3
        points = list(error_against_length(inputs, head, (32, 64), SETTINGS, tokens_per_landmark=ratio))
        fixed = [point for point in points if point.rule == "fixed"]
        assert list(figure.data[0].x) == [32, 64]
        assert list(figure.data[0].y) == pytest.approx([point.frobenius for point in fixed])
        assert list(figure.data[1].customdata) == [point.num_landmarks for point in points if point.rule == "growing"]
        assert table.count("<tr>") == 1 + len(points)
        said = "layer 2, head 3 on the text" if source == "text" else "standard normal distribution, no text"
        assert said in sentence

    def test_points_come_one_by_one_and_the_buttons_come_back(self, short, tiny_checkpoints):
        steps = measured(tiny_checkpoints, page_state())
        assert [step["table"].count("<tr>") for step in steps] == [0, 2, 3, 4, 5, 5]
        assert [step["stop"]["visible"] for step in steps] == [True] * 5 + [False]
        assert steps[-1]["plot"] is not None  # the last answer repeats the figure

    def test_a_cancelled_measurement_takes_no_further_step(self, short, tiny_checkpoints, monkeypatch):
        taken = []

        def counted(*args, **kwargs):
            for point in error_against_length(*args, **kwargs):
                taken.append(point)
                yield point

        monkeypatch.setattr(long_texts, "error_against_length", counted)
        steps = long_texts.measure(tiny_checkpoints, page_state())
        next(steps), next(steps)
        steps.close()
        assert len(taken) == 1

    def test_a_head_chosen_on_a_larger_model_is_the_nearest(self, short, tiny_checkpoints):
        assert "layer 2, head 3" in measured(tiny_checkpoints, page_state(), layer=9, head=11)[-1]["note"]

    def test_no_landmarks_mean_exact_attention(self, short, tiny_checkpoints):
        asked = long_texts.long_text(tiny_checkpoints["masked-lm"], page_state(0))
        assert asked.settings.num_landmarks == count_tokens(tiny_checkpoints["masked-lm"], TEXT) and asked.ratio == 1

    def test_where_m_stops_growing_is_said(self, short, tiny_checkpoints, monkeypatch):
        monkeypatch.setattr(long_texts, "MAX_LANDMARKS", 7)
        shown = measured(tiny_checkpoints, page_state())[-1]
        figure, sentence = shown["plot"], shown["note"]
        assert "m grows no further than 7." in sentence
        assert list(figure.data[1].x) == [32]

    @pytest.mark.parametrize(
        ("values", "source", "sentence"),
        [
            (page_state(text=" "), "text", "There is no text to repeat. Type one, or measure random q, k, v."),
            (
                page_state(1_025, "cat " * 1_100),
                "text",
                "landmarks on long texts must be a whole number from 1 to 1024",
            ),
        ],
    )
    def test_what_cannot_be_measured_is_refused_in_a_sentence(self, tiny_checkpoints, values, source, sentence):
        with pytest.raises(ValueError, match=sentence.replace(".", r"\.")):
            measured(tiny_checkpoints, values, source)


class TestAdmission:
    def test_what_would_not_fit_is_refused_before_anything_is_read(self, tiny_checkpoints, monkeypatch):
        monkeypatch.setattr(long_texts, "sweep", lambda asked: pytest.fail("the text was read"))
        with under_limits(Limits(request_bytes=2**20)), pytest.raises(ValueError, match="The errors of 16,384 tokens"):
            measured(tiny_checkpoints, page_state())

    def test_only_an_m_whose_inverse_is_taken_counts(self, tiny_checkpoints):
        checkpoint = tiny_checkpoints["masked-lm"]
        few = long_texts.long_text(checkpoint, page_state(3))
        assert few.most_landmarks == max(
            m for n in long_texts.LENGTHS if (m := round(n / few.ratio)) <= long_texts.MAX_LANDMARKS
        )
        exact = long_texts.long_text(checkpoint, page_state(0))
        assert exact.most_landmarks == exact.settings.num_landmarks

    @pytest.mark.parametrize(("n", "m"), [(1_024, 16), (1_024, 1_024), (2_048, 16), (2_048, 256)])
    def test_the_estimate_covers_what_is_held_and_little_more(self, n, m):
        config = NystromformerConfig(hidden_size=384, num_attention_heads=12)
        generator = torch.Generator().manual_seed(0)
        windows = torch.randn(3, n // 512, 1, 12, 512, 32, generator=generator)

        def call():
            q, k, v = (torch.cat(list(x), 2) for x in windows.clone())
            inputs = random_inputs(1, 1)._replace(q=q, k=k, v=v)
            return list(
                error_against_length(inputs, 3, [n], SETTINGS._replace(num_landmarks=m), tokens_per_landmark=n / m)
            )

        ratio = lengths_bytes(config, n, m) / peak_bytes(call, torch.device("cpu"))
        assert 1 <= ratio <= 1.5, ratio
