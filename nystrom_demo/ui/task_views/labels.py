"""Sequence classification: each label with its probability."""

import pandas as pd

from nystrom_demo.formatting import as_probability
from nystrom_demo.tasks import Classification
from nystrom_demo.ui.task_views.markup import Comparison, bars


def compare(exact: Classification, landmark: Classification) -> Comparison:
    both = exact, landmark
    return Comparison(verdict(*both), [*map(column, both)], [*map(table, both)])


def verdict(exact: Classification, landmark: Classification) -> str:
    here, there = exact.probabilities[exact.label], landmark.probabilities[exact.label]
    if exact.label == landmark.label:
        return f"Both say {exact.label}: {as_probability(here)} exactly, {as_probability(there)} over landmarks."
    other = landmark.probabilities[landmark.label]
    return (
        f"They differ: exact attention says {exact.label} ({as_probability(here)}), "
        f"landmarks say {landmark.label} ({as_probability(other)})."
    )


def column(result: Classification) -> str:
    labels = list(result.probabilities)
    return bars(result.probabilities.items(), marked=labels.index(result.label))


def table(result: Classification) -> pd.DataFrame:
    return pd.DataFrame(result.probabilities.items(), columns=["label", "probability"])
