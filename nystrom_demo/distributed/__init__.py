"""Landmark attention over processes that each hold a stretch of the tokens, on torch.distributed (gloo, NCCL).

`stretch` says which tokens a process holds and sums over processes; `attention` is `nystrom_demo.nystrom_attention` of
the whole sequence; `model` makes a Nyströmformer work so; `python -m nystrom_demo.distributed` tries a million tokens.
"""

from nystrom_demo.distributed.attention import distributed_nystrom_attention
from nystrom_demo.distributed.model import average_gradients, distribute
from nystrom_demo.distributed.stretch import Stretch

__all__ = ["Stretch", "average_gradients", "distribute", "distributed_nystrom_attention"]
