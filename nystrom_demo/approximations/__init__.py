"""Other ways to approximate the same matrix S = softmax(q kᵀ/√d): one small file a method in `methods`, one registry.

    from nystrom_demo.approximations import APPROXIMATIONS, get
    output = get("favor")(q, k, v, 64, key_padding_mask, seed=0)    # (batch, heads, seq, head_dim)
    matrix = get("favor").map(q, k, v, 64)                          # (batch, heads, seq, seq), for looking at

`method` says what all have in common, `operators` what they make in place of S, `landmarks` what Nyström methods share.
"""

from nystrom_demo.approximations.method import Approximation, Cost
from nystrom_demo.approximations.operators import Operator
from nystrom_demo.approximations.registry import APPROXIMATIONS, get

__all__ = ["APPROXIMATIONS", "Approximation", "Cost", "Operator", "get"]
