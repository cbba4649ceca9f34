"""What attention costs by formula: multiply-adds and stored weights of one head, without a clock."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class HeadCounts:
    """One head of width d over n tokens, exact or with m landmarks and t steps of the pseudo-inverse.

    The softmaxes' exponentials, n² against 2 n m + m² of them, are not counted, nor is the convolution.
    """

    m: int
    d: int
    t: int

    def exact(self, n: int) -> int:
        """Multiply-adds of q kᵀ and of S v."""
        return 2 * n * n * self.d

    def landmarks(self, n: int) -> int:
        """Multiply-adds of the three kernels, of the pseudo-inverse, and of their products with v from the right."""
        return 4 * n * self.m * self.d + 2 * self.m * self.m * self.d + self.pseudo_inverse

    @property
    def pseudo_inverse(self) -> int:
        """Multiply-adds of four products of (m, m) matrices a step, and of one for the first estimate's residual."""
        return (4 * self.t + 1) * self.m**3

    @property
    def crossing(self) -> float:
        """The n at which both are equal: the positive root of 2 d n² − 4 m d n − (2 m² d + (4 t + 1) m³)."""
        linear, constant = 4 * self.m * self.d, self.landmarks(0)
        return (linear + (linear**2 + 8 * self.d * constant) ** 0.5) / (4 * self.d)

    def exact_weights(self, n: int) -> int:
        """Entries of S."""
        return n * n

    def landmark_weights(self, n: int) -> int:
        """Entries of kernel_1, kernel_3 and kernel_2's pseudo-inverse."""
        return 2 * n * self.m + self.m * self.m


def count_costs(
    lengths: Sequence[int], num_landmarks: int = 64, *, head_dim: int = 64, pinv_iterations: int = 6
) -> pd.DataFrame:
    """A row a length: n, multiply_adds and weights of exact attention and of landmarks (`…_exact`, `…_landmarks`)."""
    counts = HeadCounts(num_landmarks, head_dim, pinv_iterations)
    return pd.DataFrame(
        {
            "n": list(lengths),
            "multiply_adds_exact": [counts.exact(n) for n in lengths],
            "multiply_adds_landmarks": [counts.landmarks(n) for n in lengths],
            "weights_exact": [counts.exact_weights(n) for n in lengths],
            "weights_landmarks": [counts.landmark_weights(n) for n in lengths],
        }
    )
