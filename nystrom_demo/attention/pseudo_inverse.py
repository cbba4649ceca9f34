"""The iterative pseudo-inverse of the landmarks' kernel (eq. 14 of the paper that nystrom.py follows)."""

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch

from nystrom_demo.attention.checks import check_iterations

PINV_ITERATIONS = 6


class PinvEstimate(NamedTuple):
    """An estimate z of the pseudo-inverse of a, both (batch, heads, m, m), and how good it is.

    az = a @ z, which the next step needs. residual (batch, heads, 1, 1): ‖I − A Z‖²_F, which no gradient passes.
    """

    z: torch.Tensor
    az: torch.Tensor
    residual: torch.Tensor


def iterative_pinv(
    a: torch.Tensor, num_iterations: int = PINV_ITERATIONS, *, inv_coeff_init_option: bool = False
) -> torch.Tensor:
    """Approximate Moore–Penrose inverse of a (batch, heads, m, m) by Newton-like steps (eq. 14), in float32 or wider.

    Z ← ¼ Z (13 I − A Z (15 I − A Z (7 I − A Z))), from Z₀ = Aᵀ / c. With `inv_coeff_init_option` c = ‖A‖₁ ‖A‖∞ of each
    matrix; without it, transformers' "original", c is the largest of the sample's heads: slower to converge, equally
    safe. Either makes the largest eigenvalue of A Z₀ at most 1, from which the steps converge. No step returns Z₀.

    A step is accepted, each matrix for itself, where it brings ‖I − A Z‖_F down and ‖Z‖₁‖Z‖∞ ‖A‖₁‖A‖∞, at least the
    square of the condition number that Z stands for, stays within 1/ε, ε the dtype's. Without
    rounding every step brings the residual down. But A Z₀ = A Aᵀ/c holds the squares of A's singular values, so those
    below √ε of the largest are rounding, which a step multiplies by up to 13/4 and would invert in the end. A step that
    is not accepted and all after it change nothing.
    """
    if a.dim() != 4 or a.shape[-1] != a.shape[-2]:
        raise ValueError(f"iterative_pinv needs square matrices (batch, heads, m, m), got shape {tuple(a.shape)}.")
    num_iterations = check_iterations(num_iterations)
    with without_autocast(a):  # the steps cancel terms of size 15; half precision drowns them
        a = a.to(accumulator(a.dtype))
        estimate = first_estimate(a, inv_coeff_init_option)
        for _ in range(num_iterations):
            estimate = pinv_step(a, estimate)
        return estimate.z


def first_estimate(a: torch.Tensor, inv_coeff_init_option: bool) -> PinvEstimate:
    """Z₀ = Aᵀ / c of `iterative_pinv`; a is float32 or wider."""
    return _estimate(a, a.mT / _initial_coefficient(a, inv_coeff_init_option))


def pinv_step(a: torch.Tensor, estimate: PinvEstimate) -> PinvEstimate:
    """One step of `iterative_pinv`; the estimate itself for each matrix to which the step does no good."""
    step = _estimate(a, newton_step(estimate.z, estimate.az))
    rounding = torch.finfo(a.dtype).eps
    falls = step.residual < estimate.residual * (1 - rounding)
    bounded = _norms(step.z.detach()) * _norms(a.detach()) <= 1 / rounding
    accepted = falls & bounded[:, :, None, None]
    return PinvEstimate(*(torch.where(accepted, new, old) for new, old in zip(step, estimate, strict=True)))


def newton_step(z: torch.Tensor, az: torch.Tensor) -> torch.Tensor:
    """¼ Z (13 I − A Z (15 I − A Z (7 I − A Z))) of Z and A Z, (batch, heads, m, m), taken whatever it does."""
    shape = z.shape
    z, az = (x.reshape(-1, *shape[-2:]) for x in (z, az))  # (batch * heads, m, m)
    # Each bracket of eq. 14 is one product that adds: baddbmm(x, b, c) gives beta x + alpha b c.
    inner = torch.baddbmm(az, az, az, beta=7, alpha=-1)  # A Z (7 I − A Z)
    outer = torch.baddbmm(az, az, inner, beta=15, alpha=-1)  # A Z (15 I − inner)
    return torch.baddbmm(z, z, outer, beta=13 / 4, alpha=-1 / 4).view(shape)  # ¼ Z (13 I − outer)


def _estimate(a: torch.Tensor, z: torch.Tensor) -> PinvEstimate:
    az = a @ z
    identity = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    residual = (identity - az.detach()).square().sum((-2, -1), keepdim=True)
    return PinvEstimate(z, az, residual)


def _initial_coefficient(a: torch.Tensor, inv_coeff_init_option: bool) -> torch.Tensor:
    """c of Z₀ = Aᵀ/c: (batch, heads, 1, 1), or (batch, 1, 1, 1) for the largest over a sample's heads."""
    c = _norms(a)
    if not inv_coeff_init_option:
        c = c.amax(-1, keepdim=True)
    return c[:, :, None, None]


def _norms(a: torch.Tensor) -> torch.Tensor:
    """‖A‖₁ ‖A‖∞, (batch, heads), at least the square of the largest singular value."""
    columns = a.abs().sum(-2).amax(-1)  # ‖A‖₁
    rows = a.abs().sum(-1).amax(-1)  # ‖A‖∞, 1 for a softmax
    return columns * rows


def accumulator(dtype: torch.dtype) -> torch.dtype:
    """The dtype to sum in: float32 or wider."""
    return torch.promote_types(dtype, torch.float32)


def without_autocast(x: torch.Tensor) -> AbstractContextManager:
    """Suspends autocast on the device of x, where that has one."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()
