"""What is said about one head's maps, in sentences with live numbers."""

import torch

from nystrom_demo.analysis import Maps
from nystrom_demo.checkpoints.capitals import MARK
from nystrom_demo.formatting import decimal, number, percent, weight

ROW_SUM_SLACK = 0.01  # a row's sum is called off when it is further from one than this


def head_words(maps: Maps, layer: int, head: int, num_landmarks: int, labels: list[str]) -> dict[str, str]:
    """The viewer's sentences: title, lead, notes on negative entries and row sums, and a summary of each picture."""
    n = len(maps.exact)
    return {
        "title": f"Layer {layer + 1}, head {head + 1}",
        "lead": _lead(maps, num_landmarks, labels) + _marks(labels),
        "negative": _negative(maps, num_landmarks),
        "row_sums": _row_sums(maps, num_landmarks),
        "exact": _picture("Exact attention", maps.exact, labels),
        "landmark": _picture("Landmark attention", maps.landmark, labels),
        "difference": _difference_picture(maps, labels),
        "kernel_1": f"kernel_1, {n:,} tokens over {num_landmarks:,} landmarks",
        "kernel_2": f"The pseudo-inverse of kernel_2, {num_landmarks:,} by {num_landmarks:,}",
        "kernel_3": f"kernel_3, {num_landmarks:,} landmarks over {n:,} tokens",
    }


def strongest_cell(maps: Maps) -> tuple[int, int]:
    """(row, column) where the maps differ most or, where they are the same, of the largest entry."""
    return _place(maps.difference.abs() if maps.difference.any() else maps.exact)


def _lead(maps: Maps, m: int, labels: list[str]) -> str:
    n = len(maps.exact)
    if m == n:
        return (
            f"As many landmarks as tokens, {n:,}: each token is its own landmark, the landmark map is the exact map, "
            f"and the difference is zero everywhere."
        )
    error = _norm(maps.difference) / _norm(maps.exact)
    row, column = strongest_cell(maps)
    largest = float(maps.difference[row, column])
    return (
        f"{m:,} {'landmark' if m == 1 else 'landmarks'} for {n:,} tokens, about {number(n / m)} tokens each. "
        f"The landmark map misses the exact one by {percent(error)} of its size (Frobenius norm). They differ most "
        f"where ‹{labels[row]}› reads ‹{labels[column]}›: {weight(maps.exact[row, column])} exactly, "
        f"{weight(maps.landmark[row, column])} through landmarks, {weight(largest, sign=True)}."
    )


def _marks(labels: list[str]) -> str:
    if MARK not in labels:
        return ""
    return f" The token {MARK} says that the next word begins with a capital: this vocabulary has small letters only."


def _negative(maps: Maps, m: int) -> str:
    n = len(maps.exact)
    count = int((maps.landmark < 0).count_nonzero())
    if m == n:
        return "No entry is negative: with a landmark for each token the map is a softmax."
    if count == 0:
        return f"None of the {n * n:,} entries of the landmark map is negative here, though nothing forbids it."
    row, column = _place(-maps.landmark)
    return (
        f"{count:,} of the {n * n:,} entries of the landmark map ({percent(count / n**2)}) are negative, the lowest "
        f"{weight(maps.landmark[row, column])}. A softmax has none; the pseudo-inverse of kernel_2 has entries of "
        f"both signs, and so can its product."
    )


def _row_sums(maps: Maps, m: int) -> str:
    n = len(maps.exact)
    sums = maps.landmark.sum(-1)
    if m == n:
        return "Every row sums to one, as a softmax does."
    off = int(((sums - 1).abs() > ROW_SUM_SLACK).sum())
    return (
        f"Rows of the landmark map sum to {decimal(sums.min(), 3)} … {decimal(sums.max(), 3)}; {off:,} of {n:,} are "
        f"more than {ROW_SUM_SLACK} from one. kernel_1 and kernel_3 are softmaxes, but the pseudo-inverse between them "
        f"is only approximate, so nothing holds the sums at one."
    )


def _picture(name: str, matrix: torch.Tensor, labels: list[str]) -> str:
    row, column = _place(matrix)
    means = matrix.mean(0)
    most = int(means.argmax())
    return (
        f"{name}, {len(matrix):,} by {len(matrix):,}, rows read from columns. Most is read from ‹{labels[most]}›, "
        f"{percent(means[most])} on average; the largest entry is {weight(matrix[row, column])}, where "
        f"‹{labels[row]}› reads ‹{labels[column]}›."
    )


def _difference_picture(maps: Maps, labels: list[str]) -> str:
    if not maps.difference.any():
        return "Landmark minus exact attention: zero everywhere."
    row, column = _place(maps.difference)
    low_row, low_column = _place(-maps.difference)
    return (
        f"Landmark minus exact attention, from {weight(maps.difference[low_row, low_column], sign=True)} "
        f"(‹{labels[low_row]}› reads ‹{labels[low_column]}›) to {weight(maps.difference[row, column], sign=True)} "
        f"(‹{labels[row]}› reads ‹{labels[column]}›)."
    )


def _place(matrix: torch.Tensor) -> tuple[int, int]:
    """(row, column) of the largest entry."""
    return divmod(int(matrix.argmax()), matrix.shape[1])


def _norm(matrix: torch.Tensor) -> float:
    return float(torch.linalg.matrix_norm(matrix))
