"""What fewer landmarks do to the answers of three task heads."""

import re
from collections.abc import Collection, Iterator, Sequence

from nystrom_demo.errors import UserError
from nystrom_demo.formatting import as_probability, number
from nystrom_demo.lessons.case import Case
from nystrom_demo.lessons.scene import Block, Chart, Curve, Reading, Scene
from nystrom_demo.tasks.entities import TagReader
from nystrom_demo.tasks.labels import LabelReader
from nystrom_demo.tasks.masked_words import MaskReader
from nystrom_demo.tasks.reading import Reader, SweepPoint, sweep

FEW = 4  # landmarks that the mood's label is asked about


def answers(case: Case) -> Scene:
    """The probability of three heads' exact answers, under fewer and more landmarks."""
    ladder = sorted({4**i for i in range(5) if 4**i < case.n} | {FEW, case.m})
    heads = {
        name: list(sweep(case.checkpoints[reader.task], reader, ladder, case.landmark_settings))
        for name, reader in readers(case)
    }
    exact, *mood = heads["mood"]
    few, own = (mood[ladder.index(m)] for m in (FEW, case.m))
    changes = [
        max(abs(points[place].probability - points[0].probability) for points in heads.values())
        for place in range(1, len(ladder) + 1)
    ]
    readings = (
        Reading("mood, exact", exact.answer),
        Reading("its probability, exact", exact.probability, ".4f"),
        Reading(f"its probability, {FEW} landmarks", few.probability, ".4f", secret=True),
        Reading("its probability, your m", own.probability, ".4f", secret=True),
    )
    facts = {
        "few": str(FEW),
        "label_exact": exact.answer,
        "label_few": few.answer,
        "p_exact": as_probability(exact.probability),
        "p_few": as_probability(few.probability),
    }
    summary = (
        f"Exact attention calls the mood {exact.answer} with probability {as_probability(exact.probability)}; all "
        f"three task heads still choose what they choose with it at {_agreeing(heads.values(), ladder)}, and with "
        f"{case.m} their probabilities move by up to {number(changes[ladder.index(case.m)])}."
    )
    rows, outcome = _charts(heads, ladder, case.m, changes), "stays" if few.agrees else "changes"
    return case.scene(rows, readings, summary, outcome, facts)


def readers(case: Case) -> Iterator[tuple[str, Reader]]:
    """mood, names and a hidden word of the text, each as what its task head is to read."""
    hidden = word_to_hide(case.shown_text)
    for name, task, reader, text in (
        ("mood", "sequence-classification", LabelReader, case.shown_text),
        ("names", "token-classification", TagReader, case.shown_text),
        (f"hidden word ‹{hidden.group():.20}›", "masked-lm", MaskReader, hide(case, hidden)),
    ):
        yield name, reader(case.checkpoints[task], text)


def word_to_hide(text: str) -> re.Match:
    """The longest word of the text's middle third. ValueError where there is none."""
    words = list(re.finditer(r"\w+", text)) or list(re.finditer(r"\S+", text))
    if not words:
        raise UserError("text holds no word that could be hidden.")
    middle = words[len(words) // 3 : max(2 * len(words) // 3, len(words) // 3 + 1)]
    return max(middle, key=lambda match: len(match.group()))


def hide(case: Case, word: re.Match) -> str:
    """The text with the word behind a mask."""
    mask = case.checkpoints["masked-lm"].tokenizer.mask_token
    return case.shown_text[: word.start()] + mask + case.shown_text[word.end() :]


def _agreeing(heads: Collection[Sequence[SweepPoint]], ladder: Sequence[int]) -> str:
    """Where every head gives its exact answer."""
    agreeing = [m for place, m in enumerate(ladder, start=1) if all(points[place].agrees for points in heads)]
    return f"m = {', '.join(map(str, agreeing))}" if agreeing else "none of the m tried"


def _charts(
    heads: dict[str, list[SweepPoint]], ladder: list[int], m: int, changes: list[float]
) -> tuple[tuple[Block, ...], ...]:
    """Each head's probabilities, and the largest change of the three: two rows of two."""
    first, second, third = (_probability_chart(name, points, ladder, m) for name, points in heads.items())
    curve = Curve("difference", "difference", "change", changes)
    largest = _chart("largest change of the three", ladder, "change", (curve,), m)
    return (first, second), (third, largest)


def _probability_chart(name: str, points: list[SweepPoint], ladder: list[int], m: int) -> Chart:
    exact, *landmarks = points
    curves = (
        Curve("exact", "exact", "exact", [exact.probability] * len(ladder), dashed=True),
        Curve("landmark", "landmark", "landmarks", [point.probability for point in landmarks]),
    )
    return _chart(f"{name}: {exact.answer}", ladder, "probability", curves, m)


def _chart(name: str, ladder: list[int], y_label: str, curves: tuple[Curve, ...], mark: int) -> Chart:
    return Chart(name, ladder, "landmarks m", y_label, curves, log_x=True, mark=mark, secret=True)
