"""The app as a visitor meets it: its start, a head's click to its answer, a click to the maps, what the page weighs.

app.py runs in a process of its own, and all but the page's weight is measured over plain HTTP, so that drawing, which
depends on the visitor's machine, is not in the figures.
"""

import argparse
import random
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from tqdm import tqdm

from acceptance import pages
from acceptance.visitor import Answer, Page, Server, free_port, this_app
from nystrom_demo.benchmark.commands import Result
from nystrom_demo.benchmark.compare import Ratio, ratio
from nystrom_demo.benchmark.report import extremes, markdown_table, spread
from nystrom_demo.benchmark.sweep import Measurement, to_frame
from nystrom_demo.checkpoints import Checkpoint, load_bundled
from nystrom_demo.checkpoints.loading import TASKS
from nystrom_demo.config import AttentionSettings
from nystrom_demo.tasks import prepare
from nystrom_demo.tasks.latency import compare_latency

CLICK_TOKENS = 128  # at which a head's click is set against the model's own two passes
REDRAW_TOKENS = 1_024
MAPS, OTHER_HEAD, REPEATED = "click to maps, new text", "click to maps, other head", "click to maps, asked before"
FIRST, TENTH = "first request", "tenth request"
OUR_PAGE, BARE_PAGE, REDRAWN = "the page in Chromium", "a bare gradio page in Chromium", "redraw in Chromium"
DIALS = ((184, 16), (184, 100), (512, 64))  # n and m
WORDS = "the film was long and the river ran by the old house in the city where mary smith went to work".split()  # noqa: SIM905
QUESTION = "where was the old house"
OPTIONS = ("by the river", "in the film")
BARE = """
import sys, gradio
with gradio.Blocks(analytics_enabled=False) as demo:
    gradio.Textbox()
demo.launch(server_port=int(sys.argv[1]), ssr_mode=False, quiet=True)
"""


class Point(NamedTuple):
    """Repeats of one thing at one length; bytes are those of the longest answer, None where nothing came."""

    what: str
    n: int
    answers: list[Answer]

    @property
    def measurement(self) -> Measurement:
        return Measurement(self.what, self.n, tuple(answer.seconds for answer in self.answers))

    @property
    def num_bytes(self) -> int:
        return max(answer.num_bytes for answer in self.answers)


def clicked(task: str) -> str:
    return f"click to answer, {task}"


def again(task: str) -> str:
    return f"asked again, {task}"


def passes(task: str) -> str:
    return f"the model's two passes, {task}"


def dialled(m: int) -> str:
    return f"a move of the slider about m = {m}"


class Texts:
    """Texts of a given number of tokens, a new one each time, since a text asked for before may be remembered."""

    def __init__(self, checkpoint: Checkpoint):
        self.tokenizer = checkpoint.tokenizer
        self.random = random.Random(0)

    def of(self, n: int, first: str = "") -> str:
        """n tokens, special ones included; every word is one token in the bundled checkpoints' vocabulary."""
        words = [first] if first else []
        words += self.random.choices(WORDS, k=n)
        while len(words) > 1 and len(self.tokenizer(" ".join(words), verbose=False)["input_ids"]) > n:
            words.pop()
        return " ".join(words)


def app(options: argparse.Namespace) -> Result:
    """The app over HTTP: its start, clicks to answers and maps, repeated requests, and what the page weighs."""
    points = measure(options, options.lengths or [128, 512, 1024, 2048])
    return Result("The app", describe(points), frame_of(points))


def measure(options: argparse.Namespace, lengths: Sequence[int]) -> list[Point]:
    """Every point. The app is started `repeats` times; the last one serves what does not depend on the start."""
    box = load_bundled(options.device)
    texts = Texts(box["masked-lm"])
    starts: dict[str, list[Answer]] = {}
    with tqdm(total=options.repeats + 2, unit="part", leave=False) as bar:
        for turn in range(options.repeats):
            with this_app() as server:
                for what, answer in time_start(server, texts).items():
                    starts.setdefault(what, []).append(answer)
                bar.update()
                if turn < options.repeats - 1:
                    continue
                points = [Point(what, CLICK_TOKENS if "request" in what else 0, a) for what, a in starts.items()]
                points += time_answers(server, box, texts, options) + time_maps(server, texts, options, lengths)
                bar.update()
                points += weigh_pages(server, texts, options)
                bar.update()
    return points


def time_start(server: Server, texts: Texts) -> dict[str, Answer]:
    """From the process's start to the page, to readiness and to the first answer; then the first ten requests."""
    found = {"start to first page": Answer(server.wait("/"), 0), "start to ready": Answer(server.wait("/ready"), 0)}
    with Page(server.url) as page:
        page.set(tab="tasks")
        for turn in range(10):
            page.type(texts.of(CLICK_TOKENS))
            answer = page.ask()
            if turn == 0:
                found["start to first answer"] = Answer(time.perf_counter() - server.began, 0)
            if turn in (0, 9):
                found[TENTH if turn else FIRST] = answer
    return found


def time_answers(server: Server, box: dict[str, Checkpoint], texts: Texts, options: argparse.Namespace) -> list[Point]:
    """A click on each head to its answer, beside the model's own passes on the same text; and the same asked again."""
    found: dict[str, list[Answer]] = {}
    settings = AttentionSettings(num_landmarks=options.landmarks)
    with Page(server.url) as page:
        page.set(tab="tasks", num_landmarks=options.landmarks)
        page.set(question=QUESTION, choices_question=QUESTION, options="\n".join(OPTIONS))
        for turn in range(options.repeats + 1):
            for task, checkpoint in box.items():
                text = texts.of(CLICK_TOKENS, checkpoint.tokenizer.mask_token if task == "masked-lm" else "")
                page.type(text)
                answer = page.ask(task=task)
                latency = compare_latency(checkpoint, prepare(checkpoint, *inputs_of(task, text)), settings, repeats=1)
                measured = {
                    clicked(task): answer,
                    passes(task): Answer(latency.exact[0] + latency.landmark[0], 0),
                    again(task): page.ask(),
                }
                if turn:  # the first round warms up
                    for what, answer in measured.items():
                        found.setdefault(what, []).append(answer)
    return [Point(what, CLICK_TOKENS, answers) for what, answers in found.items()]


def inputs_of(task: str, text: str) -> tuple:
    """What a head's function takes."""
    if task == "question-answering":
        return QUESTION, text
    return (QUESTION, list(OPTIONS), text) if task == "multiple-choice" else (text,)


def time_maps(server: Server, texts: Texts, options: argparse.Namespace, lengths: Sequence[int]) -> list[Point]:
    """A new text to its maps, another head of it to its maps, and the same maps again."""
    points = []
    with Page(server.url) as page:
        page.type(texts.of(CLICK_TOKENS))
        page.ask(tab="attention", num_landmarks=options.landmarks)  # warms up
        for n in lengths:
            found: dict[str, list[Answer]] = {MAPS: [], OTHER_HEAD: [], REPEATED: []}
            for _ in range(options.repeats):
                page.type(texts.of(n))
                found[MAPS].append(page.ask(layer=0, head=0))
                found[OTHER_HEAD].append(page.ask(layer=1, head=1))
                found[REPEATED].append(page.ask())
            points += [Point(what, n, answers) for what, answers in found.items()]
    return points


def weigh_pages(server: Server, texts: Texts, options: argparse.Namespace) -> list[Point]:
    """The page and a bare one of gradio's, and maps drawn anew, in Chromium where there is one."""
    if pages.chromium_path() is None:
        return []
    port = free_port()
    with Server([sys.executable, "-c", BARE, str(port)], port) as bare, pages.chromium() as browser:
        bare.wait("/")
        loads: dict[str, list[Answer]] = {OUR_PAGE: [], BARE_PAGE: []}
        for _ in range(options.repeats):
            for what, url in ((OUR_PAGE, server.url), (BARE_PAGE, bare.url)):
                loads[what].append(Answer(*pages.load(browser, url)))
        drawn = pages.redraws(browser, server.url, texts.of(REDRAW_TOKENS), options.repeats)
        dials = [(n, m, pages.dial(browser, server.url, texts.of(n), m, options.repeats)) for n, m in DIALS]
    found = [Point(what, 0, answers) for what, answers in loads.items()]
    found += [Point(dialled(m), n, [Answer(seconds, 0) for seconds in moves]) for n, m, moves in dials]
    return [*found, Point(REDRAWN, REDRAW_TOKENS, [Answer(seconds, 0) for seconds in drawn])]


def frame_of(points: Sequence[Point]) -> pd.DataFrame:
    """One row a point, as `to_frame`, with the bytes that came in place of a call's peak memory."""
    frame = to_frame([point.measurement for point in points]).rename(columns={"method": "what"})
    return frame.drop(columns=["peak_bytes", "extrapolated", "note"]).assign(bytes=[p.num_bytes for p in points])


def describe(points: Sequence[Point]) -> str:
    """Every point in a table, then what they mean in ratios."""
    rows = [[p.what, f"{p.n:,}" if p.n else "", extremes(p.measurement), f"{p.num_bytes / 1e3:,.0f}"] for p in points]
    table = markdown_table(["what", "n", "median (extremes)", "kB"], rows)
    by = {(point.what, point.n): point for point in points}
    lines = [f"The first request takes {_times(by, FIRST, TENTH)} of the tenth."]
    for task in TASKS:
        lines.append(
            f"{task}: a click to its answer takes {_times(by, clicked(task), passes(task))} of the model's two forward "
            f"passes; asked again, {_times(by, again(task), clicked(task))} of the time it took first."
        )
    if (OUR_PAGE, 0) in by:
        more = by[OUR_PAGE, 0].num_bytes - by[BARE_PAGE, 0].num_bytes
        lines.append(f"The page transfers {more / 1e3:,.0f} kB more than a bare page of gradio's.")
    else:
        lines.append("The page was not weighed, which needs playwright and a chromium on the path.")
    return "\n\n".join([table, *lines])


def _times(by: dict[tuple[str, int], Point], slower: str, faster: str) -> str:
    measured = ratio(by[slower, CLICK_TOKENS].measurement, by[faster, CLICK_TOKENS].measurement)
    assert isinstance(measured, Ratio)
    return spread(measured)
