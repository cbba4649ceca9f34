"""The iterative pseudo-inverse of the landmarks' kernel (eq. 14 of the paper that nystrom.py follows)."""

import torch

PINV_ITERATIONS = 6


def iterative_pinv(
    a: torch.Tensor, num_iterations: int = PINV_ITERATIONS, *, inv_coeff_init_option: bool = False
) -> torch.Tensor:
    """Approximate Moore–Penrose inverse of a (batch, heads, m, m) by Newton-like steps (eq. 14), in float32 or wider.

    Z ← ¼ Z (13 I − A Z (15 I − A Z (7 I − A Z))), from Z₀ = Aᵀ / c. With `inv_coeff_init_option` c = ‖A‖₁ ‖A‖∞ of each
    matrix; without it, transformers' "original", c is the largest of the sample's heads: slower to converge, equally
    safe. Either makes the largest eigenvalue of A Z₀ at most 1, from which the steps converge. No step returns Z₀.
    """
    if a.dim() != 4 or a.shape[-1] != a.shape[-2]:
        raise ValueError(f"iterative_pinv needs square matrices (batch, heads, m, m), got shape {tuple(a.shape)}.")
    if num_iterations < 0:
        raise ValueError(f"num_iterations must be at least 0, got {num_iterations}.")
    with torch.autocast(a.device.type, enabled=False):  # the steps cancel terms of size 15; half precision drowns them
        a = a.to(accumulator(a.dtype))
        z = a.mT / _initial_coefficient(a, inv_coeff_init_option)
        for _ in range(num_iterations):
            z = pinv_step(a, z)
        return z


def pinv_step(a: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """One step of `iterative_pinv`, from the estimate z of a's pseudo-inverse to the next; both float32 or wider."""
    shape = z.shape
    a, z = a.reshape(-1, *shape[-2:]), z.reshape(-1, *shape[-2:])  # (batch * heads, m, m)
    # Each bracket of eq. 14 is one product that adds: baddbmm(x, b, c) gives beta x + alpha b c.
    az = a @ z
    inner = torch.baddbmm(az, az, az, beta=7, alpha=-1)  # A Z (7 I − A Z)
    outer = torch.baddbmm(az, az, inner, beta=15, alpha=-1)  # A Z (15 I − inner)
    return torch.baddbmm(z, z, outer, beta=13 / 4, alpha=-1 / 4).view(shape)  # ¼ Z (13 I − outer)


def _initial_coefficient(a: torch.Tensor, inv_coeff_init_option: bool) -> torch.Tensor:
    """c of Z₀ = Aᵀ/c: (batch, heads, 1, 1), or (batch, 1, 1, 1) for the largest over a sample's heads."""
    columns = a.abs().sum(-2).amax(-1)  # ‖A‖₁, (batch, heads)
    rows = a.abs().sum(-1).amax(-1)  # ‖A‖∞, 1 for a softmax
    c = columns * rows
    if not inv_coeff_init_option:
        c = c.amax(-1, keepdim=True)
    return c[:, :, None, None]


def accumulator(dtype: torch.dtype) -> torch.dtype:
    """The dtype to sum in: float32 or wider."""
    return torch.promote_types(dtype, torch.float32)
