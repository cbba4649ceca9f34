"""Singular values, the largest of them without the matrix, and how far each pseudo-inverse step has come."""

from collections.abc import Callable

import pandas as pd
import torch

from nystrom_demo.analysis.layers import LayerInputs, check_head, landmarks_of
from nystrom_demo.analysis.maps import exact_map, head_factors
from nystrom_demo.attention import segment_means, softmax_attention_map
from nystrom_demo.attention.pseudo_inverse import first_estimate, pinv_step
from nystrom_demo.config import AttentionSettings

PINV_STEPS = 12
_BLOCK = 4  # vectors a step; a few make close singular values no obstacle
_SMALL = 64  # up to this size the whole Gram matrix costs less than the steps


def singular_values(
    layer_inputs: LayerInputs, head: int, settings: AttentionSettings | None = None, *, row: int = 0
) -> pd.DataFrame:
    """Singular values of a head's exact attention, largest first: columns index (from 1), value, share.

    share is the part of ‖S‖²_F that the values up to this one hold. With `settings` there is a column landmark, the
    singular values of the landmark map, of which no more than m are not zero. ValueError for a head that is not there.
    """
    values = torch.linalg.svdvals(exact_map(layer_inputs, head, row=row))
    energy = values.double().square().cumsum(0)
    share = (energy / energy[-1]).tolist()
    table = pd.DataFrame({"index": range(1, len(values) + 1), "value": values.tolist(), "share": share})
    if settings is None:
        return table
    if landmarks_of(settings, len(values)) == len(values):
        return table.assign(landmark=table.value)
    factors = head_factors(layer_inputs, head, settings, row=row)
    # Of the product of (n, m) and (m, n) only the triangles of their QR decompositions matter.
    left, right = (torch.linalg.qr(x, mode="r").R for x in (factors.readers, factors.kernel_3.mT))
    landmark = torch.linalg.svdvals(left @ right.mT)
    return table.assign(landmark=torch.nn.functional.pad(landmark, (0, len(values) - len(landmark))).tolist())


def best_rank_errors(values: torch.Tensor, rank: int) -> tuple[float, float]:
    """Relative Frobenius and spectral error of the best approximation of this rank (Eckart and Young 1936).

    values: all singular values, largest first. ‖S − S_m‖_F/‖S‖_F is the root of the rest's share of the squares, and
    ‖S − S_m‖₂/‖S‖₂ = σ_(m+1)/σ_1. Both zero from the full rank on.
    """
    values = values.double()
    if rank >= len(values):
        return 0.0, 0.0
    frobenius = values[rank:].norm() / values.norm()
    return float(frobenius), float(values[rank] / values[0])


def largest_singular_value(
    gram: Callable[[torch.Tensor], torch.Tensor],
    heads: int,
    size: int,
    *,
    device: torch.device | str = "cpu",
    tolerance: float = 1e-4,
    max_steps: int = 24,
) -> torch.Tensor:
    """The largest singular value of each of `heads` matrices A, (heads,), seen only through `gram(x)` = Aᵀ A x.

    x is (heads, size, block). Block Lanczos with full orthogonalisation and Rayleigh–Ritz from a fixed start: the
    value grows towards the true one from below, and the steps end when σ² grows by less than `tolerance` of itself.
    """
    if size <= _SMALL:
        identity = torch.eye(size, device=device).expand(heads, size, size)
        return torch.linalg.eigvalsh(_symmetric(gram(identity)))[:, -1].clamp(min=0).sqrt()
    start = torch.randn(size, _BLOCK, generator=torch.Generator().manual_seed(0)).to(device)
    basis = torch.linalg.qr(start).Q.expand(heads, size, _BLOCK)
    newest, images, value = basis, basis[..., :0], torch.zeros(heads, device=device)
    for _ in range(min(max_steps, size // _BLOCK)):
        image = gram(newest)  # (heads, size, block)
        images = torch.cat([images, image], -1)
        before, value = value, torch.linalg.eigvalsh(_symmetric(basis.mT @ images))[:, -1]
        if bool((value - before <= tolerance * value).all()):
            break
        newest = _orthogonal_to(basis, _orthogonal_to(basis, image))  # twice, since once loses digits
        basis = torch.cat([basis, newest], -1)
    return value.clamp(min=0).sqrt()


def pinv_iterates(
    kernel_2: torch.Tensor, head: int, *, inv_coeff_init_option: bool, steps: int = PINV_STEPS
) -> torch.Tensor:
    """The pseudo-inverse of a head's kernel_2 after 0 … `steps` steps, (steps + 1, m, m).

    kernel_2: (heads, m, m) of all heads, since the first estimate may share its divisor between them.
    """
    a = kernel_2[None]
    estimates = [first_estimate(a, inv_coeff_init_option)]
    for _ in range(steps):
        estimates.append(pinv_step(a, estimates[-1]))
    return torch.stack([estimate.z[0, head] for estimate in estimates])


def pinv_residuals(
    layer_inputs: LayerInputs, head: int, settings: AttentionSettings, *, steps: int = PINV_STEPS, row: int = 0
) -> pd.DataFrame:
    """How far the iterative pseudo-inverse Z of a head's kernel_2 A is from one, after each step.

    Columns: step; first_estimate, "own norms" (inv_coeff_init_option true), "largest of the heads" (false) or
    "torch.linalg.pinv", which takes no steps and stands at each; residual ‖A Z A − A‖_F/‖A‖_F; identity_residual
    ‖A Z − I‖_F/√m; condition, the condition number of A.
    ValueError for a head that is not there.
    """
    check_head(layer_inputs, head)
    text = layer_inputs.text(row)
    m = landmarks_of(settings, text.num_tokens)
    kernel_2 = head_pair_kernel_2(text, head, m)
    a = kernel_2[0]
    methods = {
        "largest of the heads": pinv_iterates(kernel_2, 0, inv_coeff_init_option=False, steps=steps),
        "own norms": pinv_iterates(kernel_2, 0, inv_coeff_init_option=True, steps=steps),
        "torch.linalg.pinv": torch.linalg.pinv(a).expand(steps + 1, m, m),
    }
    identity = torch.eye(m, device=a.device)
    tables = []
    for name, z in methods.items():
        residual = torch.linalg.matrix_norm(a @ z @ a - a) / torch.linalg.matrix_norm(a)
        identity_residual = torch.linalg.matrix_norm(a @ z - identity) / m**0.5
        columns = {"residual": residual.tolist(), "identity_residual": identity_residual.tolist()}
        tables.append(pd.DataFrame({"step": range(steps + 1), "first_estimate": name, **columns}))
    return pd.concat(tables, ignore_index=True).assign(condition=float(torch.linalg.cond(a)))


def head_pair_kernel_2(text: LayerInputs, head: int, m: int) -> torch.Tensor:
    """kernel_2 of a head and of the head with the largest ‖kernel_2‖₁, (2, m, m).

    These two give the pseudo-inverse of the head that all heads together would, whichever the first estimate.
    """
    q_landmarks, k_landmarks = (segment_means(x, m)[0] for x in (text.q, text.k))
    kernel_2 = softmax_attention_map(q_landmarks, k_landmarks, scale=text.scale)[0]  # (heads, m, m)
    return kernel_2[[head, int(kernel_2.sum(-2).amax(-1).argmax())]]


def _symmetric(a: torch.Tensor) -> torch.Tensor:
    return (a + a.mT) / 2


def _orthogonal_to(basis: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """An orthonormal basis of x's columns less their part in `basis`."""
    return torch.linalg.qr(x - basis @ (basis.mT @ x)).Q
