"""The paper as functions of tensors: exact attention, landmarks, kernels, their pseudo-inverse and product.

`nystrom` reads in the paper's order; `landmarks`, `pseudo_inverse` and `convolution` hold the parts that it calls;
`checks` says what the inputs must be; `cpu_blocks` goes through long rows in blocks on a CPU.
"""

from nystrom_demo.attention.convolution import DepthwiseConvolution, depthwise_convolution
from nystrom_demo.attention.landmarks import segment_index, segment_means
from nystrom_demo.attention.nystrom import (
    NystromFactors,
    nystrom_attention,
    nystrom_factors,
    softmax_attention,
    softmax_attention_map,
)
from nystrom_demo.attention.pseudo_inverse import PINV_ITERATIONS, iterative_pinv

__all__ = [
    "PINV_ITERATIONS",
    "DepthwiseConvolution",
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
