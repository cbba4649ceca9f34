"""Errors of many approximations on one head: what is measured, over what, how sure it is, and how it is drawn."""

import numpy as np
import pandas as pd
import pytest
import torch
from analysis_by_hand import HEADS, N, errors_in_double, random_inputs

from nystrom_demo import figures
from nystrom_demo.analysis import (
    approximation_errors,
    approximation_maps,
    best_rank_errors,
    exact_map,
    method_facts,
    pareto_front,
    spread_over_texts,
)
from nystrom_demo.approximations import APPROXIMATIONS, get
from nystrom_demo.benchmark.__main__ import main
from nystrom_demo.benchmark.approximations import texts_of
from nystrom_demo.config import AttentionSettings
from nystrom_demo.tasks import compare_approximations, sweep_landmarks

NAMES = ["nystrom", "favor", "top-keys", "wildcat"]


@pytest.fixture(scope="module")
def errors() -> pd.DataFrame:
    return pd.concat(approximation_errors([random_inputs()], [4, N], NAMES, [0, 1]), ignore_index=True)


def test_one_table_comes_at_a_time_and_a_method_without_chance_has_one_seed():
    stream = approximation_errors([random_inputs()], [4], NAMES, [0, 1])
    first, second = next(stream), next(stream)
    assert set(first.method) == {"nystrom"} and list(first["head"]) == list(range(HEADS))
    assert set(second.method) == {"favor"} and len(second) == 2 * HEADS


def test_the_package_s_landmarks_have_the_errors_that_the_package_measures(errors):
    own = errors[(errors.method == "nystrom") & (errors.budget == 4)]
    for line in own.itertuples():
        expected = errors_in_double(random_inputs(), line.head, AttentionSettings(num_landmarks=4))
        assert line.frobenius == pytest.approx(expected["frobenius"], rel=1e-4)
        assert line.output == pytest.approx(expected["output"], rel=1e-4)
        assert line.negative == expected["negative"]
        assert line.row_sum_error == pytest.approx(expected["row_sum_error"], abs=1e-5)


def test_bound_and_cost_stand_beside_the_errors(errors):
    values = torch.linalg.svdvals(exact_map(random_inputs(), 1))
    own = errors[(errors["head"] == 1) & (errors.budget == 4)]
    assert own.best_frobenius.to_numpy() == pytest.approx(best_rank_errors(values, 4)[0], rel=1e-5)
    cost = get("favor").cost(N, 4, 5)
    favor = own[own.method == "favor"].iloc[0]
    assert (favor.multiply_adds, favor.numbers_held) == cost


def test_a_budget_of_every_token_has_no_error_where_exactness_is_promised(errors):
    full = errors[errors.budget == N].groupby("method").frobenius.max()
    assert full["nystrom"] == full["top-keys"] == full["wildcat"] == 0 and full["favor"] > 0.01


def test_padding_and_batch_mates_are_dropped():
    one, other = random_inputs(), random_inputs(seed=5)
    mask = torch.ones(2, N, dtype=torch.bool)
    mask[1, 4:] = False
    both = one._replace(
        **{name: torch.cat([getattr(one, name), getattr(other, name)]) for name in "qkv"}, key_padding_mask=mask
    )
    for row, alone in ((0, one), (1, other._replace(**{name: getattr(other, name)[:, :, :4] for name in "qkv"}))):
        tables = [next(approximation_errors([x], [3], ["favor"], row=r)) for x, r in ((both, row), (alone, 0))]
        pd.testing.assert_frame_equal(*tables)


def test_what_there_is_not_is_refused():
    for options, words in (
        (([4], ["performer"]), "approximation must be one of"),
        (([0], ["favor"]), "The budget m must be an integer of at least 1, got 0"),
        (([4], ["favor"], [-1]), "seed must be an integer from 0 to"),
    ):
        with pytest.raises(ValueError, match=words):
            list(approximation_errors([random_inputs()], *options))


@pytest.mark.parametrize("name", APPROXIMATIONS)
def test_one_head_alone_has_the_numbers_that_it_has_among_all(name):
    text = random_inputs()
    whole, alone = (next(approximation_errors([text], [4], [name], [2], head=head)) for head in (None, 1))
    pd.testing.assert_frame_equal(whole[whole["head"] == 1].reset_index(drop=True), alone, rtol=1e-4)
    maps = approximation_maps(text, 1, name, 4, seed=2)
    torch.testing.assert_close(maps.landmark, get(name).map(text.q, text.k, text.v, 4, seed=2)[0, 1])
    torch.testing.assert_close(maps.difference, maps.landmark - exact_map(text, 1))


def test_a_head_that_is_not_there_is_refused():
    for ask in (
        lambda: list(approximation_errors([random_inputs()], [4], ["favor"], head=HEADS)),
        lambda: approximation_maps(random_inputs(), HEADS, "favor", 4),
    ):
        with pytest.raises(ValueError, match="head must be an integer from 0 to 2, got 3"):
            ask()


def test_a_method_s_facts_are_a_table():
    facts = method_facts(["favor", "best-rank"])
    assert list(facts.name) == ["favor", "best-rank"] and list(facts.oracle) == [False, True]
    assert list(method_facts().name) == list(APPROXIMATIONS)


def test_the_spread_by_hand():
    lines = [
        {"method": "favor", "budget": 4, "text": text, "seed": seed, "frobenius": value + head}
        for text, values in enumerate([(1, 1), (1, 1), (5, 7)])
        for seed, value in enumerate(values)
        for head in (-1, 0, 10)  # the median head's is the value itself
    ]
    (line,) = spread_over_texts(pd.DataFrame(lines)).to_dict("records")
    assert (line["median"], line["texts"], line["seeds"]) == (1, 3, 2)
    assert line["low"] == 1 and line["high"] == 6  # of three texts drawn, all may be the third: 5, 5, 5, 7, 7, 7
    lines = [line | {"text": 0} for line in lines[:3]]
    (line,) = spread_over_texts(pd.DataFrame(lines)).to_dict("records")
    assert line["low"] == line["median"] == line["high"] == 1


def test_the_front_is_what_nothing_beats_in_both():
    points = pd.DataFrame({"cost": [3, 1, 2, 2, 4], "error": [0.1, 0.5, 0.6, 0.4, 0.1], "name": list("abcde")})
    assert list(pareto_front(points, "cost", "error").name) == ["b", "d", "a"]


# Figures


def test_each_method_is_a_line_with_its_spread_beside_the_bound(errors):
    figure = figures.error_against_budget(errors)
    assert [trace.name for trace in figure.data] == [get(name).label for name in NAMES] + ["best possible of rank m"]
    ours, favor = figure.data[:2]
    assert list(ours.x) == [4] and list(favor.x) == [4, N]  # at m = n ours has no error, which is off the axis
    own = errors[(errors.method == "favor") & (errors.budget == 4)].frobenius
    assert favor.y[0] == pytest.approx(own.median())
    assert favor.y[0] + favor.error_y.array[0] == pytest.approx(own.max())
    assert "best possible of rank m" not in [t.name for t in figures.error_against_budget(errors, "output").data]


def test_the_best_of_rank_m_is_drawn_once_where_it_is_a_method_too(errors):
    best = errors[errors.method == "favor"].assign(method="best-rank")
    both = pd.concat([errors[errors.method != "best-rank"], best])
    names = [trace.name for trace in figures.error_against_budget(both).data]
    assert "best of rank m" in names and "best possible of rank m" not in names


def test_the_front_is_drawn_without_oracles(errors):
    *lines, front = figures.error_against_cost(errors).data
    assert len(lines) == len(NAMES) and front.name == "what nothing beats in both"
    assert np.all(np.diff(front.x) > 0) and np.all(np.diff(front.y) < 0)
    top = errors[(errors.method == "top-keys") & (errors.budget == 4)]
    assert top.frobenius.median() not in list(front.y)


def test_one_sentence_says_what_to_look_at():
    line = {"num_tokens": 9, "budget": 4, "seed": 0, "best_frobenius": 0.1}
    table = pd.DataFrame(
        [
            line | {"method": "favor", "frobenius": 0.9, "multiply_adds": 100},
            line | {"method": "wildcat", "frobenius": 0.25, "multiply_adds": 150},
            line | {"method": "top-keys", "frobenius": 0.2, "multiply_adds": 10},
        ]
    )
    assert figures.summaries.approximations(table) == (
        "At m = 4 of 9 tokens the nearest of 2 methods is WildCat, with a relative Frobenius error of 25 %; the best "
        "of rank m has 10 %. It takes 1.5 times the multiply-adds of FAVOR+ (Performer), which has 90 %."
    )
    assert figures.summaries.approximations(table[1:2]).endswith("; none of them costs less.")
    assert figures.summaries.approximations(table[2:]) == (
        "At m = 4 top m of each row (oracle) has a relative Frobenius error of 20 %."
    )


# The command


def test_texts_are_paragraphs_in_a_row_and_too_few_are_refused(tiny_checkpoints):
    checkpoint = tiny_checkpoints["masked-lm"]
    texts = list(texts_of(checkpoint, ["the cat sat on the mat"] * 8, 10, 2))
    assert [text.shape for text in texts] == [(1, 10)] * 2
    assert all(text[0, 0] == checkpoint.tokenizer.cls_token_id for text in texts)
    with pytest.raises(ValueError, match="must hold 20 texts of 10 tokens, it came to"):
        list(texts_of(checkpoint, ["the cat sat on the mat"] * 8, 10, 20))


def test_the_command_makes_the_table_and_its_csv(tiny_box, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NYSTROM_DEMO_CHECKPOINTS", str(tiny_box))
    (tmp_path / "texts.txt").write_text("the cat sat on the mat\n" * 12)
    sizes = "--lengths 12 --num-texts 2 --seeds 2 --budgets 3 5 --heads 1 --head-dim 4 --repeats 1 --only-layers 0"
    files = ["--texts", str(tmp_path / "texts.txt"), "--csv", str(tmp_path / "table.csv"), "--device", "cpu"]
    main(["approximations", *sizes.split(), *files])
    printed, table = capsys.readouterr().out, pd.read_csv(tmp_path / "table.csv")
    assert all(f"| {method.label} |" in printed for method in APPROXIMATIONS.values())
    assert set(table.method) == set(APPROXIMATIONS) and set(table.budget) == {3, 5} and (table.texts == 2).all()
    assert (table.low <= table["median"]).all() and (table["median"] <= table.high).all()


# What an answer notices


def test_a_head_answers_under_each_method_in_turn(tiny_checkpoints):
    text = "the cat sat on the mat and the dog sat on the cat"
    checkpoint = tiny_checkpoints["sequence-classification"]
    exact, ours, other, full = compare_approximations(
        checkpoint, text, methods=["nystrom", "linformer", "top-keys"], num_landmarks=2, seed=3
    )
    assert (exact.method, exact.agrees) == ("exact", True) and 0 < exact.probability <= 1
    assert (ours.method, other.method) == ("nystrom", "linformer") and other.probability != exact.probability
    (_, point) = sweep_landmarks(checkpoint, text, landmarks=[2])
    assert (ours.answer, ours.probability) == (point.answer, point.probability)
    (_, whole) = compare_approximations(checkpoint, text, methods=["top-keys"], num_landmarks=500)
    assert whole.probability == pytest.approx(exact.probability, rel=1e-4) and full.probability != whole.probability
    with pytest.raises(ValueError, match="implementation of attention_settings must be one of"):
        list(compare_approximations(checkpoint, text, methods=["performer"]))
