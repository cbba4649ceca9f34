"""Landmark attention put together, beside exact attention, and its error against m."""

import pandas as pd

from nystrom_demo.analysis import error_against_landmarks, landmark_ladder
from nystrom_demo.formatting import count, number, percent
from nystrom_demo.lessons.case import Case, relative_error
from nystrom_demo.lessons.pictures.exact import kept_columns
from nystrom_demo.lessons.pictures.landmarks import product_blocks
from nystrom_demo.lessons.scene import (
    TOKENS,
    Block,
    Chart,
    Curve,
    Matrix,
    Reading,
    Scene,
    Yardstick,
    Yardsticks,
    scale_end,
)
from nystrom_demo.lessons.yardsticks import yardsticks


def together(case: Case) -> Scene:
    """The product beside the exact matrix, their difference, and the error against m above its floor."""
    m = case.m
    ladder = sorted({*landmark_ladder(case.n), m})
    table = error_against_landmarks(case.inputs, case.head, ladder, case.landmark_settings)
    here = table[table.num_landmarks == m].iloc[0]
    error, best = float(here.frobenius), float(here.best_frobenius)
    readings = (
        Reading("landmarks m", m),
        Reading("error of landmarks", error, ".4f", secret=True),
        Reading("least error of rank m", best, ".4f", secret=True),
    )
    ratio = error / best if best else 1.0
    outcome = "near" if ratio <= 1.25 else "double" if ratio <= 2 else "far"
    facts = {"m": count(m), "error": percent(error), "best": percent(best), "ratio": number(ratio)}
    summary = (
        f"With {count(m)} landmarks the relative error is {percent(error)}; no matrix of that rank has less than "
        f"{percent(best)}."
    )
    chart = error_chart(table, m, ("difference", "best_rank"))
    rows = (product_blocks(case), _comparison(case), (_sticks(case, error),), (chart,))
    return case.scene(rows, readings, summary, outcome, facts)


def _sticks(case: Case, error: float) -> Yardsticks:
    """The landmarks' error beside that of the columns of step 2."""
    C, W_inv, R = kept_columns(case)
    columns = relative_error(C @ W_inv @ R, case.maps.exact)
    own = [Yardstick("kernel_1", "C W⁺ R (step 2)", columns), Yardstick("landmark", "landmarks", error)]
    return yardsticks(case.maps.exact, case.m, own, secret=True)


def _comparison(case: Case) -> tuple[Block, ...]:
    maps, top = case.maps, scale_end(case.maps.exact)
    return (
        Matrix("exact", "exact", "S", maps.exact, (TOKENS, TOKENS), limit=top),
        Matrix("landmark", "landmark", "Ŝ", maps.landmark, (TOKENS, TOKENS), limit=top),
        Matrix("difference", "difference", "Ŝ − S", maps.difference, (TOKENS, TOKENS), "signed", secret=True),
    )


def error_chart(table: pd.DataFrame, mark: int, keys: tuple[str, str]) -> Chart:
    """The error of landmarks and of the best matrix of rank m, whose curves have these keys; after the prediction."""
    landmark, best = keys
    curves = (
        Curve(landmark, "landmark", "landmarks", table.frobenius.tolist()),
        Curve(best, "best_rank", "best of rank m", table.best_frobenius.tolist()),
    )
    ladder = table.num_landmarks.tolist()
    return Chart("error against m", ladder, "landmarks m", "relative error", curves, log_x=True, mark=mark, secret=True)
