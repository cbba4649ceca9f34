"""Token classification: the text with its entities in colour, scores on hover and focus."""

from html import escape

import pandas as pd

from nystrom_demo.figures.roles import SEGMENTS
from nystrom_demo.formatting import as_probability, counted
from nystrom_demo.tasks import Entity, Tagging
from nystrom_demo.ui.task_views.markup import Comparison, Stretch, marked_text


def compare(exact: Tagging, landmark: Tagging, text: str, kinds: list[str]) -> Comparison:
    both = exact, landmark
    sides = [column(*side, text, kinds) for side in (both, both[::-1])]
    return Comparison(verdict(*both), sides, [*map(table, both)])


def verdict(exact: Tagging, landmark: Tagging) -> str:
    here, there = _spans(exact), _spans(landmark)
    if not here and not there:
        return "Neither finds a person, place or other thing with a name."
    if here == there:
        return f"Both find the same {len(here)} entities." if len(here) != 1 else "Both find the same entity."
    if not here:
        return f"Landmarks find {counted(len(there), 'entity', 'entities')}, exact attention none."
    missed, new = len(here - there), len(there - here)
    more = [f"miss {missed}"] if missed else []
    more += [f"see {'one' if new == 1 else new} that it does not"] if new else []
    return (
        f"Landmarks find {len(here & there)} of the {counted(len(here), 'entity', 'entities')} that exact attention "
        f"finds{'' if not more else ', ' + ' and '.join(more)}."
    )


def column(result: Tagging, other: Tagging, text: str, kinds: list[str]) -> str:
    """The text with its entities; those that the other attention does not see are outlined."""
    shared = _spans(other)
    stretches = [
        Stretch(
            entity.start,
            entity.end,
            "entity" if _key(entity) in shared else "entity alone",
            f"{entity.entity} {as_probability(entity.score)}",
            kind_colour(entity.entity, kinds),
        )
        for entity in result.entities
    ]
    legend = "".join(
        f'<li><i style="background:{kind_colour(kind, kinds)}"></i>{escape(kind)}</li>'
        for kind in kinds
        if any(entity.entity == kind for entity in result.entities)
    )
    return marked_text(text, stretches) + (f'<ul class="legend">{legend}</ul>' if legend else "")


def nothing(exact: Tagging) -> str | None:
    """Why there is no curve: what is not found exactly cannot be followed."""
    return None if exact.entities else "Exact attention finds no entity here, so there is none to follow as m grows."


def table(result: Tagging) -> pd.DataFrame:
    rows = [(each.entity, each.word, each.start, each.end, each.score) for each in result.entities]
    return pd.DataFrame(rows, columns=["entity", "words", "start", "end", "probability"])


def entity_kinds(labels: list[str]) -> list[str]:
    """The kinds of entity among a model's labels: PER once for B-PER and I-PER."""
    return list(dict.fromkeys(label.split("-", 1)[-1] for label in labels if label != "O"))


def kind_colour(kind: str, kinds: list[str]) -> str:
    return SEGMENTS[kinds.index(kind) % len(SEGMENTS)]


def _key(entity: Entity) -> tuple[int, int, str]:
    return entity.start, entity.end, entity.entity


def _spans(result: Tagging) -> set[tuple[int, int, str]]:
    return {_key(entity) for entity in result.entities}
