"""Which tokens a process holds, and the exchanges between processes that landmark attention is made of.

Stretches follow one another in the order of ranks, may differ in length, and hold at least one token each. Gradients
flow through the exchanges, so that every process must call backward, too; what it adds up is the gradient of the sum of
the processes' losses.
"""

from typing import NamedTuple

import torch
import torch.distributed as dist
from torch.distributed._functional_collectives import all_reduce, all_to_all_single
from torch.distributed.device_mesh import DeviceMesh


class Stretch(NamedTuple):
    """This process's stretch, and what of the others' it must know; the same for all layers of a pass.

    lengths: each process's number of tokens. mask: (batch, seq) of this stretch, or None where no process has padding.
    before, count: (batch, 1), real tokens of each row in the stretches before this one, and in all.
    fewest: the least of count.
    """

    group: dist.ProcessGroup
    rank: int
    lengths: tuple[int, ...]
    mask: torch.Tensor | None
    before: torch.Tensor
    count: torch.Tensor
    fewest: int

    @classmethod
    def gather(cls, mesh: DeviceMesh, mask: torch.Tensor) -> "Stretch":
        """This process's stretch from its mask (batch, seq), true at real tokens; every process of the mesh calls it.

        ValueError, on all processes alike, for a mesh of several dimensions, batches of different sizes, a process
        without a token, or a row without a real one.
        """
        if mesh.ndim != 1:
            raise ValueError(f"mesh must have one dimension, over the sequence, got {mesh.ndim}: give a submesh.")
        group, rank = mesh.get_group(), mesh.get_local_rank()
        batches, lengths = _all(torch.tensor(mask.shape, device=mask.device), group).T.tolist()
        if len(set(batches)) > 1 or min(lengths) < 1:
            raise ValueError(
                f"Each process needs the same batch and at least one token, got batches {batches}, lengths {lengths}."
            )
        counts = _all(mask.sum(-1), group)  # (processes, batch)
        of_rows = counts.sum(0).tolist()
        if 0 in of_rows:
            raise ValueError(f"The mask needs at least one real token a row, got none in row {of_rows.index(0)}.")
        fewest = min(of_rows)
        return cls(
            group,
            rank,
            tuple(lengths),
            mask if fewest < sum(lengths) else None,
            counts[:rank].sum(0)[:, None],
            counts.sum(0)[:, None],
            fewest,
        )

    @property
    def seq(self) -> int:
        """Tokens of this stretch."""
        return self.lengths[self.rank]

    @property
    def total(self) -> int:
        """Tokens of all stretches, padding included."""
        return sum(self.lengths)

    def places(self) -> torch.Tensor:
        """(batch, seq): each token's place among its row's real tokens, over all stretches."""
        if self.mask is not None:
            return self.before + self.mask.cumsum(-1) - 1
        return self.before + torch.arange(self.seq, device=self.before.device)

    def sum(self, x: torch.Tensor) -> torch.Tensor:
        """The sum of all processes' x, of one shape."""
        return _checked(all_reduce(x.contiguous(), "sum", self.group), x)

    def largest(self, x: torch.Tensor) -> torch.Tensor:
        """The largest of all processes' x, entry by entry; no gradient."""
        return all_reduce(x.detach().contiguous(), "max", self.group)

    def neighbours(self, x: torch.Tensor, reach: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Up to `reach` tokens on either side of this stretch, from as many processes as hold them.

        x (seq, …) is this stretch's; returns (tokens before, …) and (tokens after, …).
        """
        processes = range(len(self.lengths))
        wanted = [self._overlap(sender, self.rank, reach) for sender in processes]
        given = [self._overlap(self.rank, receiver, reach) for receiver in processes]
        sent = torch.cat([x[places] for places in given])
        sizes = [[places.stop - places.start for places in slices] for slices in (wanted, given)]
        received = _checked(all_to_all_single(sent, *sizes, self.group), sent)
        before = sum(sizes[0][: self.rank])
        return received[:before], received[before:]

    def _overlap(self, sender: int, receiver: int, reach: int) -> slice:
        """Which of the sender's tokens, counted in its stretch, lie within `reach` of the receiver's stretch."""
        if sender == receiver:
            return slice(0, 0)
        length = self.lengths[sender]
        between = sum(self.lengths[min(sender, receiver) + 1 : max(sender, receiver)])
        count = max(0, min(length, reach - between))
        return slice(length - count, length) if sender < receiver else slice(0, count)


def _checked(received: torch.Tensor, sent: torch.Tensor) -> torch.Tensor:
    if sent.requires_grad and torch.is_grad_enabled() and not received.requires_grad:
        raise RuntimeError(f"The functional collectives of torch {torch.__version__} have no gradients; 2.13's have.")
    return received


def _all(x: torch.Tensor, group: dist.ProcessGroup) -> torch.Tensor:
    """(processes, *x.shape): every process's x."""
    gathered = [torch.empty_like(x) for _ in range(dist.get_world_size(group))]
    dist.all_gather(gathered, x, group=group)
    return torch.stack(gathered)
