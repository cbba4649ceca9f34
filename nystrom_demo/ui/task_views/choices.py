"""Multiple choice: each option with its probability."""

from collections.abc import Sequence

import pandas as pd

from nystrom_demo.formatting import as_probability
from nystrom_demo.tasks import Choice
from nystrom_demo.ui.task_views.markup import Comparison, bars


def compare(exact: Choice, landmark: Choice, options: Sequence[str]) -> Comparison:
    both = exact, landmark
    return Comparison(verdict(*both), [column(each, options) for each in both], [table(each, options) for each in both])


def verdict(exact: Choice, landmark: Choice) -> str:
    here, there = exact.scores[exact.index], landmark.scores[exact.index]
    if exact.index == landmark.index:
        scores = f"{as_probability(here)} exactly, {as_probability(there)} over landmarks"
        return f"Both choose option {exact.index + 1}: {scores}."
    return (
        f"They differ: exact attention chooses option {exact.index + 1} ({as_probability(here)}), "
        f"landmarks option {landmark.index + 1} ({as_probability(landmark.scores[landmark.index])})."
    )


def column(result: Choice, options: Sequence[str]) -> str:
    rows = [
        (f"{place}. {option}", score)
        for place, (option, score) in enumerate(zip(options, result.scores, strict=True), 1)
    ]
    return bars(rows, marked=result.index)


def table(result: Choice, options: Sequence[str]) -> pd.DataFrame:
    places = range(1, len(options) + 1)
    return pd.DataFrame(zip(places, options, result.scores, strict=True), columns=["place", "option", "probability"])
