"""Labels of a row of words that make sense together, not each for itself."""

from collections.abc import Sequence

import torch

_NEVER = float("-inf")


def likeliest_labels(probabilities: torch.Tensor, names: Sequence[str]) -> torch.Tensor:
    """The row of labels with the largest product of probabilities in which I-x follows only B-x or I-x, (words,).

    probabilities: (words, labels). Where there is no B-x, I-x may follow anything. Found word by word from the best
    rows that end in each label (Viterbi 1967).
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
    needs = [name[2:] if name.startswith("I-") and f"B-{name[2:]}" in names else None for name in names]
    begins = [kind is None for kind in needs]
    follows = [[kind is None or name in (f"B-{kind}", f"I-{kind}") for kind in needs] for name in names]
    return tuple(torch.where(torch.tensor(allowed), 0.0, _NEVER).double() for allowed in (begins, follows))
