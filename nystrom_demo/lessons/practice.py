"""The live pictures of what landmark attention does in a model: padding, the filter, cost, answers, and its limits."""

import re
from collections.abc import Iterator

import torch

from nystrom_demo.analysis import (
    LayerInputs,
    attention_maps,
    collect_layers,
    error_against_landmarks,
    padding_errors,
)
from nystrom_demo.attention import depthwise_convolution, segment_means
from nystrom_demo.benchmark import Measurement, time_attention
from nystrom_demo.config import AttentionSettings
from nystrom_demo.lessons.case import Case
from nystrom_demo.lessons.derivation import CHANNELS, LANDMARKS, TOKENS
from nystrom_demo.lessons.scene import (
    Bars,
    Chart,
    Curve,
    Matrix,
    Reading,
    Scene,
    Sign,
    Words,
    count,
    percent,
    scale_end,
)
from nystrom_demo.tasks.entities import TagReader
from nystrom_demo.tasks.labels import LabelReader
from nystrom_demo.tasks.masked_words import MaskReader
from nystrom_demo.tasks.reading import SweepPoint, sweep

FEW = 4  # landmarks that a text's label is asked about
TIMED_LENGTHS = (64, 256, 1024)  # beside the text's own
TIMED = {"softmax (eager)": "peer", "softmax (SDPA)": "exact", "landmarks": "landmark"}
SYNTHETIC_TOKENS, SYNTHETIC_WIDTH, SEED = 64, 32, 0


def padding(case: Case) -> Scene:
    """The segments of a padded text, cut through the padding or not, and the error against the padding's length."""
    ids = case.ids[:, : max(case.checkpoint.max_tokens // 2, 1)]
    n = ids.shape[1]
    m = min(case.m, n)
    settings = case.landmark_settings._replace(num_landmarks=m)
    lengths = sorted({0, n // 4, n // 2, n})
    table = padding_errors(case.checkpoint.model, ids, case.controls.layer, case.head, lengths, settings)
    pads = round(n * case.controls.padding / 100)
    words, segments = _padded_segments(case, n, pads, m)
    q = _padded_queries(case, ids, pads)
    real = torch.arange(n + pads) < n
    mask = None if case.controls.average_padding else real[None]
    landmarks = segment_means(q[None, None], m, mask)[0][0, 0]
    limit = scale_end(q)
    curves = (
        Curve("mask", "peer", "average padding", table.naive.tolist()),
        Curve("landmark", "landmark", "real tokens only", table.ours.tolist()),
    )
    rows = (
        (Words("mask", "neutral", "segments of the padded text", words, segments, [not x for x in real.tolist()]),),
        (
            Matrix("query", "query", "q, padded", q, ("padded token", CHANNELS), "signed", limit),
            Sign("→"),
            Matrix("landmark", "query", "q̃", landmarks, (LANDMARKS, CHANNELS), "signed", limit),
        ),
        (Chart("output error", lengths, "tokens of padding", "relative error", curves, mark=pads, secret=True),),
    )
    bare, naive, ours = (float(x) for x in (table.ours.iloc[0], table.naive.iloc[-1], table.ours.iloc[-1]))
    readings = (
        Reading("tokens of text", n),
        Reading("tokens of padding in the picture", pads),
        Reading("error without padding", bare, ".4f", secret=True),
        Reading("error padded to twice the length, averaging padding", naive, ".4f", secret=True),
        Reading("error padded to twice the length, real tokens only", ours, ".4f", secret=True),
    )
    outcome = "larger" if naive > 1.1 * bare else "smaller" if naive < 0.9 * bare else "unchanged"
    facts = {
        "error_bare": percent(bare),
        "error_naive": percent(naive),
        "error_ours": percent(ours),
        "padding": count(lengths[-1]),
    }
    summary = (
        f"Padded from {count(n)} to {count(2 * n)} tokens, the output error is {percent(naive)} when landmarks average "
        f"padding and {percent(ours)} when they do not; without padding it is {percent(bare)}."
    )
    return Scene(rows, readings, summary, outcome, facts, case.words[:n], case.segments, case.note)


def convolution(case: Case) -> Scene:
    """The head's filter beside those of the other heads, and the two parts of the head's output."""
    weight = case.checkpoint.model.base_model.encoder.layer[case.controls.layer].attention.self.conv
    if weight is None:
        raise ValueError("This checkpoint has no convolution: its conv_kernel_size is None.")
    weight = weight.weight.detach().float()
    taps = weight[:, 0, :, 0]  # (heads, kernel)
    reach = taps.shape[1] // 2
    offsets = list(range(-reach, reach + 1))
    convolved = depthwise_convolution(case.inputs.v.float(), weight)[0, case.head]
    attended = case.maps.landmark @ case.v
    ratio = float(convolved.norm() / attended.norm())
    largest = int(taps[case.head].abs().argmax())
    limit = max(scale_end(convolved), scale_end(attended))
    rows = (
        (
            Matrix("landmark", "landmark", "Ŝ v", attended, (TOKENS, CHANNELS), "signed", limit, secret=True),
            Sign("+", secret=True),
            Matrix("convolution", "convolution", "u ∗ v", convolved, (TOKENS, CHANNELS), "signed", limit, secret=True),
        ),
        (Bars("convolution", "convolution", "filter u of this head", offsets, "offset r", taps[case.head].tolist()),),
        (Matrix("convolution", "convolution", "all heads' filters", taps, ("head", "offset"), "signed"),),
    )
    readings = (
        Reading("filter's taps", len(offsets)),
        Reading("length of Ŝ v", float(attended.norm()), ".4f", secret=True),
        Reading("length of u ∗ v", float(convolved.norm()), ".4f", secret=True),
        Reading("largest tap", float(taps[case.head, largest]), ".4f"),
        Reading("its offset", offsets[largest]),
    )
    outcome = "small" if ratio < 0.1 else "medium" if ratio <= 1 else "large"
    facts = {
        "conv_ratio": f"{ratio:.2f}",
        "largest_tap": f"{taps[case.head, largest]:.2g}",
        "largest_offset": str(offsets[largest]),
    }
    summary = (
        f"The filter of head {case.head + 1} adds a part {ratio:.2f} times as long as the attention's; its largest "
        f"tap, {taps[case.head, largest]:.2g}, sits at offset {offsets[largest]}."
    )
    return Scene(rows, readings, summary, outcome, facts, case.words, case.segments, case.note)


def cost(case: Case) -> Scene:
    """Multiply-adds of one head by formula, and time and peak memory of the layer's attention as measured here."""
    n, m, d, t = case.n, case.m, case.q.shape[1], case.settings.pinv_iterations
    lengths = sorted({2**i for i in range(4, 15)} | {n})
    exact = [2 * x * x * d for x in lengths]
    core = 4 * t * m**3
    landmark = [4 * x * m * d + 2 * m * m * d + core for x in lengths]
    crossing = (4 * m * d + (16 * m * m * d * d + 8 * d * (2 * m * m * d + core)) ** 0.5) / (4 * d)
    points = list(_measure(case))
    times = {point.method: point for point in points if point.n == n and point.measured}
    if len(times) < len(TIMED):
        raise ValueError("The machine is too busy to time attention just now; try again in a moment.")
    exact_ms, landmark_ms = (1e3 * times[name].best for name in ("softmax (SDPA)", "landmarks"))
    counts = (
        Curve("exact", "exact", "exact", exact),
        Curve("landmark", "landmark", "landmarks", landmark),
        Curve("kernel_2", "kernel_2", "of these, the pseudo-inverse", [core] * len(lengths)),
    )
    rows = (
        (Chart("multiply-adds of one head, counted", lengths, "tokens n", "count", counts, True, True, n),),
        (
            _measured(points, "time of one layer, measured", "ms", lambda p: 1e3 * p.best, n),
            _measured(points, "peak memory, measured", "MB", lambda p: (p.peak_bytes or 0) / 1e6 or None, n),
        ),
    )
    readings = (
        Reading("multiply-adds, exact", 2 * n * n * d),
        Reading("multiply-adds, landmarks", 4 * n * m * d + 2 * m * m * d + core),
        Reading("of these, the pseudo-inverse", core),
        Reading("the counts cross at n", crossing, ".1f"),
        Reading("milliseconds, exact", exact_ms, ".3f", secret=True, measured=True),
        Reading("milliseconds, landmarks", landmark_ms, ".3f", secret=True, measured=True),
    )
    facts = {
        "n": count(n),
        "time_exact": f"{exact_ms:.2f} ms",
        "time_landmark": f"{landmark_ms:.2f} ms",
        "crossing": count(crossing),
    }
    summary = (
        f"At {count(n)} tokens exact attention of one layer took {exact_ms:.2f} ms and landmarks {landmark_ms:.2f} ms "
        f"on this machine; the counts of multiply-adds cross at {count(crossing)} tokens."
    )
    outcome = "exact" if exact_ms < landmark_ms else "landmark"
    return Scene(rows, readings, summary, outcome, facts, case.words, case.segments, case.note)


def answers(case: Case) -> Scene:
    """The probability of three heads' exact answers, under fewer and more landmarks."""
    ladder = sorted({4**i for i in range(5) if 4**i < case.n} | {FEW, case.m})
    heads = {name: list(points) for name, points in _sweeps(case, ladder)}
    charts = tuple(
        Chart(
            f"{name}: {points[0].answer}",
            ladder,
            "landmarks m",
            "probability",
            (
                Curve("exact", "exact", "exact", [points[0].probability] * len(ladder), dashed=True),
                Curve("landmark", "landmark", "landmarks", [point.probability for point in points[1:]]),
            ),
            log_x=True,
            mark=case.m,
            secret=True,
        )
        for name, points in heads.items()
    )
    changes = [
        max(abs(points[1 + i].probability - points[0].probability) for points in heads.values())
        for i in range(len(ladder))
    ]
    change = Chart(
        "largest change of the three",
        ladder,
        "landmarks m",
        "change",
        (Curve("difference", "difference", "change", changes),),
        log_x=True,
        mark=case.m,
        secret=True,
    )
    mood = heads["mood"]
    few = mood[1 + ladder.index(FEW)]
    readings = (
        Reading("mood, exact", mood[0].answer),
        Reading("its probability, exact", mood[0].probability, ".4f"),
        Reading(f"its probability, {FEW} landmarks", few.probability, ".4f", secret=True),
        Reading("its probability, your m", mood[1 + ladder.index(case.m)].probability, ".4f", secret=True),
    )
    facts = {
        "few": str(FEW),
        "label_exact": mood[0].answer,
        "label_few": few.answer,
        "p_exact": f"{mood[0].probability:.4f}",
        "p_few": f"{few.probability:.4f}",
    }
    agreeing = [m for i, m in enumerate(ladder) if all(points[1 + i].agrees for points in heads.values())]
    where = f"m = {', '.join(map(str, agreeing))}" if agreeing else "none of the m tried"
    summary = (
        f"Exact attention calls the mood {mood[0].answer} with probability {mood[0].probability:.4f}; all three task "
        f"heads give their exact answers at {where}."
    )
    outcome = "stays" if few.agrees else "changes"
    return Scene((charts[:2], (*charts[2:], change)), readings, summary, outcome, facts, case.words, (), case.note)


def limits(case: Case) -> Scene:
    """A synthetic pattern, each token looking at one random other, and how landmarks blur it."""
    inputs = lookup_pattern(case.controls.sharpness)
    n = SYNTHETIC_TOKENS
    half = n // 2
    m = min(case.m, n)
    settings = case.settings._replace(implementation="nystrom", num_landmarks=m)
    maps = attention_maps(inputs, 0, settings)
    ladder = sorted({2**i for i in range(7)} | {m, half})
    table = error_against_landmarks(inputs, 0, ladder, settings).set_index("num_landmarks")
    error, best = float(table.frobenius[half]), float(table.best_frobenius[half])
    curves = (
        Curve("landmark", "landmark", "landmarks", table.frobenius.tolist()),
        Curve("exact", "best_rank", "best of rank m", table.best_frobenius.tolist()),
    )
    top = float(maps.exact.max())
    axes = ("synthetic token", CHANNELS)
    square = ("synthetic token", "synthetic token")
    rows = (
        (
            Matrix("query", "query", "q", inputs.q[0, 0], axes, "signed"),
            Matrix("key", "key", "k", inputs.k[0, 0], axes, "signed"),
            Matrix("exact", "exact", "S", maps.exact, square, limit=top),
            Matrix("landmark", "landmark", "Ŝ", maps.landmark, square, limit=top, secret=True),
        ),
        (Chart("error against m", ladder, "landmarks m", "relative error", curves, True, mark=m, secret=True),),
    )
    readings = (
        Reading("synthetic tokens n", n),
        Reading("landmarks in the picture m", m),
        Reading("error in the picture", float(table.frobenius[m]), ".4f", secret=True),
        Reading(f"error, {half} landmarks", error, ".4f", secret=True),
        Reading(f"least error of rank {half}", best, ".4f", secret=True),
    )
    outcome = "small" if error < 0.1 else "medium" if error <= 0.5 else "large" if error <= 1 else "over"
    facts = {"half": str(half), "n": str(n), "error_half": percent(error), "best_half": percent(best)}
    summary = (
        f"On a synthetic pattern of {n} tokens, each looking at one random other, {half} landmarks have a relative "
        f"error of {percent(error)} and the best matrix of rank {half} {percent(best)}."
    )
    return Scene(rows, readings, summary, outcome, facts)


def lookup_pattern(sharpness: float) -> LayerInputs:
    """Synthetic q, k, v of one head where token i's score for one random other token is `sharpness`.

    Keys are random directions of a fixed seed with ‖k‖² = √d, so that the score of q_i = β k_π(i) for its key is β.
    """
    generator = torch.Generator().manual_seed(SEED)
    k = torch.randn(SYNTHETIC_TOKENS, SYNTHETIC_WIDTH, generator=generator)
    k = k / k.norm(dim=1, keepdim=True) * SYNTHETIC_WIDTH**0.25
    v = torch.randn(SYNTHETIC_TOKENS, SYNTHETIC_WIDTH, generator=generator)
    q = sharpness * k[torch.randperm(SYNTHETIC_TOKENS, generator=generator)]
    return LayerInputs(q[None, None], k[None, None], v[None, None])


def _padded_segments(case: Case, n: int, pads: int, m: int) -> tuple[list[str], list[int]]:
    """The words of the padded text and the landmark each is averaged into, -1 for none."""
    words = [*case.words[:n], *[case.checkpoint.tokenizer.pad_token] * pads]
    length = n + pads if case.controls.average_padding else n
    short, extra = divmod(length, m)
    lengths = [short + 1] * extra + [short] * (m - extra)
    segments = [landmark for landmark, size in enumerate(lengths) for _ in range(size)]
    return words, segments + [-1] * (n + pads - length)


def _padded_queries(case: Case, ids: torch.Tensor, pads: int) -> torch.Tensor:
    """The head's queries of the padded text, (n + pads, d), from the model's own pass with its mask."""
    n = ids.shape[1]
    pad = case.checkpoint.model.config.pad_token_id or 0
    padded = torch.cat([ids, ids.new_full((1, pads), pad)], 1)
    attention_mask = (torch.arange(n + pads, device=ids.device) < n)[None]
    inputs = collect_layers(case.checkpoint.model, padded, attention_mask, layers=[case.controls.layer])[0]
    return inputs.q[0, case.head].float().cpu()


def _measure(case: Case) -> Iterator[Measurement]:
    config = case.checkpoint.model.config
    return time_attention(
        sorted({*TIMED_LENGTHS, case.n}),
        num_landmarks=case.m,
        methods=tuple(TIMED),
        heads=config.num_attention_heads,
        head_dim=config.hidden_size // config.num_attention_heads,
        conv_kernel_size=config.conv_kernel_size,
        device=case.checkpoint.device,
        repeats=5,
        budget_seconds=1.0,
    )


def _measured(points: list[Measurement], name: str, unit: str, read, mark: int) -> Chart:
    lengths = sorted({point.n for point in points})
    keys = {"softmax (eager)": "exact", "softmax (SDPA)": "exact", "landmarks": "landmark"}
    labels = {"softmax (eager)": "exact, storing S", "softmax (SDPA)": "exact, fused", "landmarks": "landmarks"}
    curves = []
    for method, role in TIMED.items():
        found = {point.n: read(point) for point in points if point.method == method and point.measured}
        curves.append(Curve(keys[method], role, labels[method], [found.get(n) for n in lengths]))
    return Chart(name, lengths, "tokens n", unit, tuple(curves), True, True, mark, secret=True)


def _sweeps(case: Case, ladder: list[int]) -> Iterator[tuple[str, Iterator[SweepPoint]]]:
    """mood, names and a hidden word of the text, each swept over m."""
    settings: AttentionSettings = case.landmark_settings
    for name, task, reader, text in (
        ("mood", "sequence-classification", LabelReader, case.shown_text),
        ("names", "token-classification", TagReader, case.shown_text),
        ("hidden word", "masked-lm", MaskReader, hide_a_word(case)),
    ):
        checkpoint = case.checkpoints[task]
        yield name, sweep(checkpoint, reader(checkpoint, text), ladder, settings)


def hide_a_word(case: Case) -> str:
    """The text with the longest word of its middle third behind a mask."""
    text = case.shown_text
    words = list(re.finditer(r"\w+", text)) or [re.search(r"\S+", text)]
    middle = words[len(words) // 3 : max(2 * len(words) // 3, len(words) // 3 + 1)]
    word = max(middle, key=lambda match: len(match.group()))
    mask = case.checkpoints["masked-lm"].tokenizer.mask_token
    return text[: word.start()] + mask + text[word.end() :]
