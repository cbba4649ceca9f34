"""How far the seconds that the server expects a request to take lie above those it takes, over a grid of shapes.

    PYTHONPATH=. python tests/load/work_estimates.py [--full]

Prints estimate / measured seconds of each case, and the least and the largest; the aim is 1 … 2. Status 1 outside
0.7 … 3. One thread and its CPU time are taken, so that a busy machine disturbs little. Cases of less than 20 ms are
left out.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch

from nystrom_demo.analysis import collect_layers, compare_attention, head_errors, singular_values
from nystrom_demo.analysis.lengths import error_against_length, repeated_inputs
from nystrom_demo.config import EXACT, AttentionSettings, NystromformerConfig
from nystrom_demo.heads import NystromformerForMaskedLM
from nystrom_demo.limits import work
from nystrom_demo.limits.work import Speed, Work, measure_speed

LOW, HIGH, LEAST_SECONDS = 0.7, 3.0, 0.02
SHAPES = ((384, 12, 6), (312, 12, 2), (768, 12, 2))  # hidden_size, heads, layers

Case = tuple[str, Work, Callable[[], object]]


def cases(lengths: tuple[int, ...]) -> Iterator[Case]:
    for (hidden, heads, layers), n in itertools.product(SHAPES, lengths):
        config = NystromformerConfig(
            vocab_size=30_522, hidden_size=hidden, num_attention_heads=heads, num_hidden_layers=layers,
            intermediate_size=4 * hidden, max_position_embeddings=n, conv_kernel_size=33,
        )  # fmt: skip
        model = NystromformerForMaskedLM(config).eval()
        name, encoder = f"h={hidden} L={layers} n={n}", model.base_model
        for batch, settings in itertools.product((1, 3), (EXACT, *(AttentionSettings("nystrom", m) for m in (8, 64)))):
            ids, said = torch.randint(3, 1000, (batch, n)), f"{settings.implementation} m={settings.num_landmarks}"
            call = partial(encoder, ids, attention_settings=settings)
            yield f"encoder {name} batch={batch} {said}", work.encoder_work(config, batch, n, settings), call
        ids, m = torch.randint(3, 1000, (1, n)), 64
        yield f"layers {name}", work.layers_work(config, n), partial(collect_layers, encoder, ids)
        read, settings = collect_layers(encoder, ids), AttentionSettings("nystrom", m)
        call = partial(head_errors, read, settings, spectral=False)
        yield f"all heads {name}", work.heads_work(config, n, m), call
        yield f"spectrum {name}", work.spectrum_work(n), partial(singular_values, read[0], 0)
        for m in (16, 64):
            compared = work.errors_work(n, m, hidden // heads, spectral=True) + work.spectrum_work(n)
            compared += work.maps_work(n, m)
            yield (
                f"compare {name} m={m}",
                compared,
                partial(compare_attention, read[0], 0, AttentionSettings("nystrom", m)),
            )
        for m in (64, 512):
            long = 8 * n
            call = partial(errors_of_length, encoder, ids, long, m)
            yield f"long text {name} to {long} m={m}", work.lengths_work(config, long, m, n), call
        for masks in (n // 4, n):
            hidden_states = torch.randn(masks, hidden)
            yield f"masks {name} {masks}", work.masks_work(config, masks, 5), partial(scores_of, model, hidden_states)


def errors_of_length(model: torch.nn.Module, ids: torch.Tensor, n: int, m: int) -> list:
    last = model.config.num_hidden_layers - 1
    read = repeated_inputs(model, ids, last, n, window=ids.shape[1])
    return list(error_against_length(read, 0, [n], AttentionSettings("nystrom", m), tokens_per_landmark=n / m))[:1]


def scores_of(model: torch.nn.Module, hidden_states: torch.Tensor) -> object:
    return [model.cls(part).log_softmax(-1).exp().topk(5) for part in hidden_states.split(256)]


def seconds_of(call: Callable[[], object]) -> float:
    """The faster of two runs."""
    seconds = []
    for _ in range(2):
        start = time.thread_time()
        call()
        seconds.append(time.thread_time() - start)
    return min(seconds)


def main(lengths: tuple[int, ...], speed: Speed) -> int:
    ratios = {}
    print("seconds of one: " + ", ".join(f"{name} {value:.2g}" for name, value in speed._asdict().items()))
    with torch.inference_mode():
        for name, expected, call in cases(lengths):
            estimate, measured = speed.seconds(expected), seconds_of(call)
            if measured >= LEAST_SECONDS:
                ratios[name] = estimate / measured
                print(f"{ratios[name]:5.2f}  {measured:7.3f} s  {name}", flush=True)
    low, high = min(ratios, key=ratios.get), max(ratios, key=ratios.get)
    print(f"estimate / measured over {len(ratios)} cases: {ratios[low]:.2f} ({low}) to {ratios[high]:.2f} ({high})")
    return 0 if ratios[low] >= LOW and ratios[high] <= HIGH else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="longer texts")
    torch.set_num_threads(1)
    lengths = (512, 1024, 2048, 4096) if parser.parse_args().full else (256, 1024)
    sys.exit(main(lengths, measure_speed(clock=time.thread_time)))
