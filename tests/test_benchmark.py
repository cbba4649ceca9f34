"""The gauges against known work; the sweep's bookkeeping. No test asserts a time."""

import math

import pandas as pd
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from nystrom_demo.benchmark import (
    METHODS,
    Measurement,
    PowerLaw,
    Workload,
    crossover,
    fit_power_law,
    law_of,
    peak_bytes,
    time_attention,
    time_in_turn,
    to_frame,
)
from nystrom_demo.benchmark.__main__ import main
from nystrom_demo.benchmark.commands import most_held
from nystrom_demo.benchmark.compare import Ratio, compare, ratio
from nystrom_demo.benchmark.methods import BERT_SDPA, MATRIX_PRODUCT, landmark_flops
from nystrom_demo.benchmark.report import comparison_table, machine, markdown_table

CPU = torch.device("cpu")
SMALL = {"num_landmarks": 3, "heads": 2, "head_dim": 5, "conv_kernel_size": 7, "repeats": 2}


def test_a_power_law_is_recovered_from_its_own_points():
    law = fit_power_law([3, 11, 130], [2 * n**1.5 for n in (3, 11, 130)])
    assert law == pytest.approx((2, 1.5))
    assert law.at(7) == pytest.approx(2 * 7**1.5)


@pytest.mark.parametrize(
    ("lengths", "values", "message"),
    [
        ([5, 5], [1.0, 2.0], "at least two different lengths, got 1"),
        ([], [], "at least two different lengths, got 0"),
        ([2, 3], [1.0], "as many, got 2 and 1"),
        ([2, 3], [1.0, 0.0], "must be positive"),
    ],
)
def test_a_power_law_needs_two_lengths_and_positive_values(lengths, values, message):
    with pytest.raises(ValueError, match=message):
        fit_power_law(lengths, values)


def test_two_laws_cost_the_same_at_their_crossover():
    quadratic, linear = PowerLaw(2e-9, 2.0), PowerLaw(7e-6, 1.0)
    n = crossover(quadratic, linear)
    assert n == pytest.approx(3500)
    assert quadratic.at(n) == pytest.approx(linear.at(n))
    assert crossover(linear, quadratic) == pytest.approx(n)


def test_laws_that_grow_alike_never_meet():
    assert crossover(PowerLaw(2.0, 1.0), PowerLaw(3.0, 1.0)) is None
    assert crossover(PowerLaw(1e-300, 1.0), PowerLaw(1e300, 0.999)) is None


def test_peak_memory_on_a_cpu_is_the_most_that_is_held_at_once():
    def call():
        a = torch.empty(70_000)
        b = torch.empty(30_000)
        del a
        c = torch.empty(20_000)
        return b, c

    assert peak_bytes(call, CPU) == 4 * 100_000


def test_peak_memory_leaves_out_inputs_and_sees_inside_operators():
    x = torch.randn(11, 13_000)
    assert peak_bytes(lambda: x.sum(), CPU) < 1000
    q = torch.randn(1, 2, 130, 5)
    scores = 4 * 2 * 130 * 130
    assert peak_bytes(lambda: torch.softmax(q @ q.mT, -1), CPU) >= 2 * scores


def test_peak_memory_of_a_backward_pass_counts_gradients_and_what_is_remembered():
    w = torch.randn(300, 300, requires_grad=True)
    assert peak_bytes(lambda: torch.autograd.grad((w * 2).exp().sum(), w), CPU) >= 2 * 4 * 300 * 300


def test_calls_are_timed_in_turn():
    order = []
    seconds = time_in_turn({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, CPU, repeats=3)
    assert order == ["a", "b", *"ababab"]
    assert [len(s) for s in seconds.values()] == [3, 3]


def test_the_sweep_yields_each_method_at_each_length_in_turn():
    points = list(time_attention([12, 6], methods=["softmax (SDPA)", "landmarks"], **SMALL))
    assert [(p.n, p.method) for p in points] == [
        (6, "softmax (SDPA)"),
        (6, "landmarks"),
        (12, "softmax (SDPA)"),
        (12, "landmarks"),
    ]
    assert all(p.measured and len(p.seconds) == 2 and p.peak_bytes > 0 and not p.note for p in points)


def test_the_sweep_measures_nothing_that_is_not_asked_for(monkeypatch):
    prepared = []
    method = METHODS["landmarks"]
    spy = type(method)(method.name, 1, lambda workload, n: prepared.append(n) or method.prepare(workload, n))
    monkeypatch.setitem(METHODS, "landmarks", spy)
    sweep = time_attention([6, 12], methods=["landmarks"], **SMALL)
    assert prepared == []
    next(sweep)
    sweep.close()
    assert prepared == [6]


@pytest.mark.parametrize("num_layers", [0, 2])
@pytest.mark.parametrize("backward", [False, True])
def test_every_method_runs_alone_and_in_a_whole_model(num_layers, backward):
    points = list(
        time_attention([12], methods=list(METHODS), num_layers=num_layers, backward=backward, batch=2, **SMALL)
    )
    assert [p.method for p in points] == list(METHODS)
    assert all(p.measured for p in points)


def test_transformers_landmarks_say_why_they_do_not_run():
    (point,) = time_attention([13], methods=["transformers landmarks"], **SMALL)
    assert point.seconds == () and not point.measured and math.isnan(point.median)
    assert "multiple of its 3 landmarks" in point.note and "n = 13" in point.note


def test_ours_and_transformers_landmarks_compute_the_same():
    workload = Workload(num_landmarks=3, heads=2, head_dim=5, conv_kernel_size=None)
    ours = METHODS["landmarks"].prepare(workload, 12)()
    theirs = METHODS["transformers landmarks"].prepare(workload, 12)()
    torch.testing.assert_close(ours.transpose(1, 2).flatten(2), theirs, atol=1e-5, rtol=1e-4)


def test_a_method_past_the_memory_budget_goes_on_as_its_law():
    budget = 3 * 4 * 2 * 48**2  # eager's two maps at n = 48 fit, at n = 96 they do not
    points = list(time_attention([24, 48, 96], methods=["softmax (eager)"], budget_bytes=budget, **SMALL))
    assert [p.extrapolated for p in points] == [False, False, True]
    law = law_of(points, "softmax (eager)", "peak_bytes")
    assert points[-1].peak_bytes == round(law.at(96)) > budget
    assert points[-1].seconds == (law_of(points, "softmax (eager)").at(96),)
    assert "KiB at n = 96 would exceed" in points[-1].note


def test_a_first_length_that_is_too_long_is_not_run():
    (point,) = time_attention([10**9], methods=["softmax (eager)"], **SMALL)
    assert point.extrapolated and len(point.seconds) == 1 and "n = 1000000000" in point.note


def test_a_law_is_read_from_measured_points_only():
    points = [Measurement("a", n, (n * 3.0,)) for n in (2, 4)]
    points += [Measurement("a", 8, (999.0,), extrapolated=True), Measurement("a", 9, ()), Measurement("b", 8, (1.0,))]
    assert law_of(points, "a") == pytest.approx((3, 1))
    assert law_of(points, "b") is None


def test_a_law_follows_the_last_points():
    points = [Measurement("a", n, (max(50.0, n),)) for n in (2, 4, 64, 128, 256)]
    assert law_of(points, "a").exponent == pytest.approx(1)
    assert law_of(points, "a", tail=None).exponent < 0.5


def test_the_frame_survives_a_csv_file(tmp_path):
    points = [Measurement("a", 5, (0.25, 0.5, 0.125), 700), Measurement("b", 5, (), note="no, never")]
    frame = to_frame(points)
    frame.to_csv(tmp_path / "times.csv", index=False)
    read = pd.read_csv(tmp_path / "times.csv")
    assert list(read.columns) == list(frame.columns)
    assert read.median_seconds[0] == 0.25 and read.min_seconds[0] == 0.125 and read.max_seconds[0] == 0.5
    assert read.all_seconds[0] == "0.25 0.5 0.125" and read.peak_bytes[0] == 700
    assert pd.isna(read.median_seconds[1]) and read.note[1] == "no, never"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lengths": []}, "at least one length"),
        ({"lengths": [7, 0]}, "integers of at least 1, got 0"),
        ({"methods": ["magic"]}, 'methods must be among .*, got "magic"'),
        ({"repeats": 0}, "repeats must be at least 1, got 0"),
        ({"heads": 0}, "heads must be an integer of at least 1, got 0"),
        ({"num_landmarks": 2.5}, "num_landmarks must be an integer of at least 1, got 2.5"),
        ({"conv_kernel_size": 4}, "conv_kernel_size must be an odd number or None, got 4"),
        ({"budget_seconds": 0}, "budgets must be positive"),
    ],
)
def test_bad_arguments_are_refused_at_once(arguments, message):
    with pytest.raises(ValueError, match=message):
        time_attention(**{"lengths": [6], **arguments})


def test_compared_methods_share_their_rounds():
    workload = Workload(num_landmarks=3, heads=2, head_dim=5, conv_kernel_size=7)
    methods = [METHODS["landmarks"], METHODS["softmax (SDPA)"], METHODS["transformers landmarks"]]
    points = list(compare(workload, [12, 13], methods, repeats=3))
    assert [(p.n, p.method) for p in points] == [(n, m.name) for n in (12, 13) for m in methods]
    assert [len(p.seconds) for p in points] == [3, 3, 3, 3, 3, 0]


def test_a_comparison_stops_after_one_round_when_its_budget_is_spent():
    calls = {"a": lambda: None, "b": lambda: None}
    assert [len(s) for s in time_in_turn(calls, CPU, repeats=5, budget_seconds=1e-9).values()] == [1, 1]


def test_a_ratio_is_taken_round_by_round():
    slow, fast = Measurement("a", 5, (2.0, 9.0, 8.0)), Measurement("b", 5, (1.0, 3.0, 2.0))
    assert ratio(slow, fast) == Ratio(3.0, 2.0, 4.0)
    assert ratio(slow, Measurement("b", 5, ())) is None


def test_the_matrix_product_has_the_operations_of_landmark_attention():
    workload = Workload(num_landmarks=16, heads=3, head_dim=32, conv_kernel_size=None)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # fused kernels are not counted
        METHODS["landmarks"].prepare(workload, 640)()
    assert landmark_flops(workload, 640) == pytest.approx(counter.get_total_flops(), rel=0.05)
    with FlopCounterMode(display=False) as counter:
        MATRIX_PRODUCT.prepare(workload, 640)()
    assert landmark_flops(workload, 640) == pytest.approx(counter.get_total_flops(), rel=0.05)


def test_yardsticks_say_where_they_do_not_stand():
    alone = Workload(num_landmarks=3, heads=2, head_dim=5)
    assert "whole model" in BERT_SDPA.refuses(alone, 12)
    assert not MATRIX_PRODUCT.refuses(alone, 12)
    whole = Workload(num_landmarks=3, heads=2, head_dim=5, num_layers=1)
    assert not BERT_SDPA.refuses(whole, 12)
    assert "attention alone" in MATRIX_PRODUCT.refuses(whole, 12)
    assert BERT_SDPA.prepare(whole, 12)().shape == (1, 12, 10)


def test_a_comparison_table_gives_times_and_multiples():
    points = [
        Measurement("ours", 1024, (0.002, 0.004), 3 * 2**20),
        Measurement("theirs", 1024, (0.008, 0.008)),
        Measurement("ours", 2048, (0.5, 0.5)),
        Measurement("theirs", 2048, (9.0,), extrapolated=True, note="too long"),
    ]
    lines = comparison_table(points, "ours").splitlines()
    assert lines[0] == "| n | ours | theirs |"
    assert lines[2] == "| 1,024 | 3 ms, 3 MiB | 3× (2 to 4) |"
    assert lines[3] == "| 2,048 | 500 ms | past the budget |"


def test_markdown_tables_align_numbers():
    assert markdown_table(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"


def test_the_machine_is_named_with_versions():
    line = machine(CPU)
    assert torch.__version__ in line and "cores" in line and "GiB" in line and line.endswith(".")


@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        ("core", [], "Landmarks against one square matrix product"),
        ("model", [], "Batch 8:"),
        ("training", [], "Batch 4 with gradient checkpointing:"),
        ("growth", [], "peak memory"),
        ("long", ["--lengths", "24"], "at n = 24"),
        ("analysis", ["--lengths", "24"], "all heads of 1 layers"),
        ("sweep", ["--backward", "--whole-model"], "as fast as landmarks at"),
    ],
)
def test_each_command_prints_markdown_and_writes_csv(command, options, words, tmp_path, capsys):
    small = ["--landmarks", "3", "--heads", "2", "--head-dim", "5", "--layers", "1", "--repeats", "1"]
    lengths = [] if options[:1] == ["--lengths"] else ["--lengths", "12", "24"]
    main([command, *small, *lengths, *options, "--csv", str(tmp_path / "out.csv")])
    printed = capsys.readouterr().out
    assert printed.startswith("### ") and words in printed and machine(CPU) in printed
    assert len(pd.read_csv(tmp_path / "out.csv")) >= 1


def test_the_memory_of_a_long_text_is_that_of_where_it_is_computed(monkeypatch):
    holder, held = most_held(CPU)
    assert holder == "process" and 0 < held < 100
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3 * 2**30)
    assert most_held(torch.device("cuda")) == ("GPU", 3.0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_analysis_is_measured_on_the_device_asked_for():
    torch.cuda.reset_peak_memory_stats()
    main(["analysis", "--lengths", "2048", "--layers", "1", "--repeats", "1", "--device", "cuda"])
    assert torch.cuda.max_memory_allocated() > 3 * 4 * 64 * 2048


def test_an_unknown_command_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["guess"])
    assert "invalid choice" in capsys.readouterr().err
