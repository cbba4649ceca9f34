"""What the figures plot, asked of the figures themselves; and what their sentences say."""

import io
import subprocess
import sys
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from sample_results import (
    ANSWERS,
    COSTS,
    ERRORS,
    HEADS,
    LAYERS,
    LENGTHS,
    PADDING,
    RESIDUALS,
    SPECTRUM,
    TIMES,
    some_factors,
    some_maps,
)

from nystrom_demo import figures
from nystrom_demo.analysis import Maps
from nystrom_demo.benchmark import to_frame
from nystrom_demo.figures import roles
from nystrom_demo.figures.scales import (
    difference_limit,
    difference_scale,
    pooled,
    weight_limits,
    weight_scale,
)
from nystrom_demo.figures.style import plain
from nystrom_demo.formatting import as_probability, duration, memory, number, percent


@cache
def all_figures() -> dict[str, object]:
    return {
        "maps": figures.attention_maps(some_maps(), list("abcde")),
        "matrix": figures.matrix(np.eye(3), title="I"),
        "factors": figures.factors(some_factors()),
        "mosaic": figures.mosaic(HEADS, "frobenius", chosen=(1, 0)),
        "errors": figures.error_against_landmarks(ERRORS, chosen=2),
        "spectrum": figures.singular_values(SPECTRUM, num_landmarks=1),
        "residuals": figures.pinv_residuals(RESIDUALS, steps=1),
        "layers": figures.hidden_state_errors(LAYERS),
        "padding": figures.padding_errors(PADDING),
        "timing": figures.timing(TIMES, until=10**6),
        "counted_costs": figures.counted_costs(COSTS),
        "answers": figures.answer_curve(ANSWERS, num_tokens=11, chosen=2),
        "lengths": figures.error_against_length(LENGTHS),
    }


TABLES = {
    "mosaic": HEADS.assign(layer=HEADS["layer"] + 1, head=HEADS["head"] + 1),
    "errors": ERRORS,
    "spectrum": SPECTRUM,
    "residuals": RESIDUALS,
    "layers": LAYERS,
    "padding": PADDING,
    "timing": to_frame(TIMES),
    "counted_costs": COSTS,
    "answers": ANSWERS,
    "lengths": pd.DataFrame(LENGTHS),
}


class TestEveryFigure:
    @pytest.mark.parametrize("name", list(all_figures()))
    def test_has_no_ground_one_grey_for_text_and_a_sentence(self, name):
        figure = all_figures()[name]
        clear = "rgba(0,0,0,0)"
        assert figure.layout.paper_bgcolor == clear and figure.layout.plot_bgcolor == clear
        assert min(contrast(figure.layout.font.color, page) for page in ("#ffffff", "#18181b")) > 3.8
        sentence = figures.summary_of(figure)
        assert sentence.endswith(".") and "nan" not in sentence and "‖" not in sentence

    @pytest.mark.parametrize("name", list(TABLES))
    def test_carries_the_table_that_it_draws(self, name):
        read = pd.read_csv(io.StringIO(figures.csv_of(all_figures()[name])), keep_default_na=False, na_values=[""])
        wanted = TABLES[name].convert_dtypes().fillna({"note": ""}) if name == "timing" else TABLES[name]
        assert list(read) == list(wanted) and len(read) == len(wanted)
        for column in wanted.select_dtypes("number"):
            np.testing.assert_allclose(read[column].astype(float), wanted[column].astype(float), rtol=1e-6)

    def test_of_matrices_has_no_table_and_says_so(self):
        for name in ("maps", "matrix", "factors"):
            with pytest.raises(ValueError, match="This figure draws matrices"):
                figures.csv_of(all_figures()[name])

    @pytest.mark.parametrize("answer", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
    def test_runs_no_formula_in_a_spreadsheet(self, answer):
        table = ANSWERS.assign(answer=answer)
        assert f"'{answer}" in figures.csv_of(figures.answer_curve(table, num_tokens=11))

    def test_importing_the_package_loads_no_drawing_library(self):
        code = "import sys, nystrom_demo.figures.roles; print({'plotly', 'matplotlib'} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "set()"

    def test_every_public_name_is_there_and_no_other(self):
        assert all(hasattr(figures, name) for name in figures.__all__) and "mosaic" in dir(figures)
        with pytest.raises(AttributeError, match="has no attribute 'no_such_figure'"):
            figures.no_such_figure  # noqa: B018


class TestMatrices:
    def test_exact_and_landmark_share_one_scale_and_the_difference_is_centred(self):
        exact, landmark, difference = figures.attention_maps(some_maps()).data
        assert (exact.zmin, exact.zmax) == (landmark.zmin, landmark.zmax) == pytest.approx((-0.25, 0.75))
        assert exact.colorscale == landmark.colorscale
        assert difference.zmin == -difference.zmax == pytest.approx(-0.55)
        np.testing.assert_allclose(landmark.z, some_maps().landmark)
        np.testing.assert_allclose(difference.z, some_maps().difference)

    def test_the_first_row_is_on_top_and_cells_are_square(self):
        layout = figures.attention_maps(some_maps()).layout
        assert layout.yaxis.autorange == "reversed" and layout.yaxis.scaleanchor == "x"
        assert layout.yaxis2.matches == layout.yaxis3.matches == "y"
        assert layout.xaxis2.matches == layout.xaxis3.matches == "x"

    def test_tokens_name_rows_and_columns_and_their_marks_are_inert(self):
        heat = figures.attention_maps(some_maps(), ["a", "a", "<b>&", "d", "e"]).data[0]
        assert list(heat.x) == list(heat.y) == ["0 a", "1 a", "2 &lt;b&gt;&amp;", "3 d", "4 e"]

    def test_labels_that_do_not_fit_are_refused(self):
        with pytest.raises(ValueError, match="one label a row or column, 5, got 2"):
            figures.attention_maps(some_maps(), ["a", "b"])

    def test_a_large_map_is_averaged_and_says_so(self):
        figure = figures.attention_maps(some_maps(300))
        assert np.shape(figure.data[0].z) == (150, 150)
        assert figure.layout.annotations[0].text == "exact attention (means of 2×2)"
        assert figure.data[0].x[1] == "2–3"

    def test_pooling_averages_blocks_and_the_rest(self):
        small, rows, columns = pooled(np.arange(15.0).reshape(3, 5), max_cells=2)
        assert (rows, columns) == (2, 3)
        np.testing.assert_allclose(small, [[np.mean([0, 1, 2, 5, 6, 7]), np.mean([3, 4, 8, 9])], [11, 13.5]])

    def test_equal_maps_have_a_difference_of_zero_and_say_so(self):
        exact = torch.full((3, 3), 1 / 3)
        figure = figures.attention_maps(Maps(exact, exact, torch.zeros(3, 3)))
        assert not np.any(figure.data[2].z) and (figure.data[2].zmin, figure.data[2].zmax) == (-1, 1)
        assert "the same matrix" in figures.summary_of(figure)

    def test_the_sentence_of_the_maps_names_the_largest_difference(self):
        sentence = figures.summary_of(figures.attention_maps(some_maps()))
        assert sentence.endswith("most where token 3 reads from token 0 (+0.55), and has 1 negative entry.")
        assert "0 negative entries" in figures.summary_of(figures.attention_maps(some_maps(lowest=0.0)))

    def test_a_signed_matrix_is_centred_on_zero(self):
        heat = figures.matrix(np.array([[1.0, -3], [0, 2]]), signed=True).data[0]
        assert (heat.zmin, heat.zmax) == (-3, 3)

    def test_factors_are_drawn_as_they_are(self):
        kernel_1, inverse, kernel_3 = figures.factors(some_factors()).data
        assert np.shape(kernel_1.z) == (5, 2) and np.shape(inverse.z) == (2, 2) and np.shape(kernel_3.z) == (2, 5)
        assert (inverse.zmin, inverse.zmax) == (-3, 3) and kernel_1.zmax == kernel_3.zmax

    def test_the_mosaic_has_layers_as_rows_and_frames_the_chosen_head(self):
        figure = figures.mosaic(HEADS, "frobenius", chosen=(1, 0))
        np.testing.assert_allclose(figure.data[0].z, [[0.1, 0.2], [0.4, 0.3]])
        frame = figure.layout.shapes[0]
        assert (frame.x0, frame.x1, frame.y0, frame.y1) == (0.5, 1.5, 1.5, 2.5)
        assert "least in layer 1, head 1 (0.1) and greatest in layer 2, head 1 (0.4)" in figures.summary_of(figure)


class TestScales:
    def test_zero_is_the_darkest_weight_whether_or_not_there_are_negative_ones(self):
        assert weight_scale(weight_limits(np.array([0.0, 1])))[0] == (0.0, roles.SEQUENTIAL[0])
        scale = weight_scale(weight_limits(np.array([-1.0, 3])))
        assert (0.25, roles.SEQUENTIAL[0]) in scale
        places = [place for place, _ in scale]
        assert places == sorted(places) and (places[0], places[-1]) == (0, 1)
        assert scale[-1][1] == roles.SEQUENTIAL[-1]

    def test_weights_are_told_apart_by_their_square_root(self):
        scale = dict(weight_scale(weight_limits(np.array([0.0, 1]))))
        share = 15 / 31
        assert scale[share**2] == roles.colour_at(roles.SEQUENTIAL, share)

    def test_the_diverging_scale_is_white_at_zero(self):
        assert difference_scale()[4] == (0.5, "#f7f7f7")
        assert difference_limit(np.array([0.5, -2])) == 2 and difference_limit(np.zeros(2)) == 1


class TestStatic:
    def test_maps_in_matplotlib_share_one_scale_too(self):
        figure = figures.static.attention_maps(some_maps(), ["a", "$b$", "c", "d", "e"])
        exact, landmark, difference = (ax.images[0] for ax in figure.axes[:3])
        assert exact.get_clim() == landmark.get_clim() == pytest.approx((-0.25, 0.75))
        assert difference.get_clim() == pytest.approx((-0.55, 0.55))
        np.testing.assert_allclose(landmark.get_array(), some_maps().landmark)
        figure.canvas.draw()  # a lone dollar in a token would fail here
        assert figure.patch.get_alpha() == 0

    def test_figures_leave_no_global_state(self):
        figures.static.matrix(np.eye(3), signed=True)
        figures.static.error_against_landmarks(ERRORS)
        assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


class TestRoles:
    @pytest.mark.parametrize("name", list(roles.ROLES))
    def test_marks_and_words_can_be_told_from_either_page(self, name):
        role = roles.ROLES[name]
        assert contrast(role.colour, "#ffffff") >= 3 and contrast(role.colour, roles.DARK_PAGE) >= 3
        assert contrast(role.on_light, roles.LIGHT_PAGE) >= 4.5 and contrast(role.on_dark, roles.DARK_PAGE) >= 4.5

    def test_no_two_roles_share_a_colour(self):
        assert len({role.colour for role in roles.ROLES.values()}) == len(roles.ROLES)

    def test_style_sheets_get_every_colour(self):
        css = roles.css_variables()
        for name, role in roles.ROLES.items():
            assert f"--role-{name.replace('_', '-')}: {role.colour};" in css
            assert f"--role-{name.replace('_', '-')}-text: {role.on_dark};" in css.split(".dark")[1]

    def test_a_scale_is_read_between_its_stops(self):
        assert roles.colour_at(("#000000", "#ffffff"), 0.5) == "#808080"
        assert roles.colour_table(("#000000", "#ff0000"), 3) == [(0, 0, 0), (128, 0, 0), (255, 0, 0)]


class TestWords:
    def test_numbers_durations_and_memory_read_as_people_write_them(self):
        assert (number(-0.12345), number(2, sign=True)) == ("−0.123", "+2")
        assert (number(1.0995e12), number(-2.88e-6)) == ("1.1 × 10¹²", "−2.88 × 10⁻⁶")
        assert [percent(x).replace("\N{NO-BREAK SPACE}", " ") for x in (0, 0.5, 0.0123, 0.00012)] == [
            "0 %",
            "50 %",
            "1.2 %",
            "0.012 %",
        ]
        assert [duration(x) for x in (2e-5, 0.0123, 3, 90, 7200, 172800)] == [
            "20 µs", "12.3 ms", "3 s", "1.5 min", "2 h", "2 d",
        ]  # fmt: skip
        assert [memory(x) for x in (5, 2048, 3 * 2**20, 2**31)] == ["5 bytes", "2 KiB", "3 MiB", "2 GiB"]

    def test_probabilities_are_never_rounded_to_certainty(self):
        said = [as_probability(p).replace("\N{NO-BREAK SPACE}", " ") for p in (0, 0.0004, 0.931, 0.9996, 1)]
        assert said == ["0.0 %", "< 0.1 %", "93.1 %", "> 99.9 %", "100.0 %"]

    def test_a_label_is_short_and_inert(self):
        assert plain("<i>" + "x" * 99, 10) == "&lt;i&gt;xxxxxx…"


def contrast(first: str, second: str) -> float:
    """WCAG's contrast ratio of two colours."""
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
