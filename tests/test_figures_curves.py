"""What the curves plot: errors, answers, lengths, and what attention costs; and what their sentences say."""

import numpy as np
import plotly.graph_objects as go
import pytest
from sample_results import ANSWERS, COSTS, ERRORS, LAYERS, LENGTHS, PADDING, RESIDUALS, SPECTRUM, TIMES

from nystrom_demo import figures
from nystrom_demo.figures.style import landmark_axis


@pytest.mark.parametrize(("last", "shown"), [(420, [1, 16, 420]), (512, [1, 16, 256, 512])])
def test_a_landmark_axis_leaves_out_a_number_too_near_the_next(last, shown):
    figure = go.Figure()
    landmark_axis(figure, [1, 16, 256, last])
    assert list(figure.layout.xaxis.tickvals) == shown
    assert list(figure.layout.xaxis.ticktext) == [str(m) for m in shown]


class TestCurves:
    def test_errors_and_the_best_of_rank_m_stand_beside_each_other(self):
        figure = figures.error_against_landmarks(ERRORS, chosen=2)
        ours, best = figure.data
        assert list(ours.x) == [1, 2, 5] and list(ours.y)[:2] == [0.5, 0.25] and np.isnan(ours.y[2])
        assert list(best.y)[:2] == [0.4, 0.1] and best.line.dash == "dash"
        assert [note.text for note in figure.layout.annotations] == ["m = 5: 0"]
        assert figure.layout.shapes[0].x0 == 2
        assert figures.summary_of(figure).startswith("From m = 1 to 5 landmarks the relative Frobenius error goes")
        assert "from 50 % to 0 %, that of the best matrix of rank m from 40 % to 0 %" in figures.summary_of(figure)

    def test_the_spectrum_shows_both_maps_and_what_m_keeps(self):
        figure = figures.singular_values(SPECTRUM, num_landmarks=1)
        exact, landmark = figure.data
        assert list(exact.y)[:2] == [2.0, 1.0] and landmark.y[0] == 1.5 and np.isnan(landmark.y[1])
        assert "80 % of the squared Frobenius norm lies in the first 1" in figures.summary_of(figure)

    def test_residuals_have_one_line_a_method(self):
        figure = figures.pinv_residuals(RESIDUALS, steps=1)
        assert [trace.name for trace in figure.data] == ["largest of the heads", "own norms", "torch.linalg.pinv"]
        assert list(figure.data[1].y) == [0.8, 0.25] and figure.layout.shapes[0].x0 == 1
        assert "After 1 step the" in figures.summary_of(figure) and "0.25 (own norms)" in figures.summary_of(figure)

    def test_hidden_states_and_padding_plot_their_columns(self):
        line, bars = figures.hidden_state_errors(LAYERS).data
        assert list(line.y) == [0.0, 0.1, 0.3] and list(bars.x) == [1, 2] and list(bars.y) == [0.1, 0.25]
        naive, ours = figures.padding_errors(PADDING).data
        assert list(naive.y) == [0.2, 0.5] and list(ours.y) == [0.2, 0.2]


class TestAnswers:
    def test_the_curve_is_hollow_where_landmarks_answer_otherwise(self):
        exact, landmark = figures.answer_curve(ANSWERS, num_tokens=11, chosen=2).data
        assert list(exact.x) == [1, 11] and list(exact.y) == [0.75, 0.75]
        assert list(landmark.x) == [1, 2, 8] and list(landmark.y) == [0.5, 0.7, 0.74]
        assert landmark.marker.symbol == ("circle-open", "circle", "circle")

    def test_the_chosen_m_is_marked_and_exact_attention_stands_at_n(self):
        for chosen, place in ((2, 2), (0, 11)):
            assert figures.answer_curve(ANSWERS, num_tokens=11, chosen=chosen).layout.shapes[0].x0 == place

    def test_the_sentence_names_the_ends_and_where_the_answer_changes(self):
        assert figures.summary_of(figures.answer_curve(ANSWERS, num_tokens=1100)) == (
            "Exact attention gives its answer a probability of 75.0\xa0%; with 1 landmark it has 50.0\xa0%, with 8 "
            "(of 1,100 tokens) 74.0\xa0%, and they answer otherwise at m = 1."
        )
        agreeing = ANSWERS[ANSWERS.agrees]
        sentence = figures.summary_of(figures.answer_curve(agreeing, num_tokens=11))
        assert sentence.endswith("they answer the same at each m.")
        sentence = figures.summary_of(figures.answer_curve(ANSWERS[ANSWERS.num_landmarks < 2], num_tokens=11))
        assert sentence.endswith("they answer otherwise at each m.")


class TestLengths:
    def test_each_rule_is_a_line_without_its_zeros(self):
        fixed, growing = figures.error_against_length(LENGTHS).data
        assert list(fixed.x) == [512, 1024] and list(fixed.y) == [0.25, 0.5] and list(fixed.customdata) == [16, 16]
        assert list(growing.x) == [512] and growing.line.dash == "dash"

    def test_the_sentence_says_where_each_rule_begins_and_ends(self):
        assert figures.summary_of(figures.error_against_length(LENGTHS)) == (
            "With the same m at every n (16 at n = 1,024) the error goes from 25 % at n = 512 to "
            "50 %; with m growing as n (64 at n = 1,024) the error goes from 13 % at "
            "n = 512 to 0 %."
        )
        assert figures.summary_of(figures.error_against_length([])) == "Nothing has been measured yet."


class TestTiming:
    def test_points_have_their_spread_and_laws_are_dotted_to_the_end(self):
        figure = figures.timing(TIMES, until=4096)
        points, law, *_ = figure.data
        assert list(points.x) == [256, 512] and list(points.y) == [0.002, 0.008]
        assert list(points.error_y.array) == pytest.approx([0.001, 0.004])
        assert law.line.dash == "dot" and (law.x[0], law.x[-1]) == pytest.approx((256, 4096))
        assert law.y[-1] == pytest.approx(0.002 * 16**2)  # four times the time at twice the length
        assert law.name == "softmax (SDPA) ∝ n^2.00"

    def test_the_sentence_names_the_laws_and_where_they_meet(self):
        sentence = figures.summary_of(figures.timing(TIMES))
        assert "softmax (SDPA) took 8 ms at n = 512, growing as n^2.00" in sentence
        assert sentence.endswith("Landmarks cost less from about n = 512 on.")

    def test_memory_is_drawn_in_bytes(self):
        figure = figures.timing(TIMES, "peak_bytes")
        assert list(figure.data[0].y) == [2**20, 2**22] and figure.data[0].customdata[0] == "1 MiB"

    def test_an_unknown_quantity_is_named(self):
        with pytest.raises(ValueError, match='quantity must be "median" or "peak_bytes", got "mean"'):
            figures.timing(TIMES, "mean")

    def test_no_measurement_makes_an_empty_figure(self):
        assert figures.summary_of(figures.timing([])) == "Nothing has been measured yet."


class TestCountedCosts:
    def test_the_sentence_says_from_where_on_landmarks_need_less_and_how_much(self):
        # m = 4, d = 8, six steps: 2 n² 8 against 4 n 4 8 + 2 16 8 + 24 64; at n = 64 65,536 against 9,984
        assert figures.summary_of(figures.counted_costs(COSTS)) == (
            "Of the lengths drawn, landmarks need fewer multiply-adds from n = 16 on; at n = 64 exact attention needs "
            "65,500, landmarks 10,000, 6.52 times fewer."
        )

    def test_weights_are_n_squared_against_two_strips_and_the_pseudo_inverse(self):
        exact, landmark = figures.counted_costs(COSTS, "weights").data
        assert list(exact.y) == [16, 256, 4096] and list(landmark.y) == [4 * 8 + 16, 4 * 32 + 16, 4 * 128 + 16]

    def test_where_landmarks_never_need_less_the_sentence_says_so(self):
        assert figures.summary_of(figures.counted_costs(COSTS[:1], "weights")) == (
            "Landmarks need no fewer stored weights up to n = 4."
        )

    def test_an_unknown_quantity_is_named(self):
        with pytest.raises(ValueError, match='quantity must be "multiply_adds" or "weights", got "median"'):
            figures.counted_costs(COSTS, "median")
