"""The tour's text and its live pictures."""

import base64
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nystrom_demo import iterative_pinv
from nystrom_demo.analysis import attention_maps, exact_map
from nystrom_demo.benchmark import HeadCounts
from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.figures.roles import ROLES
from nystrom_demo.formatting import distance
from nystrom_demo.lessons import (
    MAX_WORDS,
    PICTURES,
    Case,
    Controls,
    load_lessons,
    load_references,
    lookup_pattern,
    read_lesson,
)
from nystrom_demo.lessons.formula import inline, parse_formula, spoken, symbols, terms
from nystrom_demo.lessons.pictures import cost
from nystrom_demo.lessons.scene import Matrix, Yardsticks, half, pool
from nystrom_demo.ui.examples import load_examples

LESSONS = load_lessons()
NAMES = [lesson.name for lesson in LESSONS]
TEXT = "The film was great, and Mary walked to the bank by the river in London."
# Every number that a step's prose may state: dates of sources, and those that the formulas themselves hold.
SOURCED = {"2001", "2020", "2021", "2022", "1936"}
COUNTED = {"1", "2", "3"}  # kernel_1, kernel_2, kernel_3
WORKED = {"0.51", "0.49", "0.6", "0.4", "5.5", "4.5", "0.5"}  # by hand in step 5, and below

HEAD = Controls(1, 2)


@pytest.fixture(autouse=True)
def short_measurements(monkeypatch):
    """The picture of costs measures the text's own length alone."""
    monkeypatch.setattr(cost, "TIMED_LENGTHS", ())


@pytest.fixture
def case(tiny_checkpoints):
    def make(text: str = TEXT, m: int = 5, controls: Controls = HEAD, **settings) -> Case:
        chosen = AttentionSettings(num_landmarks=m, **settings)
        return Case(tiny_checkpoints["masked-lm"], text, chosen, controls, tiny_checkpoints)

    return make


def test_the_tour_has_eight_to_twelve_steps_and_a_picture_for_each():
    assert 8 <= len(LESSONS) <= 12
    assert list(PICTURES) == NAMES


@pytest.mark.parametrize("lesson", LESSONS, ids=NAMES)
def test_a_step_is_short(lesson):
    assert lesson.word_count() <= MAX_WORDS


@pytest.mark.parametrize("lesson", LESSONS, ids=NAMES)
def test_a_glossary_is_short(lesson):
    assert len(lesson.defines) <= 5


def test_every_symbol_is_defined_in_its_step_or_before():
    known: set[str] = set()
    for lesson in LESSONS:
        known |= lesson.defined_symbols()
        assert lesson.used_symbols() <= known, lesson.name


@pytest.mark.parametrize("lesson", LESSONS, ids=NAMES)
def test_every_number_in_the_prose_is_a_source_or_computed(lesson):
    prose = re.sub(r"\$[^$]*\$", "", lesson.prose)
    assert set(re.findall(r"\d+", prose)) <= SOURCED | COUNTED
    assert set(re.findall(r"\d+\.\d+", lesson.prose)) <= WORKED


def test_the_worked_mixtures_are_right():
    token, alike, equal = torch.tensor([0.6, 0.4]), torch.tensor([[0.51, 0.49], [0.49, 0.51]]), torch.full((2, 2), 0.5)
    torch.testing.assert_close(token @ torch.linalg.inv(alike), torch.tensor([5.5, -4.5]), atol=1e-4, rtol=0)
    torch.testing.assert_close(token @ torch.linalg.pinv(equal), torch.tensor([0.5, 0.5]))
    # What both rows share is inverted at once, the small difference between them last.
    shared, difference = torch.tensor([0.5, 0.5]), torch.tensor([0.5, -0.5])
    after_six, after_twelve = (iterative_pinv(alike[None, None], steps)[0, 0] for steps in (6, 12))
    torch.testing.assert_close(shared @ after_six, shared)
    assert (difference @ after_six).norm() < 0.5 * (difference @ torch.linalg.inv(alike)).norm()
    torch.testing.assert_close(after_twelve, torch.linalg.inv(alike), atol=0.01, rtol=0)


def test_a_step_of_the_iteration_cubes_what_is_missing():
    x = torch.linspace(0, 1, 11, dtype=torch.float64)
    following = x * (13 - x * (15 - x * (7 - x))) / 4
    torch.testing.assert_close(1 - following, (1 - x) ** 3 * (1 - x / 4))


def test_columns_that_hold_the_rank_rebuild_a_matrix():
    generator = torch.Generator().manual_seed(0)
    S = torch.rand(11, 3, generator=generator) @ torch.rand(3, 11, generator=generator)
    for kept, exact in (([1, 4, 9], True), ([1, 4], False)):
        C, W, R = S[:, kept], S[kept][:, kept], S[kept]
        assert torch.allclose(C @ torch.linalg.pinv(W) @ R, S, atol=1e-4) is exact


def test_landmark_attention_has_at_most_rank_m(case):
    assert torch.linalg.matrix_rank(case(m=3).maps.landmark, rtol=1e-5) == 3


def test_a_true_inverse_keeps_row_sums_at_one(case):
    factors = case(m=3).factors
    A, B = factors.kernel_2.double(), factors.kernel_3.double()
    sums = (factors.kernel_1.double() @ torch.linalg.inv(A) @ B).sum(1)
    torch.testing.assert_close(sums, torch.ones_like(sums), atol=1e-4, rtol=0)


@pytest.mark.parametrize("m", [3, 1000])
def test_the_pseudo_inverse_is_shown_with_the_matrix_it_inverts(m, case):
    scene = PICTURES["pseudo_inverse"](case(m=m))
    drawn = {block.name: block.values for block in scene.blocks if isinstance(block, Matrix)}
    torch.testing.assert_close(drawn["A"] @ drawn["Z after 6"], drawn["A Z"])
    torch.testing.assert_close(drawn["A"].sum(1), torch.ones(len(drawn["A"])))
    assert (drawn["A"] > 0).all()


@pytest.mark.parametrize("lesson", LESSONS, ids=NAMES)
def test_the_colours_of_terms_are_roles(lesson):
    roles = {term.role for line in lesson.formula for term in terms(line)}
    assert roles <= set(ROLES)


@pytest.mark.parametrize("lesson", LESSONS, ids=NAMES)
def test_terms_and_blocks_name_each_other_and_the_outcome_is_an_option(lesson, case):
    scene = PICTURES[lesson.name](case())
    assert scene.keys() == {term.key for line in lesson.formula for term in terms(line)}
    assert scene.outcome in dict(lesson.prediction.options)
    assert "{" not in lesson.prediction.because.format(**scene.facts)
    assert "{" not in lesson.prediction.question.format(**scene.facts)
    assert scene.summary.endswith(".")


def test_at_least_eight_steps_ask_for_a_prediction_and_hide_what_it_is_about(case):
    asking = [lesson for lesson in LESSONS if len(lesson.prediction.options) > 1]
    scenes = [picture(case()) for picture in PICTURES.values()]
    parts = [(*scene.blocks, *scene.readings) for scene in scenes]
    hiding = [each for each in parts if any(getattr(part, "secret", False) for part in each)]
    assert len(asking) >= 8
    assert len(hiding) >= 8


@pytest.mark.parametrize("name", load_examples())
def test_every_step_has_a_picture_of_every_example(name, case):
    text = load_examples()[name].text[:300]
    for picture in PICTURES.values():
        scene = picture(case(text, m=7))
        assert all(block.values.isfinite().all() for block in scene.blocks if isinstance(block, Matrix))


@pytest.mark.parametrize("m", [1, 3, 1000])
def test_every_step_has_a_picture_with_few_and_with_all_landmarks(m, case):
    for picture in PICTURES.values():
        picture(case("A great film.", m=m))


def test_exact_attention_is_a_landmark_for_every_token(tiny_checkpoints):
    case = Case(tiny_checkpoints["masked-lm"], TEXT, EXACT)
    assert case.m == case.n
    assert PICTURES["together"](case).facts["error"] == "0\N{NO-BREAK SPACE}%"


def test_pictures_show_the_models_own_numbers(case):
    one = case()
    scene = PICTURES["together"](one)
    drawn = {block.name: block for block in scene.blocks if isinstance(block, Matrix)}
    maps = attention_maps(one.inputs, 2, AttentionSettings(num_landmarks=5))
    torch.testing.assert_close(drawn["S"].values, maps.exact)
    torch.testing.assert_close(drawn["Ŝ"].values, maps.landmark)
    torch.testing.assert_close(drawn["F"].values @ drawn["Z"].values @ drawn["B"].values, maps.landmark)
    error = next(reading for reading in scene.readings if reading.name == "error of landmarks")
    assert error.value == pytest.approx(float((maps.landmark - maps.exact).norm() / maps.exact.norm()), rel=1e-4)


def test_the_row_sums_that_columns_need_are_softmax_denominators(case):
    one = case()
    sums = PICTURES["columns"](one).rows[0][0].values
    scores = (one.q @ one.k.T / one.q.shape[1] ** 0.5).exp()
    torch.testing.assert_close(scores / sums, exact_map(one.inputs, 2))


def test_the_padding_switch_changes_the_landmarks_and_ours_ignore_the_padding(case):
    pictures = [
        PICTURES["padding"](case(controls=Controls(1, 2, average_padding=average, padding=share)))
        for average, share in ((False, 0), (False, 100), (True, 100))
    ]
    bare, ours, naive = (scene.rows[1][2].values for scene in pictures)
    torch.testing.assert_close(bare, ours)
    assert not torch.allclose(ours, naive)


def test_a_long_text_is_cut_and_says_so(case):
    scene = PICTURES["landmarks"](case("word " * 600))
    assert scene.note == "The picture uses the first 512 tokens of the text and leaves out the rest."
    assert len(scene.words) == 512


def test_an_empty_text_is_refused(case):
    with pytest.raises(ValueError, match="text is empty"):
        PICTURES["every_token"](case("  "))
    with pytest.raises(ValueError, match="text holds no word that could be hidden"):
        PICTURES["answers"](case("\u200b"))


def test_the_synthetic_pattern_looks_at_one_other_token_each():
    weights = exact_map(lookup_pattern(10.0), 0)
    assert sorted(weights.argmax(1).tolist()) == list(range(64))
    assert weights.max(1).values.min() > 0.5
    torch.testing.assert_close(lookup_pattern(3.0).q, lookup_pattern(3.0).q)


def test_a_drawn_matrix_averages_neighbours_when_it_is_large():
    values = torch.arange(35.0).reshape(5, 7)
    drawn, pooled = pool(values, 3)
    assert pooled == [2, 3]
    assert drawn.shape == (3, 3)
    assert drawn[0, 0] == values[:2, :3].mean()
    assert drawn[2, 2] == values[4, 6]


def test_a_drawn_matrix_can_show_the_lowest_of_neighbours():
    values = torch.full((6, 6), 1.0)
    values[4, 1] = -0.1
    drawn, _ = pool(values, 2, "lowest")
    assert (drawn < 0).tolist() == [[False, False], [True, False]]


def test_negative_weights_of_a_long_text_are_drawn_blue(case):
    scene = PICTURES["signs"](case(load_examples()["passage"].text, m=7, pinv_iterations=16))
    drawn = next(block for block in scene.blocks if isinstance(block, Matrix) and block.key == "negative")
    assert max(drawn.values.shape) > 112  # neighbours share a cell
    assert float(pool(drawn.values, 112, drawn.pooling)[0].min()) == float(drawn.values.min()) < 0
    assert drawn.limit <= -float(drawn.values.min())  # the scale ends within the negative weights


def yardsticks_of(scene) -> dict[str, float]:
    (found,) = [block for block in scene.blocks if isinstance(block, Yardsticks)]
    return {stick.name: stick.error for stick in found.sticks}


@pytest.mark.parametrize("name", ["columns", "together", "limits"])
def test_an_error_of_a_map_stands_between_its_yardsticks(name, case):
    scene = PICTURES[name](case())
    exact = next(block.values for block in scene.blocks if isinstance(block, Matrix) and block.name == "S")
    sticks = yardsticks_of(scene)
    assert sticks["all zeros"] == 1
    assert sticks["every weight 1/n"] == pytest.approx(float((1 / len(exact) - exact).norm() / exact.norm()))
    u, values, v = torch.linalg.svd(exact.double())
    best = (u[:, :5] * values[:5]) @ v[:5]
    least = float((best - exact).norm() / exact.norm())
    assert sticks["best of rank 5"] == pytest.approx(least, rel=1e-4)
    assert min(sticks.values()) == sticks["best of rank 5"]
    shown = next(reading.value for reading in scene.readings if reading.name.startswith("error"))
    assert shown == pytest.approx(
        next(error for name, error in sticks.items() if "landmarks" in name or name == "C W⁺ R")
    )


def test_the_errors_by_step_lead_to_the_error_of_the_settings(case):
    one = case(pinv_iterations=9)
    chart = next(
        block for block in PICTURES["pseudo_inverse"](one).blocks if getattr(block, "name", "") == "error relative to S"
    )
    error = float(one.maps.difference.norm() / one.maps.exact.norm())
    assert chart.curves[0].y[9] == pytest.approx(error, rel=1e-4)
    assert chart.curves[0].y[0] != pytest.approx(error, rel=1e-2)


def test_errors_by_step_are_zero_where_attention_is_exact(case):
    scene = PICTURES["pseudo_inverse"](case(m=1000))
    assert scene.outcome == "same"
    assert scene.facts["error_late"] == "0\N{NO-BREAK SPACE}%"


def test_with_one_landmark_all_rows_are_equal(case):
    rows = case(m=1).maps.landmark
    torch.testing.assert_close(rows, rows[:1].expand_as(rows))


def test_the_residual_that_is_told_is_that_of_the_chosen_first_estimate(case):
    told = {own: PICTURES["pseudo_inverse"](case(inv_coeff_init_option=own)).facts for own in (False, True)}
    assert told[False]["residual_early"] != told[True]["residual_early"]


def test_each_small_picture_chooses_its_head(case):
    scene = PICTURES["every_token"](case())
    assert [block.head for block in scene.rows[1]] == [0, 1, 2]
    assert [block.name for block in scene.rows[1]] == ["head 1", "head 2", "head 3"]


def test_the_padding_begins_where_there_is_room_for_more():
    assert Controls().padding < 100


def test_what_a_prediction_is_about_is_not_on_the_page_before_it(case):
    hidden = {"columns": "exponentials for C", "kernels": "numbers in F", "signs": "share of negative weights"}
    for name, reading in hidden.items():
        assert next(each for each in PICTURES[name](case()).readings if each.name == reading).secret


def test_more_landmarks_than_tokens_are_said_to_be_exact(case):
    scene = PICTURES["answers"](case("A great film.", m=64))
    assert scene.note.endswith("no more than the 64 landmarks chosen: the model runs exact attention, m = n.")
    assert PICTURES["answers"](case(m=3)).note == ""


def test_a_small_distance_is_said_in_words():
    assert [distance(size) for size in (0.0, 1e-5, 0.001, 0.0214)] == ["0", "under 0.001", "0.001", "0.021"]


def test_a_matrix_travels_as_16_bit_numbers_of_a_unit():
    values = torch.tensor([[0.5, -2.0, 3.0]])
    sent = Matrix("", "exact", "S", values, ("token", "token"), "signed").as_json()
    assert (sent["unit"] * np.frombuffer(base64.b64decode(sent["data"]), "<f2")).tolist() == [0.5, -2.0, 3.0]
    large = torch.tensor([[1e9, -3e7, 0.0]])
    unit, data = half(large)
    read = unit * np.frombuffer(base64.b64decode(data), "<f2").astype(np.float64)
    np.testing.assert_allclose(read, large[0].numpy(), rtol=1e-3)
    assert half(torch.zeros(1, 3)) == (1.0, base64.b64encode(bytes(6)).decode())
    assert sent["limit"] == pytest.approx(2.99)  # colours end where 99.5 % of the entries are below
    assert sent["clipped"]
    assert Matrix("", "exact", "S", values * 0, ("token", "token")).as_json()["limit"] == 1.0


def test_rows_and_columns_are_counted_from_1_and_offsets_from_the_left_end(case):
    scene = PICTURES["convolution"](case())
    (filters,) = scene.rows[2]
    assert filters.as_json()["first"] == [1, -(filters.values.shape[1] // 2)]
    assert scene.rows[0][0].as_json()["first"] == [1, 1]


@pytest.mark.parametrize("m", [1, 5, 16])
def test_the_counted_costs_are_equal_where_the_lines_cross(m):
    counted = HeadCounts(m, d=8, t=6)
    n = counted.crossing
    assert counted.exact(n) == pytest.approx(counted.landmarks(n))
    assert counted.exact(2 * m) < counted.landmarks(2 * m)  # m = n/2 never wins, as the step says


def test_the_lengths_at_which_landmarks_take_less_are_those_measured():
    def point(method, n, peak):
        return SimpleNamespace(method=method, n=n, best=1.0, peak_bytes=peak, measured=True)

    def leaner(*peaks):
        points = [point(method, n, peak) for n, *both in peaks for method, peak in zip(methods, both, strict=True)]
        return cost._where_less(points, lambda each: each.peak_bytes)

    methods = ("landmarks", "softmax (SDPA)")
    assert leaner((64, 9, 3), (256, 9, 9), (1024, 9, 40), (4096, 9, 90)) == "1,024, 4,096 tokens"
    assert leaner((64, 9, 3)) == "none"
    assert leaner((64, None, None)) == "none that could be measured"


def test_a_formula_is_read_as_a_tree():
    (term, *rest) = parse_formula(r"[sum/negative: \frac{\hat q_i}{n}] + softmax(k^T)")
    assert (term.key, term.role) == ("sum", "negative")
    assert symbols((term, *rest)) == {r"\hat q", "i", "n", "k"}
    assert spoken((term, *rest)) == "(q hat i) over (n) + softmax(k transposed)"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("[exact: S", '"]" is missing'),
        ("x_", "Something is missing at the end"),
        ("x_{i", '"}" is missing'),
        (r"\sum x", '"\\\\sum" cannot stand there'),
        ("S]", '"]" cannot stand there'),
    ],
)
def test_a_formula_that_does_not_close_is_refused(source, message):
    with pytest.raises(ValueError, match=message):
        parse_formula(source)


def test_symbols_in_a_sentence_are_found():
    nodes = inline(r"Change $m$ and $\hat S$.")
    assert symbols(tuple(nodes)) == {"m", r"\hat S"}
    assert spoken(tuple(nodes)) == "Change m and S hat."


def test_a_step_without_a_section_is_refused():
    with pytest.raises(ValueError, match=r"99_short\.md needs a title and the sections Formula, Symbols"):
        read_lesson("# Short\n\nProse.\n\n## Formula\n\n    x\n", "99_short")


def test_the_references_name_their_sources():
    text = load_references()
    for source in ("2102.03902", "2006.04768", "2009.14794", "2205.14135", "Williams and Seeger", "Razavi"):
        assert source in text
