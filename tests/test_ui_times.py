"""The Time tab's handlers: what they measure, draw and say, and what they refuse."""

from dataclasses import replace

import pytest

from nystrom_demo.benchmark import HeadCounts, Measurement, law_of, time_attention, to_frame
from nystrom_demo.figures import csv_of
from nystrom_demo.formatting import number
from nystrom_demo.limits.budget import Limits, under_limits
from nystrom_demo.ui.state import PageState, checked
from nystrom_demo.ui.tabs import time as time_tab
from nystrom_demo.ui.tabs.time import FAR

WORK = PageState(
    text="the cat",
    num_landmarks=3,
    methods=("softmax (SDPA)", "landmarks"),
    longest=1_024,
    scope="attention",
    passes="forward",
    num_heads=1,
    head_dim=8,
    batch=1,
    num_layers=1,
    dtype="float32",
    repeats=1,
    budget=20.0,
)
SDPA, LANDMARKS = WORK.methods
# Exact attention in n², landmarks in n: they meet at n = 1,000.
POINTS = [
    Measurement(method, n, (cost,), n * 2**10)
    for n in (256, 512, 1_024)
    for method, cost in ((SDPA, n**2 * 1e-6), (LANDMARKS, n * 1e-3))
]


def test_a_sweep_measures_what_was_asked_for():
    steps = list(time_tab.measure(WORK))
    clock = steps[-1]["clock"][0]
    assert [(trace.name, list(trace.x)) for trace in clock.data if "∝" not in trace.name] == [
        (method, [256, 512, 1_024]) for method in WORK.methods
    ]
    assert max(clock.data[1].x) == pytest.approx(FAR)  # the law goes on to where the words look
    assert csv_of(clock).count("\n") == 1 + 6
    assert steps[-1]["table"].count("<tr>") == 1 + 3
    assert (
        "One attention with 1 head of 8, over 3 landmarks where there are any; batch 1, float32" in steps[-1]["table"]
    )


def test_progress_counts_the_points_and_goes_when_all_are_there(monkeypatch):
    monkeypatch.setattr(time_tab, "SECONDS_BETWEEN_DRAWINGS", -1)
    steps = list(time_tab.measure(WORK))
    assert [f"{done} of 6 points" in step["progress"] for done, step in enumerate(steps[:-1])] == [True] * 7
    assert steps[-1]["progress"] == ""
    assert steps[-1]["start"]["interactive"] and not steps[-1]["stop"]["visible"]


def test_a_cancelled_sweep_measures_no_further_point(monkeypatch):
    taken = []

    def counted(*args, **options):
        for point in time_attention(*args, **options):
            taken.append(point)
            yield point

    monkeypatch.setattr(time_tab, "time_attention", counted)
    monkeypatch.setattr(time_tab, "SECONDS_BETWEEN_DRAWINGS", -1)
    steps = time_tab.measure(WORK)
    next(steps), next(steps), next(steps)
    steps.close()
    assert len(taken) == 2


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({}, {"num_layers": 0, "backward": False}),
        ({"scope": "model", "num_layers": 3}, {"num_layers": 3, "backward": False}),
        ({"passes": "backward", "batch": 2, "num_heads": 5}, {"backward": True, "batch": 2, "heads": 5}),
    ],
)
def test_every_field_reaches_the_benchmark(changes, options):
    lengths, asked = time_tab.sweep_of(replace(WORK, num_landmarks=7, **changes))
    assert lengths == [256, 512, 1_024] and asked["num_landmarks"] == 7
    assert {name: asked[name] for name in options} == options


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"methods": ["magic"]}, "methods[0] must be one of"),
        ({"longest": 300}, "longest text must be one of"),
        ({"scope": "all"}, "what is measured must be one of attention, model, got 'all'"),
        ({"passes": "sideways"}, "passes must be one of forward, backward"),
        ({"num_heads": 0}, "heads must be a whole number from 1 to 32, got 0"),
        ({"head_dim": 7}, "head dimension must be a whole number from 8 to 256, got 7"),
        ({"batch": 33}, "batch must be a whole number from 1 to 32"),
        ({"num_layers": 1.5}, "layers must be a whole number from 1 to 24, got 1.5"),
        ({"dtype": "int8"}, "number format must be one of float32, bfloat16, float16"),
        ({"repeats": 21}, "repeats must be a whole number from 1 to 20, got 21"),
        ({"budget": float("nan")}, "seconds a point must be a number from 0.1 to 20, got nan"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(changes, sentence):
    with pytest.raises(ValueError) as refusal:
        checked(changes)
    assert sentence in str(refusal.value)


def test_nothing_chosen_is_nothing_measured():
    with pytest.raises(ValueError, match="Choose a way to attend"):
        next(time_tab.measure(replace(WORK, methods=())))


def test_a_model_that_would_not_fit_is_refused_before_it_is_made():
    large = replace(WORK, scope="model", num_heads=32, head_dim=256, num_layers=24)
    with under_limits(Limits(request_bytes=2**30)), pytest.raises(ValueError, match="A model of 24 layers of 8,192"):
        next(time_tab.measure(large))


def test_the_words_say_where_landmarks_overtake_and_what_a_million_tokens_cost():
    said = time_tab.in_words(POINTS, FAR)
    assert "Landmarks cost less from about n = 1,000 on." in said
    assert "By their laws, of up to 1,024 tokens, " in said
    assert "1,000,000 tokens would take 11.6 d exactly (∝ n<sup>2.00</sup>) and 16.7 min over landmarks" in said
    assert "1,000,000" not in time_tab.in_words(POINTS, 1_024)
    assert "Two points of exact attention and of landmarks make a law." in time_tab.in_words(POINTS[:2], FAR)


@pytest.mark.parametrize(
    ("factor", "sentence"),
    [
        (1e-3, "Landmarks cost less at every length measured, from n = 256 on."),
        (100, "Landmarks cost more up to n = 1,024; by the laws they cost less from about n = 100,000 on."),
    ],
)
def test_a_crossover_outside_the_lengths_is_told_from_one_within(factor, sentence):
    points = [
        replace(point, seconds=(point.median * factor,)) if point.method == LANDMARKS else point for point in POINTS
    ]
    assert sentence in time_tab.in_words(points, FAR)


def test_the_table_tells_the_law_from_a_measurement_and_says_why():
    why = "Two runs of about 9 s at n = 2048 would exceed 2 s."
    beyond = [
        Measurement(SDPA, 2_048, (4.0,), 2**30, extrapolated=True, note=why),
        Measurement("transformers landmarks", 2_048, (), note="It runs only where n is a multiple of 3."),
        Measurement(LANDMARKS, 2_048, (0.25,), 2**20),
    ]
    table = time_tab.table_of([*POINTS, *beyond])
    assert "<td><i>≈ 4 s, 1 GiB</i></td>" in table and "<td>250 ms, 1 MiB</td>" in table and "<td>–</td>" in table
    assert time_tab.BY_LAW in table and f"{SDPA}: {why}" in table
    assert "transformers landmarks: It runs only where" in table
    assert time_tab.BY_LAW not in time_tab.table_of(POINTS)


def test_the_figures_stand_on_the_measurements():
    shown = time_tab.drawing(POINTS, [256, 512, 1_024], {"heads": 1}, 4_096, "")
    (clock, sentence, _), (gauge, *_) = shown["clock"], shown["gauge"]
    assert list(clock.data[0].y) == [point.median for point in POINTS if point.method == SDPA]
    assert list(gauge.data[0].y) == [point.peak_bytes for point in POINTS if point.method == SDPA]
    law = law_of(POINTS, SDPA)
    assert clock.data[1].y[-1] == pytest.approx(law.at(4_096)) and f"n^{law.exponent:.2f}" in sentence
    assert csv_of(gauge).splitlines()[0] == ",".join(to_frame(POINTS))


def test_without_a_weighed_call_there_is_no_figure_of_memory():
    weightless = [replace(point, peak_bytes=None) for point in POINTS]
    assert time_tab.drawing(weightless, [256], {}, FAR, "")["gauge"][0] is None


def test_the_introduction_names_device_and_landmarks():
    assert "over 1 landmark, the m that is set" in time_tab.introduce(replace(WORK, num_landmarks=1))["lead"]
    assert time_tab.landmarks_to_time(replace(WORK, num_landmarks=5_000)) == time_tab.MAX_LANDMARKS


def test_before_any_measurement_costs_are_counted():
    shown = time_tab.introduce(WORK)
    (work, sentence, _), (store, *_) = shown["work"], shown["weights"]
    counts = HeadCounts(3, 8, 6)
    for figure, ways in (
        (work, (counts.exact, counts.landmarks)),
        (store, (counts.exact_weights, counts.landmark_weights)),
    ):
        assert [list(line.y) for line in figure.data] == [[way(n) for n in time_tab.COUNTED_LENGTHS] for way in ways]
    assert number(counts.exact(2**20)) in sentence
