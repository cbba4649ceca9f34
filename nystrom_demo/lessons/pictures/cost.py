"""What attention costs: multiply-adds by formula, time and peak memory as measured on this machine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nystrom_demo.benchmark import HeadCounts, Measurement, time_attention
from nystrom_demo.errors import UserError
from nystrom_demo.formatting import count, duration
from nystrom_demo.lessons.case import Case
from nystrom_demo.lessons.scene import Chart, Curve, Reading, Scene

COUNTED_LENGTHS = tuple(2**i for i in range(4, 15))  # both here beside the text's own
TIMED_LENGTHS = (64, 256, 1024)


@dataclass(frozen=True)
class _Timed:
    """How a method that is timed is shown: the formula's term it belongs to, its colour, its name."""

    key: str
    role: str
    label: str


TIMED = {
    "softmax (eager)": _Timed("exact", "peer", "exact, storing S"),
    "softmax (SDPA)": _Timed("exact", "exact", "exact, fused"),
    "landmarks": _Timed("landmark", "landmark", "landmarks"),
}


def cost(case: Case) -> Scene:
    """Multiply-adds of one head by formula, and time and peak memory of the layer's attention as measured here."""
    n, counted = case.n, HeadCounts(case.m, case.q.shape[1], case.settings.pinv_iterations)
    points = _measure(case)
    exact_ms, landmark_ms = (_milliseconds(points, method, n) for method in ("softmax (SDPA)", "landmarks"))
    readings = (
        Reading("multiply-adds, exact", counted.exact(n)),
        Reading("multiply-adds, landmarks", counted.landmarks(n)),
        Reading("of these, the pseudo-inverse", counted.pseudo_inverse),
        Reading("the counts cross at n", counted.crossing, ".1f"),
        Reading("milliseconds, exact", exact_ms, ".3f", secret=True, measured=True),
        Reading("milliseconds, landmarks", landmark_ms, ".3f", secret=True, measured=True),
    )
    facts = {
        "n": count(n),
        "time_exact": duration(exact_ms / 1e3),
        "time_landmark": duration(landmark_ms / 1e3),
        "crossing": count(counted.crossing),
        "faster": _where_less(points, lambda point: point.best),
        "leaner": _where_less(points, lambda point: point.peak_bytes),
    }
    summary = (
        f"At {count(n)} tokens exact attention of one layer took {facts['time_exact']} and landmarks "
        f"{facts['time_landmark']} on this machine; of the lengths timed landmarks were faster at {facts['faster']}. "
        f"The counts of multiply-adds cross at {count(counted.crossing)} tokens."
    )
    measured = (
        _measured(points, "time of one layer, measured", "ms", lambda point: 1e3 * point.best, n),
        _measured(points, "peak memory, measured", "MB", lambda point: (point.peak_bytes or 0) / 1e6 or None, n),
    )
    outcome = "exact" if exact_ms < landmark_ms else "landmark"
    return case.scene(((_counts_chart(counted, n),), measured), readings, summary, outcome, facts)


def _counts_chart(counted: HeadCounts, n: int) -> Chart:
    lengths = sorted({*COUNTED_LENGTHS, n})
    curves = (
        Curve("exact", "exact", "exact", [counted.exact(x) for x in lengths]),
        Curve("landmark", "landmark", "landmarks", [counted.landmarks(x) for x in lengths]),
        Curve("kernel_2", "kernel_2", "of these, the pseudo-inverse", [counted.pseudo_inverse] * len(lengths)),
    )
    return Chart("multiply-adds of one head, counted", lengths, "tokens n", "count", curves, True, True, n)


def _measure(case: Case) -> list[Measurement]:
    config = case.checkpoint.model.config
    points = time_attention(
        sorted({*TIMED_LENGTHS, case.n}),
        num_landmarks=case.m,
        methods=tuple(TIMED),
        heads=config.num_attention_heads,
        head_dim=config.hidden_size // config.num_attention_heads,
        conv_kernel_size=getattr(config, "conv_kernel_size", None),
        device=case.checkpoint.device,
        repeats=5,
        budget_seconds=1.0,
        budget_bytes=case.budget_bytes,
    )
    return list(points)


def _milliseconds(points: Sequence[Measurement], method: str, n: int) -> float:
    """The method's best time at n tokens. ValueError where it could not be measured."""
    for point in points:
        if point.method == method and point.n == n and point.measured:
            return 1e3 * point.best
    raise UserError(
        f"One run at {n:,} tokens takes more time or memory than this machine has for it just now; try again later."
    )


def _where_less(points: Sequence[Measurement], read: Callable[[Measurement], float | None]) -> str:
    """The measured lengths at which landmarks took less of what `read` reads than fused exact attention."""
    taken = {(point.method, point.n): read(point) for point in points if point.measured}
    pairs = [(n, taken.get(("landmarks", n)), taken.get(("softmax (SDPA)", n))) for n in sorted({n for _, n in taken})]
    known = [(n, ours, exact) for n, ours, exact in pairs if ours is not None and exact is not None]
    if not known:
        return "none that could be measured"
    less = [count(n) for n, ours, exact in known if ours < exact]
    return f"{', '.join(less)} tokens" if less else "none"


def _measured(
    points: Sequence[Measurement], name: str, unit: str, read: Callable[[Measurement], float | None], mark: int
) -> Chart:
    lengths = sorted({point.n for point in points})
    curves = []
    for method, shown in TIMED.items():
        found = {point.n: read(point) for point in points if point.method == method and point.measured}
        curves.append(Curve(shown.key, shown.role, shown.label, [found.get(n) for n in lengths]))
    return Chart(name, lengths, "tokens n", unit, tuple(curves), True, True, mark, secret=True)
