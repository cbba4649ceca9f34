"""Bytes that a request's tensors will hold at their worst moment beside weights and inputs, from shapes alone.

Each estimate is what the code holds, counted by hand, and a quarter more. `tests/load/memory_estimates.py` measures how
far it lies above the truth.
"""

from typing import Any

from nystrom_demo.analysis.blocked import block_rows
from nystrom_demo.approximations import APPROXIMATIONS, Approximation
from nystrom_demo.approximations.hashing import HASH_BITS
from nystrom_demo.approximations.operators import BLOCK as GATHERED
from nystrom_demo.attention.cpu_blocks import block_tokens
from nystrom_demo.config import OTHERS, AttentionSettings
from nystrom_demo.model import GELUS
from nystrom_demo.tasks.masked_words import CHUNK

FLOAT = 4  # what is looked at is float32 whatever the model's dtype
ENCODER_STATES = 2  # the first layer's input, the present layer's input
PSEUDO_INVERSE = 6  # m × m matrices alive in one step of the iteration
ALL_MAPS = 6  # alive at once where all heads' approximations are compared: exact, made, and what they are compared by
WHOLE_MAPS, ROW_BLOCKS = 2.25, 4.25  # alive at once where maps are compared: whole, or block by block
TIMED_VOCABULARY = 1_000  # of `benchmark.methods`
MARGIN = 1.25  # for what torch's kernels take for themselves


def encoder_bytes(config: Any, batch: int, n: int, settings: AttentionSettings, *, itemsize: int = FLOAT) -> int:
    """One forward pass of the encoder on `batch` rows of n tokens: the feed-forward or the attention of its last layer,
    whichever holds more, over the hidden states on the way there."""
    hidden, heads = batch * n * config.hidden_size, config.num_attention_heads
    head_dim = config.hidden_size // heads
    states = ENCODER_STATES * hidden
    wide = batch * n * (config.hidden_dim if config.model_type == "distilbert" else config.intermediate_size)
    in_place = config.model_type == "nystromformer" and config.hidden_act in GELUS
    # Beside its input: the activation's result, which may be written in place, or the way back with its residual.
    feed_forward = hidden + wide + max(0 if in_place else wide, 2 * hidden)
    projections = 3 * hidden
    attention = projections + attention_elements(settings, batch, heads, n, head_dim)
    ids = 6 * batch * n * 8  # int64 ids, types, positions and masks
    return int(MARGIN * (itemsize * (states + max(feed_forward, attention)) + ids))


def attention_elements(settings: AttentionSettings, batch: int, heads: int, n: int, head_dim: int) -> int:
    """Numbers that one attention holds beside its q, k and v."""
    rows = batch * heads
    if settings.implementation in OTHERS:  # a row of the batch after another
        method = APPROXIMATIONS[settings.implementation]
        return 2 * rows * n * head_dim + approximation_elements(method, heads, n, settings.num_landmarks, head_dim)
    m = min(settings.num_landmarks, n) if settings.implementation == "nystrom" else n
    output = 2 * rows * n * head_dim  # of attention, and with the convolution added
    if settings.implementation == "eager":
        return rows * 2 * n * n + output // 2
    if m == n:
        return output
    tokens = block_tokens(heads, m)
    if n >= tokens:  # in blocks, one row at a time: scores and what is read, the convolution added before it is written
        output = output // 2 + 2 * heads * tokens * (m + head_dim)
    landmarks, kernel = rows * m * head_dim, rows * m * m
    read = 4 * landmarks + 2 * kernel + output  # those of q and k, what they gather, times the inverse
    return max(2 * landmarks + PSEUDO_INVERSE * kernel, read)


def approximation_elements(method: Approximation, heads: int, n: int, budget: int, head_dim: int) -> int:
    """Numbers that an approximation holds for one text beside its q, k, v: what stands for S several times over, copies
    and hashes of the tokens, and one block of gathered keys."""
    m = min(budget, n)
    if method.is_exact(n, budget):
        return heads * n * head_dim
    a_head = 7 * method.cost(n, m, head_dim).numbers_held + 8 * n * (head_dim + HASH_BITS)
    return heads * a_head + min(GATHERED, heads * n * m * head_dim)


def approximation_bytes(method: Approximation, heads: int, n: int, budget: int, head_dim: int) -> int:
    """The errors of one layer's heads under an approximation: its own numbers, and the exact and the made maps."""
    maps = ALL_MAPS * heads * n * n
    return int(MARGIN * FLOAT * (maps + approximation_elements(method, heads, n, budget, head_dim)))


def masks_bytes(config: Any, num_masks: int) -> int:
    """The masked-word scores of so many masks, a row of the vocabulary's size each, and twice those made at once."""
    return int(MARGIN * FLOAT * (num_masks + 2 * min(num_masks, CHUNK)) * config.vocab_size)


def layers_bytes(config: Any, n: int, *, itemsize: int = FLOAT) -> int:
    """q, k and v of every layer, kept for the maps, with the exact pass that makes them."""
    kept = 3 * (config.num_hidden_layers - 1) * n * config.hidden_size * itemsize
    exact = AttentionSettings(implementation="sdpa")
    return int(MARGIN * kept) + encoder_bytes(config, 1, n, exact, itemsize=itemsize)


def maps_bytes(n: int, m: int) -> int:
    """The exact and the landmark map of one head, their difference, and the factors."""
    if m >= n:  # the landmark map is the exact one
        return int(MARGIN * FLOAT * 2 * n * n)
    return int(MARGIN * FLOAT * (3 * n * n + 3 * n * m + PSEUDO_INVERSE * m * m))


def spectrum_bytes(n: int) -> int:
    """The singular values of one head's map: the map and a copy to work on."""
    return int(MARGIN * FLOAT * 2 * n * n)


def lengths_bytes(config: Any, n: int, m: int) -> int:
    """The errors of one head at up to n tokens and m landmarks: q, k and v of a layer, and beside them the most of what
    comes in turn. They are put together from windows; the factors of two heads are made, since the second sets the
    pseudo-inverse's first estimate; blocks of rows are compared with the factors at hand. Where m >= n nothing errs."""
    vectors = FLOAT * 3 * n * config.hidden_size
    if m >= n:
        return int(MARGIN * 2 * vectors)
    rows = block_rows(n)
    factors = FLOAT * (7 * n * m + 9 * m * m)
    compared = FLOAT * (5 * n * m + 4 * m * m + (WHOLE_MAPS if rows == n else ROW_BLOCKS) * rows * n)
    return int(MARGIN * (vectors + max(vectors, factors, compared)))


def timed_model_bytes(hidden: int, layers: int, n: int, *, backward: bool, itemsize: int = FLOAT) -> int:
    """The weights of an encoder made to be timed: drawn in float32, then in the chosen format, one with gradients."""
    weights = layers * 12 * hidden * hidden + (TIMED_VOCABULARY + n) * hidden if layers else 0
    return int(MARGIN * weights * max(FLOAT, (2 if backward else 1) * itemsize))
