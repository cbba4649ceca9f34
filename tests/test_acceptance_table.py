"""The table of targets: what stands in it is what the commands measured, and what was missed says by how much."""

import argparse

import pandas as pd
import pytest

from acceptance import app as visit
from acceptance.__main__ import main
from acceptance.app import Answer, Point, frame_of
from acceptance.table import COMMANDS, PARTS, _apart
from acceptance.targets import PEERS, Finding, Target, targets
from nystrom_demo.benchmark import Measurement, to_frame
from nystrom_demo.benchmark import methods as the
from nystrom_demo.benchmark.__main__ import build_parser
from nystrom_demo.benchmark.commands import ALL_HEADS, BLOCKED, FORWARD, OURS, Result
from nystrom_demo.checkpoints.loading import TASKS

MB = 2**20


def points(*measured) -> pd.DataFrame:
    return to_frame([Measurement(*each) for each in measured])


def peers(ours: float, theirs: float, n: int = 512, memory: int = 3) -> pd.DataFrame:
    return points((OURS, n, (ours,), MB), *((peer, n, (theirs,), memory * MB) for peer in PEERS))


def app_points() -> list[Point]:
    seconds = {visit.FIRST: 0.5, visit.TENTH: 0.25, visit.MAPS: 0.7, visit.REDRAWN: 0.3}
    for task in TASKS:
        seconds |= {visit.clicked(task): 0.3, visit.passes(task): 0.2, visit.again(task): 0.15}
    seconds[visit.clicked(TASKS[2])] = 0.36
    places = {visit.MAPS: [512, 2048], visit.REDRAWN: [1024]}
    made = [Point(what, n, [Answer(s, 3_000_000)]) for what, s in seconds.items() for n in places.get(what, [128])]
    pages = ((visit.OUR_PAGE, 700_000), (visit.BARE_PAGE, 300_000))
    return [*made, *(Point(what, 0, [Answer(1.0, num_bytes)]) for what, num_bytes in pages)]


@pytest.fixture
def frames() -> dict[str, pd.DataFrame]:
    """What every command would have measured."""
    core = points(
        (OURS, 4096, (1.0, 2.0)),
        (OURS, 8192, (2.0, 2.0)),
        (the.MATRIX_PRODUCT.name, 8192, (1.0, 0.5)),
        (the.SOFTMAX_SDPA.name, 8192, (48.0, 42.0)),
        (the.TRANSFORMERS_LANDMARKS.name, 4096, (1.5, 3.0)),
        (the.TRANSFORMERS_DEFAULT.name, 4096, (10.0,), None, True),
    )
    training = [peers(1, 5).assign(backward=True), peers(1, 4).assign(backward=True, gradient_checkpointing=True)]
    growing = [
        points(*((OURS, n, (n**power,), n) for n in (2048, 4096))).assign(num_layers=k) for k, power in ((0, 1), (2, 2))
    ]
    return {
        "core": core,
        "model": pd.concat([peers(1, 3).assign(batch=1), peers(2, 1, n=2048, memory=2).assign(batch=8)]),
        "training": pd.concat(training).assign(batch=4),
        "growth": pd.concat(growing),
        "long": pd.DataFrame({"method": [OURS], "n": [131072], "median_seconds": [60.0], "held_gib": [4.0]}),
        "analysis": points((BLOCKED, 16384, (), 5 * 10**8), (FORWARD, 512, (1.0,)), (ALL_HEADS, 512, (3.0,))),
        "app": frame_of(app_points()).rename(columns={"what": "method"}),
    }


def rows(frames) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in (target.row() for target in targets(frames))}


def test_ratios_are_taken_round_by_round_and_misses_say_by_how_much(frames):
    found = rows(frames)
    product = found["attention alone, n = 8,192: landmarks / a matrix product of as many operations"]
    assert product == ["at most 2.5×", "3× (2 to 4)", "missed by 20%"]
    sdpa = found["attention alone, n = 8,192: softmax (SDPA) / landmarks"]
    assert sdpa == ["at least 20×", "22.5× (21 to 24)", "met"]
    theirs = found["attention alone, n = 4,096: transformers landmarks / landmarks"]
    assert theirs == ["at least 2×", "1.5× (1.5 to 1.5)", "missed by 33%"]


def test_what_was_read_from_a_law_is_not_measured(frames):
    default = rows(frames)["attention alone, n = 4,096: transformers default / landmarks"]
    assert default == ["at least 20×", "", "not measured"]


def test_peers_are_met_where_they_are_nearest(frames):
    found = rows(frames)
    for peer in PEERS:
        time = found[f"whole model, forward: {peer} / landmarks, time, the least"]
        assert time == ["at least 1×", "0.5× (0.5 to 0.5), n = 2,048, batch 8", "missed 2 times over"]
        memory = found[f"whole model, forward: {peer} / landmarks, peak memory, the least"]
        assert memory == ["at least 1×", "2×, n = 2,048, batch 8", "met"]
        step = found[f"training step: {peer} / landmarks, time, the least"]
        assert step == ["at least 1×", "4× (4 to 4), n = 512, batch 4, gradient checkpointing", "met"]


def test_growth_memory_and_analysis_stand_as_they_were_measured(frames):
    found = rows(frames)
    assert found["attention alone, n = 2,048 to 4,096: growth of time"] == ["at most n^1.1", "n^1.00", "met"]
    assert found["whole model, n = 2,048 to 4,096: growth of time"][1:] == ["n^2.00", "missed by 82%"]
    assert found["one forward of twelve layers at n = 131,072: all memory"] == ["at most 8 GB", "4.3 GB", "met"]
    assert found["errors of one head at n = 16,384: memory over the model"] == ["at most 1 GB", "0.5 GB", "met"]
    assert found["errors of all heads at n = 512 / an exact forward pass"][1:] == ["3× (3 to 3)", "met"]


def test_the_app_is_held_to_its_slowest_head_and_its_page_to_gradios(frames):
    found = rows(frames)
    assert found["the app's first request / its tenth"][1:] == ["2× (2 to 2)", "missed 2 times over"]
    (click,) = (row for what, row in found.items() if what.startswith("click on a head to its answer, n = 128"))
    assert click == ["at most 2×", f"1.8× (1.8 to 1.8), {TASKS[2]}", "met"]
    assert found["click to maps, n = 512"][1] == "700 ms (700 ms to 700 ms)"
    assert found["click to maps, n = 512: what is sent"] == ["at most 2.5 MB", "3 MB", "missed by 20%"]
    assert found["the page in Chromium beyond a bare page of gradio's"] == ["at most 300 kB", "400 kB", "missed by 33%"]


def test_what_was_not_measured_says_so(frames):
    frames["core"] = frames["core"].iloc[:1]
    frames["app"] = frames["app"][~frames["app"].method.isin([visit.OUR_PAGE, visit.REDRAWN])]
    verdicts = [row[-1] for row in rows(frames).values()]
    assert verdicts.count("not measured") == 6


def test_a_bound_that_is_just_kept_is_met():
    assert Target("a", 2, str, Finding(2, "2")).verdict == "met"
    assert Target("a", 2, str, Finding(2, "2"), at_least=True).verdict == "met"


def test_the_table_runs_each_part_and_keeps_every_measurement(frames, monkeypatch, tmp_path, capsys):
    asked = []

    def stand_in(name):
        def command(options: argparse.Namespace) -> Result:
            asked.append(name)
            return Result(name, "", frames[name])

        return command

    monkeypatch.setattr("acceptance.table.APART", ())
    for name in PARTS:
        monkeypatch.setitem(COMMANDS, name, stand_in(name))
    main(["table", "--csv", str(tmp_path / "out.csv")])
    assert asked == list(PARTS)
    printed = capsys.readouterr().out
    assert printed.startswith("### Speed\n\n| what | target | measured (extremes) |  |") and "torch" in printed
    kept = pd.read_csv(tmp_path / "out.csv")
    assert len(kept) == sum(map(len, frames.values())) and set(kept.command) == set(PARTS)


def test_the_long_text_is_weighed_in_a_process_of_its_own():
    small = ["--landmarks", "3", "--heads", "2", "--head-dim", "5", "--lengths", "24"]
    result = _apart("long", build_parser().parse_args(["long", *small]))
    assert "at n = 24" in result.text and 0 < result.frame.held_gib[0] < 8
