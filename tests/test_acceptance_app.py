"""The benchmark of the app: it asks the real one, started from app.py, and a page of it in Chromium."""

import json
import sys

import numpy as np
import pandas as pd
import pytest

from acceptance import pages
from acceptance.__main__ import main
from acceptance.app import BARE, OPTIONS, QUESTION, Page, Texts
from acceptance.visitor import Server, free_port
from nystrom_demo.checkpoints.loading import TASKS

SMALL = ["--repeats", "1", "--landmarks", "3", "--lengths", "13", "29"]


@pytest.mark.slow
def test_the_app_is_started_asked_and_timed(tiny_box, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("NYSTROM_DEMO_CHECKPOINTS", str(tiny_box))
    monkeypatch.setattr(pages, "chromium_path", lambda: None)
    main(["app", *SMALL, "--csv", str(tmp_path / "out.csv")])
    frame = pd.read_csv(tmp_path / "out.csv")
    assert list(frame) == ["what", "n", "median_seconds", "min_seconds", "max_seconds", "all_seconds", "bytes"]
    assert np.isfinite(frame[["median_seconds", "bytes"]]).all(axis=None) and (frame.median_seconds > 0).all()
    assert {f"click to answer, {task}" for task in TASKS} < set(frame.what)
    maps = frame[frame.what.str.startswith("click to maps")]
    assert sorted(maps.n) == 3 * [13] + 3 * [29] and (maps.bytes > 1_000).all()
    printed = capsys.readouterr().out
    assert "The first request takes" in printed and "The page was not weighed, which needs playwright" in printed


def test_each_text_has_its_length_and_is_asked_for_the_first_time(tiny_checkpoints):
    texts = Texts(tiny_checkpoints["masked-lm"])
    made = [texts.of(31, "[MASK]") for _ in range(20)]
    assert len(set(made)) == 20 and all(text.startswith("[MASK] ") for text in made)
    assert {len(texts.tokenizer(text)["input_ids"]) for text in made} == {31}


def test_a_page_is_given_each_heads_answer_and_the_maps_that_it_asks_for(app_url):
    with Page(app_url) as page:
        page.type("the film was [MASK] and the river ran")
        page.set(tab="tasks", num_landmarks=3, question=QUESTION, choices_question=QUESTION, options="\n".join(OPTIONS))
        for task in TASKS:
            answer = page.ask(task=task)
            assert answer.seconds > 0 and answer.num_bytes > 1_000
            assert "verdict" in page.shown["tasks-answer"], task
        page.ask(tab="attention", layer=1, head=1)
        viewer = json.loads(page.shown["attention-viewer"])
        assert (viewer["m"], viewer["layer"], viewer["head"]) == (3, 1, 1)
        with pytest.raises(RuntimeError, match="task must be one of"):
            page.ask(task="translation")


def test_a_server_that_ends_at_its_start_says_what_it_said():
    port = free_port()
    with (
        Server([sys.executable, "-c", "raise SystemExit('no such luck')"], port) as server,
        pytest.raises(RuntimeError, match="does not answer /: no such luck"),
    ):
        server.wait("/")


@pytest.mark.browser
def test_the_page_transfers_no_more_than_a_bare_one_of_gradios_and_300_kilobytes(chromium, app_url):
    port = free_port()
    with Server([sys.executable, "-c", BARE, str(port)], port) as bare:
        bare.wait("/")
        least = pages.load(chromium, bare.url)
    assert least.num_bytes > 200_000
    assert pages.load(chromium, app_url).num_bytes - least.num_bytes <= 300_000


@pytest.mark.browser
def test_a_page_is_weighed_and_its_maps_drawn_anew(chromium, app_url):
    whole = pages.load(chromium, app_url)
    assert whole.seconds > 0 and whole.num_bytes > 200_000
    with Page(app_url) as page:
        document = page.http.get("/")
    assert whole.num_bytes > document.num_bytes_downloaded
    seconds = pages.redraws(chromium, app_url, "the film was long and the river ran", 2)
    assert len(seconds) == 2 and all(second > 0 for second in seconds)
    moves = pages.dial(chromium, app_url, "the film was long and the river ran", 3, 2)
    assert len(moves) == 2 and all(move > 0 for move in moves)
