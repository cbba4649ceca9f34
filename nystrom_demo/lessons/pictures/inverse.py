"""The pseudo-inverse step by step, and what its steps do to the signs and row sums of the weights."""

import torch

from nystrom_demo.analysis import pinv_iterates, pinv_residuals
from nystrom_demo.attention import segment_means, softmax_attention_map
from nystrom_demo.formatting import count, distance, number, percent, weight
from nystrom_demo.lessons.case import Case
from nystrom_demo.lessons.pictures.landmarks import product_blocks
from nystrom_demo.lessons.scene import LANDMARKS, TOKENS, Block, Chart, Curve, Matrix, Reading, Scene, Sign

STEPS = 12
PREDICTED_STEP = 6  # the one whose residuals are compared
EARLY_STEP = 3  # signs and sums are compared from here to STEPS
TIE = 0.02  # residuals that differ by less than this share of the larger are called equal


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
    scales = _first_scales(case)
    facts = {
        "residual_own": number(own[PREDICTED_STEP]),
        "residual_shared": number(shared[PREDICTED_STEP]),
        "c_own": number(scales[case.head]),
        "c_shared": number(max(scales)),
    }
    summary = (
        f"The pseudo-inverse of A, {count(case.m)} by {count(case.m)} with condition number {number(condition)}: after "
        f"{step} steps the residual is {number(own[step])} from the head's own norms and {number(shared[step])} from "
        "the largest of the heads."
    )
    rows = (_estimate_blocks(A, Z, step), (_residual_chart(own, shared, step),))
    return case.scene(rows, readings, summary, _smaller(own[PREDICTED_STEP], shared[PREDICTED_STEP]), facts)


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


def _smaller(own: float, shared: float) -> str:
    if abs(own - shared) <= TIE * max(own, shared):
        return "tie"
    return "own" if own < shared else "shared"


def signs(case: Case) -> Scene:
    """Ŝ with its negative weights, its row sums, and both against the steps of the pseudo-inverse."""
    landmark, steps = case.maps.landmark, case.settings.pinv_iterations
    share, farthest = _share_negative(landmark), _sums_distance(landmark)
    shares, distances = _by_step(case)
    readings = (
        Reading("steps t", steps),
        Reading("share of negative weights", share, ".4f"),
        Reading("lowest weight", float(landmark.min()), ".4f"),
        Reading("largest distance of a row sum from 1", farthest, ".4f"),
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
    F, B = case.factors.kernel_1, case.factors.kernel_3
    exact = case.m == case.n  # then nothing is inverted, whatever the steps
    products = [case.maps.landmark if exact else F @ (Z @ B) for Z in _iterates(case)]
    return [_share_negative(product) for product in products], [_sums_distance(product) for product in products]


def _share_negative(weights: torch.Tensor) -> float:
    return float((weights < 0).float().mean())


def _sums_distance(weights: torch.Tensor) -> float:
    return float((weights.sum(1) - 1).abs().max())


def _signed_blocks(landmark: torch.Tensor) -> tuple[Block, ...]:
    return (
        Matrix("negative", "negative", "Ŝ", landmark, (TOKENS, TOKENS), "signed"),
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


def _first_scales(case: Case) -> list[float]:
    """c of every head: its largest column sum times its largest row sum, which is one."""
    return _all_kernels_2(case).sum(-2).amax(-1).tolist()
