"""Labels of a row of words that make sense together, not each for itself, and the kinds that they name."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

_NEVER = float("-inf")
# How a label's first letter places a word in an entity, by the schemes BIO, BIOES, BILOU and BMES.
_PLACES = {"B": "begins", "I": "inside", "M": "inside", "E": "ends", "L": "ends", "S": "alone", "U": "alone"}


class Tag(NamedTuple):
    """What a label says of a word: its kind, None outside of entities, and where in one it stands.

    place: "begins", "inside", "ends" or "alone"; "inside" for a label without a letter for it.
    """

    kind: str | None
    place: str

    @property
    def goes_on(self) -> bool:
        return self.kind is not None and self.place in ("inside", "ends")

    def may_go_on(self, kind: str) -> bool:
        """Whether a word inside an entity of this kind may come next."""
        return self.kind == kind and self.place in ("begins", "inside")


def read_tags(names: Sequence[str], *, are_all: bool = True) -> dict[str, Tag]:
    """What each label of a model says: "B-PER", "b_PER" and "S-PER" are of kind PER, "O" and "o" of none.

    B- and I- are always a place. Another letter, "_" or a small letter is one where the model's labels name the same
    kind with a second letter, so that E-MAIL alone is a kind; and where the names are not all that the model has.
    """
    parts = {name: _split(name) for name in names}
    letters: dict[str, set[str]] = {}
    for letter, kind in parts.values():
        letters.setdefault(kind, set()).add(letter)
    tags = {}
    for name, (letter, kind) in parts.items():
        is_placed = letter and (name[:2] in ("B-", "I-") or not are_all or len(letters[kind] - {""}) > 1)
        tags[name] = Tag(kind, _PLACES[letter]) if is_placed else Tag(None if name in ("O", "o") else name, "inside")
    return tags


def _split(name: str) -> tuple[str, str]:
    """("B", "PER") of B-PER; ("", name) of what has no letter of a scheme in front."""
    letter = name[:1].upper()
    return (letter, name[2:]) if letter in _PLACES and name[1:2] in ("-", "_") else ("", name)


def likeliest_labels(probabilities: torch.Tensor, names: Sequence[str]) -> torch.Tensor:
    """The row of labels with the largest product of probabilities in which I-x follows only B-x or I-x, (words,).

    probabilities: (words, labels). Where there is no B-x, I-x may follow anything; E-x and L-x are like I-x. Found word
    by word from the best rows that end in each label (Viterbi 1967).
    """
    if not len(probabilities):
        return torch.empty(0, dtype=torch.long)
    scores = probabilities.double().log()  # -inf for a probability of zero, which then is chosen only where all are
    begins, follows = _allowed(names)
    best, origins = scores[0] + begins, []
    for score in scores[1:]:
        reached, origin = (best[:, None] + follows).max(0)
        best = reached + score
        origins.append(origin)
    row = [best.argmax()]
    for origin in reversed(origins):
        row.append(origin[row[-1]])
    return torch.stack(row[::-1])


def _allowed(names: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """0 where a label may begin a row, (labels,), or follow another, (from, to), and -inf where it may not."""
    read = read_tags(names)
    tags = [read[name] for name in names]
    begun = {tag.kind for tag in tags if tag.place == "begins"}
    needs = [tag.kind if tag.goes_on and tag.kind in begun else None for tag in tags]
    begins = [kind is None for kind in needs]
    follows = [[kind is None or tag.may_go_on(kind) for kind in needs] for tag in tags]
    return tuple(torch.where(torch.tensor(allowed), 0.0, _NEVER).double() for allowed in (begins, follows))
