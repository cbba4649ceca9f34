"""Multiple choice: each option with its probability."""

import pandas as pd

from nystrom_demo.formatting import as_probability
from nystrom_demo.tasks import Choice
from nystrom_demo.ui.task_views.markup import bars


def verdict(exact: Choice, landmark: Choice) -> str:
    here, there = exact.scores[exact.index], landmark.scores[exact.index]
    if exact.index == landmark.index:
        scores = f"{as_probability(here)} exactly, {as_probability(there)} over landmarks"
        return f"Both choose option {exact.index + 1}: {scores}."
    return (
        f"They differ: exact attention chooses option {exact.index + 1} ({as_probability(here)}), "
        f"landmarks option {landmark.index + 1} ({as_probability(landmark.scores[landmark.index])})."
    )


def column(result: Choice, options: list[str]) -> str:
    rows = [
        (f"{place}. {option}", score)
        for place, (option, score) in enumerate(zip(options, result.scores, strict=True), 1)
    ]
    return bars(rows, marked=result.index)


def table(result: Choice, options: list[str]) -> pd.DataFrame:
    places = range(1, len(options) + 1)
    return pd.DataFrame(zip(places, options, result.scores, strict=True), columns=["place", "option", "probability"])


def split_options(lines: str) -> list[str]:
    """The options of a box with one a line; empty lines are none."""
    return [line.strip() for line in lines.splitlines() if line.strip()]
