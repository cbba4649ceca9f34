"""The paper as functions of tensors: exact attention, landmarks, kernels, their pseudo-inverse and product.

`nystrom` reads in the paper's order; `pseudo_inverse` and `convolution` hold the two parts that it calls; `checks` says
what the inputs must be; `cpu_blocks` goes through long rows in blocks on a CPU.
"""

from nystrom_demo.attention.convolution import depthwise_convolution
from nystrom_demo.attention.nystrom import (
    NystromFactors,
    nystrom_attention,
    nystrom_factors,
    segment_index,
    segment_means,
    softmax_attention,
    softmax_attention_map,
)
from nystrom_demo.attention.pseudo_inverse import PINV_ITERATIONS, iterative_pinv

__all__ = [
    "PINV_ITERATIONS",
    "NystromFactors",
    "depthwise_convolution",
    "iterative_pinv",
    "nystrom_attention",
    "nystrom_factors",
    "segment_index",
    "segment_means",
    "softmax_attention",
    "softmax_attention_map",
]
