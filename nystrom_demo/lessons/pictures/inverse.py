"""The pseudo-inverse step by step, and what its steps do to the signs and row sums of the weights."""

import torch

from nystrom_demo.analysis import best_rank_errors, pinv_iterates, pinv_residuals
from nystrom_demo.attention import segment_means, softmax_attention_map
from nystrom_demo.formatting import count, distance, number, percent, weight
from nystrom_demo.lessons.case import Case, relative_error
from nystrom_demo.lessons.pictures.landmarks import product_blocks
from nystrom_demo.lessons.scene import LANDMARKS, TOKENS, Block, Chart, Curve, Matrix, Reading, Scene, Sign, scale_end
from nystrom_demo.lessons.yardsticks import uniform_error

STEPS = 12
PREDICTED_STEP = 6  # errors are compared from here to STEPS
EARLY_STEP = 3  # signs and sums are compared from here to STEPS
TIE = 0.1  # an error that moves by no more than this share of itself is said to stay


def pseudo_inverse(case: Case) -> Scene:
    """A, the estimate of its pseudo-inverse after some steps, their product, and both first estimates' residuals."""
    step = case.controls.step
    table = pinv_residuals(case.inputs, case.head, case.landmark_settings, steps=STEPS)
    own, shared = (
        table[table.first_estimate == name].residual.tolist() for name in ("own norms", "largest of the heads")
    )
    condition = float(table.condition.iloc[0])
    A, Z = _all_kernels_2(case)[case.head], _iterates(case)[step]
    readings = (
        Reading("condition number of A", condition, ".4g"),
        Reading("largest number in Z, without its sign", float(Z.abs().max()), ".4g"),
        Reading("residual at this step, own norms", own[step], ".3e", secret=True),
        Reading("residual at this step, largest of the heads", shared[step], ".3e", secret=True),
    )
    errors = [relative_error(product, case.maps.exact) for product in _products(case)]
    chosen = own if case.settings.inv_coeff_init_option else shared
    facts = {
        "error_early": percent(errors[PREDICTED_STEP]),
        "error_late": percent(errors[STEPS]),
        "residual_early": number(chosen[PREDICTED_STEP]),
        "residual_late": number(chosen[STEPS]),
    }
    summary = (
        f"The pseudo-inverse of A, {count(case.m)} by {count(case.m)} with condition number {number(condition)}: after "
        f"{step} steps the residual is {number(own[step])} from the head's own norms and {number(shared[step])} from "
        f"the largest of the heads, and the error of Ŝ to S {percent(errors[step])}."
    )
    rows = (_estimate_blocks(A, Z, step), (_residual_chart(own, shared, step), _error_chart(case, errors, step)))
    return case.scene(rows, readings, summary, _moved(errors[PREDICTED_STEP], errors[STEPS]), facts)


def _estimate_blocks(A: torch.Tensor, Z: torch.Tensor, step: int) -> tuple[Block, ...]:
    return (
        Matrix("kernel_2", "kernel_2", "A", A, (LANDMARKS, LANDMARKS)),
        Matrix("estimate", "landmark", f"Z after {step}", Z, (LANDMARKS, LANDMARKS), "signed"),
        Sign("→"),
        Matrix("product", "neutral", "A Z", A @ Z, (LANDMARKS, LANDMARKS), "signed", limit=1.0),
    )


def _residual_chart(own: list[float], shared: list[float], step: int) -> Chart:
    curves = (
        Curve("scale", "best_rank", "c of own norms", own),
        Curve("scale", "peer", "c the largest of the heads", shared),
    )
    name = "residual ‖A Z A − A‖ / ‖A‖"
    return Chart(name, range(STEPS + 1), "steps t", "residual", curves, log_y=True, mark=step, secret=True)


def _error_chart(case: Case, errors: list[float], step: int) -> Chart:
    uniform = [uniform_error(case.maps.exact)] * (STEPS + 1)
    best = [best_rank_errors(torch.linalg.svdvals(case.maps.exact), case.m)[0]] * (STEPS + 1)
    curves = (
        Curve("estimate", "landmark", "Ŝ = F Z B", errors),
        Curve("", "neutral", "all zeros", [1.0] * (STEPS + 1), dashed=True),
        Curve("", "peer", "every weight 1/n", uniform, dashed=True),
        Curve("", "best_rank", f"best of rank {case.m}", best, dashed=True),
    )
    return Chart("error relative to S", range(STEPS + 1), "steps t", "error", curves, mark=step, secret=True)


def _moved(early: float, late: float) -> str:
    """Whether the error fell, rose, or stayed within a tenth."""
    if abs(late - early) <= TIE * early:
        return "same"
    return "smaller" if late < early else "larger"


def signs(case: Case) -> Scene:
    """Ŝ with its negative weights, its row sums, and both against the steps of the pseudo-inverse."""
    landmark, steps = case.maps.landmark, case.settings.pinv_iterations
    share, farthest = _share_negative(landmark), _sums_distance(landmark)
    shares, distances = _by_step(case)
    readings = (
        Reading("steps t", steps),
        Reading("share of negative weights", share, ".4f", secret=True),
        Reading("lowest weight", float(landmark.min()), ".4f"),
        Reading("largest distance of a row sum from 1", farthest, ".4f", secret=True),
    )
    fewer, closer = (values[STEPS] < 0.5 * values[EARLY_STEP] for values in (shares, distances))
    outcome = {(True, True): "both", (True, False): "negatives", (False, True): "sums"}.get((fewer, closer), "neither")
    facts = {
        "negative_early": percent(shares[EARLY_STEP]),
        "negative_late": percent(shares[STEPS]),
        "sums_early": distance(distances[EARLY_STEP]),
        "sums_late": distance(distances[STEPS]),
    }
    summary = (
        f"{percent(share)} of the landmark weights are negative, the lowest {weight(landmark.min())}; the row "
        f"sum farthest from one is {distance(farthest)} away."
    )
    rows = (product_blocks(case), _signed_blocks(landmark), (_steps_chart(shares, distances, min(steps, STEPS)),))
    return case.scene(rows, readings, summary, outcome, facts)


def _by_step(case: Case) -> tuple[list[float], list[float]]:
    """Share of negative weights and largest distance of a row sum from one, after 0 … STEPS steps."""
    products = _products(case)
    return [_share_negative(product) for product in products], [_sums_distance(product) for product in products]


def _products(case: Case) -> list[torch.Tensor]:
    """Ŝ after 0 … STEPS steps."""
    F, B = case.factors.kernel_1, case.factors.kernel_3
    exact = case.m == case.n  # then nothing is inverted, whatever the steps
    return [case.maps.landmark if exact else F @ (Z @ B) for Z in _iterates(case)]


def _share_negative(weights: torch.Tensor) -> float:
    return float((weights < 0).float().mean())


def _sums_distance(weights: torch.Tensor) -> float:
    return float((weights.sum(1) - 1).abs().max())


def _signed_blocks(landmark: torch.Tensor) -> tuple[Block, ...]:
    """Ŝ on a scale that ends with its negative weights, of each cell the lowest entry, so that no blue one drowns."""
    negative = landmark[landmark < 0]
    limit = scale_end(negative) if len(negative) else None
    return (
        Matrix("negative", "negative", "Ŝ", landmark, (TOKENS, TOKENS), "signed", limit, pooling="lowest"),
        Matrix("sums", "best_rank", "row sums − 1", landmark.sum(1, keepdim=True) - 1, (TOKENS, "sum"), "signed"),
    )


def _steps_chart(shares: list[float], distances: list[float], mark: int) -> Chart:
    curves = (
        Curve("negative", "negative", "share of negative weights", shares),
        Curve("sums", "best_rank", "largest distance of a row sum from 1", distances),
    )
    name = "against the steps of the pseudo-inverse"
    return Chart(name, range(STEPS + 1), "steps t", "share or distance", curves, mark=mark, secret=True)


def _iterates(case: Case) -> list[torch.Tensor]:
    """Z after 0 … STEPS steps, each (m, m), from the first estimate that the reader chose."""
    option = case.settings.inv_coeff_init_option
    return list(pinv_iterates(_all_kernels_2(case), case.head, inv_coeff_init_option=option))


def _all_kernels_2(case: Case) -> torch.Tensor:
    """kernel_2 of every head of the layer, (heads, m, m)."""
    q_landmarks, k_landmarks = (segment_means(x.float(), case.m)[0] for x in (case.inputs.q, case.inputs.k))
    return softmax_attention_map(q_landmarks, k_landmarks)[0]
