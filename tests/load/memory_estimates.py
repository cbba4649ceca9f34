"""How far the memory that the server expects a request to take lies above what it takes, over a grid of shapes.

    PYTHONPATH=. python tests/load/memory_estimates.py [--full]

Prints estimate / measured peak of each case, and the least and the largest; ends with status 1 outside 1 … 1.5. The
peak is counted by torch's allocator (`nystrom_demo.benchmark.measure`). Cases of less than a megabyte are left out.
"""

import argparse
import dataclasses
import itertools
import sys
from collections.abc import Callable, Iterator
from functools import partial

import torch

from nystrom_demo.analysis import attention_maps, collect_layers, singular_values
from nystrom_demo.analysis.lengths import error_against_length, repeated_inputs
from nystrom_demo.benchmark.measure import peak_bytes
from nystrom_demo.benchmark.methods import METHODS, Workload
from nystrom_demo.config import EXACT, AttentionSettings, NystromformerConfig
from nystrom_demo.limits.estimates import (
    encoder_bytes,
    layers_bytes,
    lengths_bytes,
    maps_bytes,
    masks_bytes,
    spectrum_bytes,
    timed_model_bytes,
)
from nystrom_demo.model import NystromformerModel

LOW, HIGH, LEAST_BYTES = 1.0, 1.5, 2**20
CPU = torch.device("cpu")
SHAPES = ((384, 12, 6, "gelu"), (312, 12, 2, "gelu"), (128, 2, 3, "gelu_new"))  # hidden_size, heads, layers, activation
VOCABULARY = 30_522
FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
LONG, FEW = 8, 8  # a long text's windows; tokens of a timed model whose weights are meant

Case = tuple[str, int, Callable[[], object]]


def settings_grid(n: int) -> Iterator[AttentionSettings]:
    yield EXACT
    for m in (8, 64, 256):
        if m < n:
            yield AttentionSettings("nystrom", m)
    if n <= 1024:
        yield AttentionSettings("eager")


def cases(lengths: tuple[int, ...]) -> Iterator[Case]:
    for (hidden, heads, layers, act), n in itertools.product(SHAPES, lengths):
        config = NystromformerConfig(
            vocab_size=1000, hidden_size=hidden, num_attention_heads=heads, num_hidden_layers=layers,
            intermediate_size=4 * hidden, max_position_embeddings=n, hidden_act=act,
        )  # fmt: skip
        model = NystromformerModel(config).eval()
        for batch, settings in itertools.product((1, 3), settings_grid(n)):
            ids = torch.randint(3, 1000, (batch, n))
            name = f"encoder h={hidden} n={n} batch={batch} {settings.implementation} m={settings.num_landmarks}"
            yield (
                name,
                encoder_bytes(config, batch, n, settings),
                partial(model, ids, attention_settings=settings),
            )
        ids = torch.randint(3, 1000, (1, n))
        yield f"layers h={hidden} n={n}", layers_bytes(config, n), partial(collect_layers, model, ids)
        read = collect_layers(model, ids)
        yield f"spectrum n={n}", spectrum_bytes(n), partial(singular_values, read[0], 0)
        for m in (8, 64, n):
            settings = AttentionSettings("nystrom", m)
            yield f"maps n={n} m={m}", maps_bytes(n, m), partial(attention_maps, read[0], 0, settings)
        for m in (8, 64, 256, 1024):
            long, settings = LONG * n, AttentionSettings("nystrom", m)
            call = partial(errors_of_length, model, ids, long, settings)
            yield f"long text h={hidden} n={long} m={m}", lengths_bytes(config, long, m), call
    for masks in (7, 130):
        scores, config = torch.randn(masks, 64), NystromformerConfig(vocab_size=VOCABULARY)
        weight = torch.randn(VOCABULARY, 64)
        yield f"masks {masks}", masks_bytes(config, masks), partial(mask_scores, scores, weight)

    for (hidden, heads, layers, _), (name, dtype) in itertools.product(SHAPES, FORMATS.items()):
        work = Workload(heads=heads, head_dim=hidden // heads, num_layers=layers, dtype=dtype)
        for backward in (False, True):
            estimate = timed_model_bytes(hidden, layers, FEW, backward=backward, itemsize=dtype.itemsize)
            call = partial(make_and_run, dataclasses.replace(work, backward=backward))
            yield f"timed model h={hidden} {name} {'backward' if backward else 'forward'}", estimate, call


def errors_of_length(model: NystromformerModel, ids: torch.Tensor, n: int, settings: AttentionSettings) -> list:
    """What a point of the long texts holds: q, k, v read window by window, then the errors, block of rows by block."""
    read = repeated_inputs(model, ids, 0, n, window=ids.shape[1])
    return list(error_against_length(read, 0, [n], settings, tokens_per_landmark=n / settings.num_landmarks))


@torch.inference_mode(False)
def make_and_run(work: Workload) -> object:
    """A timed model, run on so few tokens that what it holds beside its weights and their gradients is little."""
    return METHODS["landmarks"].prepare(work, FEW)()


def mask_scores(hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """What the masked-word reader holds: logits, their log-softmax, its exponential."""
    scores = (hidden @ weight.T).float().log_softmax(-1)
    return torch.cat([scores]).exp().topk(5).values


def main(lengths: tuple[int, ...]) -> int:
    torch.set_num_threads(1)  # memory does not depend on it, and a busy machine runs one thread sooner
    ratios = {}
    with torch.inference_mode():
        for name, estimate, call in cases(lengths):
            measured = peak_bytes(call, CPU)
            if measured >= LEAST_BYTES:
                ratios[name] = estimate / measured
                print(f"{ratios[name]:5.2f}  {measured / 2**20:8.1f} MB  {name}")
    low, high = min(ratios, key=ratios.get), max(ratios, key=ratios.get)
    print(
        f"estimate / measured peak over {len(ratios)} cases: {ratios[low]:.2f} ({low}) to {ratios[high]:.2f} ({high})"
    )
    return 0 if ratios[low] >= LOW and ratios[high] <= HIGH else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="more and longer texts")
    sys.exit(main((128, 512, 1024, 2048) if parser.parse_args().full else (256, 512)))
