"""Refuses a request that would not fit, from the shapes of what it asks for, before anything is allocated."""

from collections.abc import Sequence
from typing import Any

from nystrom_demo.approximations import get
from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.errors import UserError
from nystrom_demo.formatting import memory
from nystrom_demo.limits import work
from nystrom_demo.limits.budget import MASKED_WORDS, MASKS, TIMED_NUMBERS, current_limits
from nystrom_demo.limits.estimates import (
    approximation_bytes,
    encoder_bytes,
    layers_bytes,
    lengths_bytes,
    maps_bytes,
    masks_bytes,
    spectrum_bytes,
    timed_model_bytes,
)
from nystrom_demo.limits.validation import check_tokens
from nystrom_demo.limits.work import Work

GB = 2**30
TIMED_CALL_BYTES = 4 * GB


def admit(needed: int, what: str) -> None:
    """Return if the request under way may take `needed` bytes; else a UserError that names both numbers."""
    limit = current_limits().request_bytes
    if limit is not None and needed > limit:
        raise UserError(
            f"{what} would take about {memory(needed)} of memory, and this server allows a request {memory(limit)}.",
            reason="memory",
        )


def admit_work(needed: Work, what: str, *, step: Work | None = None) -> None:
    """Return if a worker may be kept with so much; else a UserError that names both numbers of seconds.

    step: the longest piece of it between two pauses, where it has any. The whole may then take until its deadline.
    """
    limits = current_limits()
    if limits.speed is None:
        return
    _check_seconds(limits.speed.seconds(needed if step is None else step), limits.request_seconds, what)
    if step is not None:
        _check_seconds(limits.speed.seconds(needed), limits.deadline_seconds, what)


def _check_seconds(seconds: float, limit: float | None, what: str) -> None:
    if limit is not None and seconds > limit:
        raise UserError(
            f"{what} would take about {seconds:,.0f} s, and this server allows a request {limit:g} s.", reason="seconds"
        )


def admit_reading(config: Any, num_tokens: int) -> None:
    """Admit the q, k, v of every layer of a text of so many tokens, and the pass that makes them."""
    check_tokens("text", num_tokens, current_limits().text_tokens)
    what = f"Reading {num_tokens:,} tokens in every layer"
    admit(layers_bytes(config, num_tokens), what)
    admit_work(work.layers_work(config, num_tokens), what)


def admit_maps(num_tokens: int, num_landmarks: int) -> None:
    """Admit one head's maps and factors."""
    what = f"The maps of {num_tokens:,} tokens"
    admit(maps_bytes(num_tokens, num_landmarks), what)
    admit_work(work.maps_work(num_tokens, num_landmarks), what)


def admit_heads(config: Any, num_tokens: int, num_landmarks: int) -> None:
    """Admit the errors of every layer and head."""
    one = work.errors_work(num_tokens, num_landmarks, config.hidden_size // config.num_attention_heads)
    what = f"The errors of all heads at {num_tokens:,} tokens"
    admit_work(work.heads_work(config, num_tokens, num_landmarks), what, step=one)


def admit_approximation(name: str, heads: int, num_tokens: int, budget: int, head_dim: int) -> None:
    """Admit the errors of one layer's heads under an approximation. ValueError for a name that there is not."""
    method = get(name)
    needed = approximation_bytes(method, heads, num_tokens, budget, head_dim)
    admit(needed, f"{method.label} at m = {budget:,} on {num_tokens:,} tokens")


def admit_spectrum(num_tokens: int) -> None:
    """Admit the singular values of one head's map."""
    what = f"The singular values of {num_tokens:,} tokens"
    admit(spectrum_bytes(num_tokens), what)
    admit_work(work.spectrum_work(num_tokens), what)


def admit_ladder(config: Any, num_tokens: int, landmarks: Sequence[int]) -> None:
    """Admit one head's errors at each of the numbers of landmarks, beside the best of each rank."""
    admit_spectrum(num_tokens)
    dim = config.hidden_size // config.num_attention_heads
    errors = (work.errors_work(num_tokens, m, dim, spectral=True) for m in landmarks)
    spectrum, what = work.spectrum_work(num_tokens), f"The errors of {num_tokens:,} tokens at every m"
    admit_work(sum(errors, spectrum), what, step=spectrum)


def admit_comparison(config: Any, num_tokens: int, num_landmarks: int) -> None:
    """Admit all numbers of one head: its text read, its maps, their errors, the singular values of the exact one."""
    m = min(num_landmarks, num_tokens)
    admit_reading(config, num_tokens)
    admit_maps(num_tokens, m)
    admit_spectrum(num_tokens)
    parts = (
        work.layers_work(config, num_tokens),
        work.maps_work(num_tokens, m),
        work.errors_work(num_tokens, m, config.hidden_size // config.num_attention_heads, spectral=True),
        work.spectrum_work(num_tokens),
    )
    admit_work(sum(parts, Work()), f"Comparing the maps of {num_tokens:,} tokens", step=parts[-1])


def admit_lengths(config: Any, num_tokens: int, num_landmarks: int, window: int | None = None) -> None:
    """Admit the errors of one head at lengths of up to so many tokens, a length a step."""
    what = f"The errors of {num_tokens:,} tokens"
    admit(lengths_bytes(config, num_tokens, num_landmarks), what)
    total = work.lengths_work(config, num_tokens, num_landmarks, window)
    admit_work(total, what, step=Work() if window is None else work.layers_work(config, window))


def admit_answer(
    config: Any,
    reader: Any,
    settings: AttentionSettings,
    batch_tokens: int,
    *,
    at_once: int = 1,
    with_exact: bool = False,
) -> None:
    """Admit a head's answer: `reader` (of tasks) has the windows to run, `batch_tokens` is the most that one pass
    holds, and so many passes run `at_once`. `with_exact`: the same step answers under exact attention too. A masked
    word costs a row of the vocabulary's size besides."""
    check_tokens("text", getattr(reader, "num_tokens", 0), current_limits().text_tokens)
    num_masks, top_k = len(getattr(reader, "positions", ())), getattr(reader, "top_k", 1)
    _check_masks(num_masks, top_k)
    windows, longest = len(reader.windows), max(map(len, reader.windows), default=1)
    batch = max(1, min(windows, batch_tokens // longest))
    masks = f" and {num_masks:,} masks" if num_masks > 1 else ""
    what = f"Reading {windows:,} window{'s' if windows > 1 else ''} of {longest:,} tokens{masks}"
    admit(at_once * (encoder_bytes(config, batch, longest, settings) + masks_bytes(config, num_masks)), what)
    passes = [settings, EXACT] if with_exact else [settings]
    masked = work.masks_work(config, num_masks, top_k)
    total = sum((work.encoder_work(config, windows, longest, each) + masked for each in passes), Work())
    largest = max((work.encoder_work(config, batch, longest, each) for each in passes), key=lambda each: sum(each))
    admit_work(total, what, step=largest + masked * (batch / windows))


def _check_masks(num_masks: int, top_k: int) -> None:
    if num_masks > MASKS:
        raise UserError(f"text may hold at most {MASKS:,} masks, got {num_masks:,}.")
    if num_masks * top_k > MASKED_WORDS:
        raise UserError(f"masks times top_k must be at most {MASKED_WORDS:,}, got {num_masks:,} times {top_k:,}.")


def admit_timed_model(hidden: int, layers: int, num_tokens: int, *, backward: bool, itemsize: int) -> None:
    """Admit the model that a timing sweep makes; of how far the sweep goes `timed_call_bytes` is the bound."""
    needed = timed_model_bytes(hidden, layers, num_tokens, backward=backward, itemsize=itemsize)
    admit(needed, f"A model of {layers} layers of {hidden:,} numbers a token")


def admit_timing(lengths: Sequence[int], heads: int, head_dim: int, *, batch: int = 1) -> None:
    """Admit the inputs that a sweep over lengths draws anew at each: q, k and v, in single precision at first."""
    numbers = heads * head_dim * batch
    admit(3 * 4 * max(lengths) * numbers, f"The inputs of {max(lengths):,} tokens")
    asked = sum(set(lengths)) * numbers
    if asked > TIMED_NUMBERS:
        times = "heads times head_dim" + (" times batch" if batch > 1 else "")
        raise UserError(f"The sum of lengths times {times} must be at most {TIMED_NUMBERS:,}, got {asked:,}.")


def timed_call_bytes() -> int:
    """What one timed call may hold beside its inputs, which may be three times as large: a quarter of the request's."""
    limit = current_limits().request_bytes
    return TIMED_CALL_BYTES if limit is None else min(limit // 4, TIMED_CALL_BYTES)
