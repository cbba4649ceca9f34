"""A long sequence through one attention layer, on processes of this machine: `python -m nystrom_demo.distributed`.

Each process makes its own random stretch, runs a layer of random weights (projections, attention, convolution, output)
without gradients, and says how long it took and the most memory that the process held, torch's own code included.
Memory is what is to be seen: processes of one machine share its cores.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.distributed.device_mesh import init_device_mesh

from nystrom_demo.config import NystromformerConfig
from nystrom_demo.console import count
from nystrom_demo.distributed.attention import distributed_nystrom_attention
from nystrom_demo.distributed.stretch import Stretch
from nystrom_demo.model import NystromformerAttention

MB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m nystrom_demo.distributed", description=__doc__.split("\n")[0])
    parser.add_argument("--tokens", type=count, default=1_000_000, help="in all (default 1,000,000)")
    parser.add_argument("--processes", type=count, default=4)
    parser.add_argument("--width", type=count, default=256, help="hidden size; heads have 64 channels (default 256)")
    parser.add_argument("--landmarks", type=count, default=64)
    arguments = parser.parse_args()
    if arguments.width < 64 or arguments.width % 64:
        parser.error(f"--width must be a multiple of 64, got {arguments.width}")
    if not 1 <= arguments.processes <= arguments.tokens:
        parser.error(f"--processes must be between 1 and --tokens, got {arguments.processes}")
    print(f"{arguments.tokens:,} tokens, width {arguments.width}, {arguments.landmarks} landmarks, float32")
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(run_layer, (Path(folder) / "meeting", arguments), nprocs=arguments.processes)


def run_layer(rank: int, meeting: Path, arguments: argparse.Namespace) -> None:
    processes = arguments.processes
    torch.set_num_threads(max(1, torch.get_num_threads() // processes))
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=processes)
    mesh = init_device_mesh("cpu", (processes,))
    torch.manual_seed(0)  # the same weights everywhere
    layer = NystromformerAttention(layer_config(arguments)).eval()
    torch.manual_seed(rank)
    seq = arguments.tokens // processes + (rank < arguments.tokens % processes)
    tokens = torch.randn(1, seq, arguments.width)
    before = peak_bytes()
    dist.barrier()
    start = time.perf_counter()
    output = run_attention(
        layer, tokens, Stretch.gather(mesh, torch.ones(1, seq, dtype=torch.bool)), arguments.landmarks
    )
    seconds = time.perf_counter() - start
    assert output.isfinite().all()
    print(
        f"process {rank}: {seq:,} tokens, {tokens.nbytes / MB:,.0f} MB of them, {seconds:,.1f} s, "
        f"peak {peak_bytes() / MB:,.0f} MB, {before / MB:,.0f} MB before the layer",
        flush=True,
    )
    dist.barrier()
    dist.destroy_process_group()


@torch.no_grad()
def run_attention(
    layer: NystromformerAttention, tokens: torch.Tensor, stretch: Stretch, num_landmarks: int
) -> torch.Tensor:
    """The layer's output at this process's tokens, (1, seq, width)."""
    q, k, v = layer.self.project(tokens)
    context = distributed_nystrom_attention(q, k, v, num_landmarks, stretch, conv_weight=layer.self.conv.weight)
    del q, k, v
    return layer.output(context.transpose(1, 2).flatten(2), tokens)


def layer_config(arguments: argparse.Namespace) -> NystromformerConfig:
    heads = arguments.width // 64
    return NystromformerConfig(
        hidden_size=arguments.width, num_attention_heads=heads, num_landmarks=arguments.landmarks
    )


def peak_bytes() -> int:
    """The most memory that this process has held resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
