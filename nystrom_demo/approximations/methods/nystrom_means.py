"""The Nyströmformer's own landmarks: means over consecutive segments. The package's `nystrom_attention` is this."""

import torch

from nystrom_demo.approximations.landmarks import Landmarks, nystrom_methods
from nystrom_demo.attention import segment_means


def find(q: torch.Tensor, k: torch.Tensor, m: int, scale: float, generator: torch.Generator) -> Landmarks:
    return segment_means(q[None], m)[0][0], segment_means(k[None], m)[0][0]


METHODS = nystrom_methods(
    "nystrom",
    "landmarks: segment means",
    "Q̃, K̃ means of m consecutive segments",
    "Xiong et al. 2021, arXiv 2102.03902, section 3.3",
    find,
)
