"""Inputs of the attention tests, and landmark attention written out from the paper's formulas."""

import torch

BATCH, HEADS, HEAD_DIM = 2, 3, 5
GRID = [(1, 1), (1, 7), (2, 3), (5, 11), (7, 7), (7, 2), (13, 5), (16, 4), (17, 16), (64, 8)]


def qkv(seq: int, dtype: torch.dtype = torch.float64, batch: int = BATCH, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, batch, HEADS, seq, HEAD_DIM, generator=generator, dtype=torch.float64).to(dtype).unbind(0)


def padded(x: torch.Tensor, left: int, right: int, content: float) -> torch.Tensor:
    batch, heads, _, head_dim = x.shape
    sides = [x.new_full((batch, heads, length, head_dim), content) for length in (left, right)]
    return torch.cat([sides[0], x, sides[1]], dim=2)


def by_the_formula(q, k, v, num_landmarks: int, iterations: int = 6, exact_coefficient: bool = False) -> torch.Tensor:
    """Landmark attention of unpadded rows, written out token by token in float64."""
    q, k, v = (x.double() for x in (q, k, v))
    n, m = q.shape[2], min(num_landmarks, q.shape[2])
    sizes = [n // m + (segment < n % m) for segment in range(m)]
    q_landmarks, k_landmarks = (torch.stack([part.mean(2) for part in x.split(sizes, dim=2)], dim=2) for x in (q, k))
    scale = q.shape[-1] ** -0.5
    kernel_1 = (q @ k_landmarks.mT * scale).softmax(-1)
    kernel_2 = (q_landmarks @ k_landmarks.mT * scale).softmax(-1)
    kernel_3 = (q_landmarks @ k.mT * scale).softmax(-1)
    if n <= num_landmarks:
        return kernel_1 @ v
    c = kernel_2.sum(-2).amax(-1) * kernel_2.sum(-1).amax(-1)
    c = c if exact_coefficient else c.amax(1, keepdim=True)
    z, identity = kernel_2.mT / c[..., None, None], torch.eye(m, dtype=torch.float64)
    for _ in range(iterations):
        az = kernel_2 @ z
        z = z @ (13 * identity - az @ (15 * identity - az @ (7 * identity - az))) / 4
    return kernel_1 @ z @ kernel_3 @ v
