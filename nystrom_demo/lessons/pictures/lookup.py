"""A synthetic pattern that landmarks cannot follow: each token looks at one random other."""

import torch

from nystrom_demo.analysis import LayerInputs, Maps, attention_maps, error_against_landmarks
from nystrom_demo.formatting import percent
from nystrom_demo.lessons.case import Case
from nystrom_demo.lessons.pictures.product import error_chart
from nystrom_demo.lessons.scene import CHANNELS, Block, Matrix, Reading, Scene, Yardstick
from nystrom_demo.lessons.yardsticks import yardsticks

SYNTHETIC_TOKENS, SYNTHETIC_WIDTH, SEED = 64, 32, 0
SYNTHETIC = "synthetic token"
HALF = SYNTHETIC_TOKENS // 2


def lookup_pattern(sharpness: float) -> LayerInputs:
    """Synthetic q, k, v of one head where token i's score for one random other token is `sharpness`.

    Keys are random directions of a fixed seed with ‖k‖² = √d, so that the score of q_i = β k_π(i) for its key is β.
    """
    generator = torch.Generator().manual_seed(SEED)
    k = torch.randn(SYNTHETIC_TOKENS, SYNTHETIC_WIDTH, generator=generator)
    k = k / k.norm(dim=1, keepdim=True) * SYNTHETIC_WIDTH**0.25
    v = torch.randn(SYNTHETIC_TOKENS, SYNTHETIC_WIDTH, generator=generator)
    q = sharpness * k[torch.randperm(SYNTHETIC_TOKENS, generator=generator)]
    return LayerInputs(q[None, None], k[None, None], v[None, None])


def limits(case: Case) -> Scene:
    """The pattern's maps, exact and over landmarks, and the error against m."""
    inputs = lookup_pattern(case.controls.sharpness)
    m = min(case.m, SYNTHETIC_TOKENS)
    settings = case.settings._replace(implementation="nystrom", num_landmarks=m)
    ladder = sorted({2**i for i in range(7)} | {m, HALF})
    table = error_against_landmarks(inputs, 0, ladder, settings)
    errors = table.set_index("num_landmarks")
    error, best = float(errors.frobenius[HALF]), float(errors.best_frobenius[HALF])
    readings = (
        Reading("synthetic tokens n", SYNTHETIC_TOKENS),
        Reading("landmarks in the picture m", m),
        Reading("error in the picture", float(errors.frobenius[m]), ".4f", secret=True),
        Reading(f"error, {HALF} landmarks", error, ".4f", secret=True),
        Reading(f"least error of rank {HALF}", best, ".4f", secret=True),
    )
    outcome = "small" if error < 0.1 else "medium" if error <= 0.5 else "large" if error <= 1 else "over"
    facts = {"half": str(HALF), "n": str(SYNTHETIC_TOKENS), "error_half": percent(error), "best_half": percent(best)}
    summary = (
        f"On a synthetic pattern of {SYNTHETIC_TOKENS} tokens, each looking at one random other, {HALF} landmarks have "
        f"a relative error of {percent(error)} and the best matrix of rank {HALF} {percent(best)}."
    )
    maps = attention_maps(inputs, 0, settings)
    own = [Yardstick("landmark", f"{m} landmarks", float(errors.frobenius[m]))]
    sticks = yardsticks(maps.exact, m, own, secret=True)
    rows = (_blocks(inputs, maps), (sticks,), (error_chart(table, m, ("landmark", "exact")),))
    return Scene(rows, readings, summary, outcome, facts)


def _blocks(inputs: LayerInputs, maps: Maps) -> tuple[Block, ...]:
    top = float(maps.exact.max())
    axes, square = (SYNTHETIC, CHANNELS), (SYNTHETIC, SYNTHETIC)
    return (
        Matrix("query", "query", "q", inputs.q[0, 0], axes, "signed"),
        Matrix("key", "key", "k", inputs.k[0, 0], axes, "signed"),
        Matrix("exact", "exact", "S", maps.exact, square, limit=top),
        Matrix("landmark", "landmark", "Ŝ", maps.landmark, square, limit=top, secret=True),
    )
