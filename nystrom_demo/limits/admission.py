"""Refuses a request that would not fit, from the shapes of what it asks for, before anything is allocated."""

from typing import Any

from nystrom_demo.config import AttentionSettings
from nystrom_demo.formatting import memory
from nystrom_demo.limits.budget import current_limits
from nystrom_demo.limits.estimates import (
    encoder_bytes,
    layers_bytes,
    lengths_bytes,
    maps_bytes,
    masks_bytes,
    spectrum_bytes,
    timed_model_bytes,
)
from nystrom_demo.limits.validation import Refusal, check_tokens

GB = 2**30
TIMED_CALL_BYTES = 4 * GB


def admit(needed: int, what: str) -> None:
    """Return if the request under way may take `needed` bytes; else a Refusal that names both numbers."""
    limit = current_limits().request_bytes
    if limit is not None and needed > limit:
        raise Refusal(
            f"{what} would take about {memory(needed)} of memory, and this server allows a request {memory(limit)}."
        )


def admit_reading(config: Any, num_tokens: int) -> None:
    """Admit the q, k, v of every layer of a text of so many tokens, and the pass that makes them."""
    check_tokens("text", num_tokens, current_limits().text_tokens)
    admit(layers_bytes(config, num_tokens), f"Reading {num_tokens:,} tokens in every layer")


def admit_maps(num_tokens: int, num_landmarks: int) -> None:
    """Admit one head's maps and factors."""
    admit(maps_bytes(num_tokens, num_landmarks), f"The maps of {num_tokens:,} tokens")


def admit_spectrum(num_tokens: int) -> None:
    """Admit the singular values of one head's map."""
    admit(spectrum_bytes(num_tokens), f"The singular values of {num_tokens:,} tokens")


def admit_lengths(config: Any, num_tokens: int, num_landmarks: int) -> None:
    """Admit the errors of one head at lengths of up to so many tokens."""
    admit(lengths_bytes(config, num_tokens, num_landmarks), f"The errors of {num_tokens:,} tokens")


def admit_answer(config: Any, reader: Any, settings: AttentionSettings, batch_tokens: int, *, at_once: int = 1) -> None:
    """Admit a head's answer: `reader` (of tasks) has the windows to run, `batch_tokens` is the most that one pass
    holds, and so many passes run `at_once`. A masked word costs a row of the vocabulary's size besides."""
    check_tokens("text", getattr(reader, "num_tokens", 0), current_limits().text_tokens)
    longest = max(map(len, reader.windows), default=1)
    batch = max(1, min(len(reader.windows), batch_tokens // longest))
    num_masks = len(getattr(reader, "positions", ()))
    needed = at_once * (encoder_bytes(config, batch, longest, settings) + masks_bytes(config, num_masks))
    masks = f" and {num_masks:,} masks" if num_masks > 1 else ""
    admit(
        needed,
        f"Reading {len(reader.windows):,} window{'s' if len(reader.windows) > 1 else ''} of {longest:,} tokens{masks}",
    )


def admit_timed_model(hidden: int, layers: int, num_tokens: int, *, backward: bool, itemsize: int) -> None:
    """Admit the model that a timing sweep makes; of how far the sweep goes `timed_call_bytes` is the bound."""
    needed = timed_model_bytes(hidden, layers, num_tokens, backward=backward, itemsize=itemsize)
    admit(needed, f"A model of {layers} layers of {hidden:,} numbers a token")


def timed_call_bytes() -> int:
    """What one timed call may hold beside its inputs, which may be three times as large: a quarter of the request's."""
    limit = current_limits().request_bytes
    return TIMED_CALL_BYTES if limit is None else min(limit // 4, TIMED_CALL_BYTES)
