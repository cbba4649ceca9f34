"""One colour per role: what figures, style sheets, scripts and coloured formulas all take their colours from.

`ROLES[name].colour` draws (contrast of at least 3 against white and against a near-black page), `.on_light` and
`.on_dark` write text (at least 4.5 against the pages named below). Matrices have two scales, `SEQUENTIAL` for weights
and `DIVERGING` for signed differences, as stops from low to high.
"""

from typing import NamedTuple

LIGHT_PAGE, DARK_PAGE = "#f4f4f5", "#27272a"  # the darkest light and the lightest dark ground that text stands on


class Role(NamedTuple):
    """One thing that is drawn: what a legend calls it, and its colour as a mark and as text on either page."""

    label: str
    colour: str
    on_light: str
    on_dark: str


ROLES: dict[str, Role] = {
    "exact": Role("exact attention", "#3b82f6", "#306bca", "#4f8ef7"),
    "landmark": Role("landmark attention", "#e0720b", "#aa5708", "#e0720b"),
    "difference": Role("landmark minus exact", "#c14bd1", "#a640b4", "#cb68d8"),
    "kernel_1": Role("kernel_1: tokens over landmarks", "#0f9d94", "#0c7a73", "#19a198"),
    "kernel_2": Role("kernel_2: landmarks over landmarks", "#e0508f", "#b84275", "#e4659c"),
    "kernel_3": Role("kernel_3: landmarks over tokens", "#8b6cf0", "#755bca", "#997ef2"),
    "best_rank": Role("best possible of rank m", "#2f9e44", "#267e36", "#3ba44f"),
    "negative": Role("negative entry", "#ef4444", "#c93939", "#f15e5e"),
    "convolution": Role("convolution of v", "#a8763e", "#906535", "#b48959"),
    "query": Role("queries q", "#2f9bc9", "#247699", "#2f9bc9"),
    "key": Role("keys k", "#b08a00", "#866900", "#b28c05"),
    "value": Role("values v", "#7a9a2e", "#5d7523", "#7a9a2e"),
    "peer": Role("another implementation", "#64748b", "#606f85", "#8693a5"),
    "neutral": Role("", "#8a8a8a", "#6e6e6e", "#8f8f8f"),
}

# The role that each of the benchmark's methods is drawn in.
METHOD_ROLES = {
    "softmax (eager)": "difference",
    "softmax (SDPA)": "exact",
    "transformers default": "best_rank",
    "transformers landmarks": "peer",
    "landmarks": "landmark",
}

# Zero to the largest weight: near-black, violet, orange, pale yellow. Lightness rises throughout, so it reads in grey.
SEQUENTIAL = ("#0d0a1f", "#2f1160", "#661a80", "#a02f77", "#d24c58", "#f27f35", "#fbc04f", "#fcf9c0")
# The most negative to the most positive, white at zero: too little in blue, too much in red-brown.
DIVERGING = ("#0b3c6f", "#2a72b0", "#7fb3d9", "#d3e4f0", "#f7f7f7", "#f8dcc6", "#ee9f6b", "#c8551f", "#7d2606")

# Neighbouring segments of a text must differ; the order repeats.
SEGMENTS = ("#3b82f6", "#e0720b", "#2f9e44", "#c14bd1", "#b08a00", "#0f9d94")


def css_variables() -> str:
    """The colours as CSS custom properties, `--role-kernel-1` for marks and `--role-kernel-1-text` for words.

    Words switch with the `dark` class that gradio puts on the page's body.
    """
    marks, light, dark = [], [], []
    for name, role in ROLES.items():
        prop = "--role-" + name.replace("_", "-")
        marks.append(f"  {prop}: {role.colour};")
        light.append(f"  {prop}-text: {role.on_light};")
        dark.append(f"  {prop}-text: {role.on_dark};")
    segments = [f"  --segment-{i}: {colour};" for i, colour in enumerate(SEGMENTS)]
    lines = [":root {", *marks, *light, *segments, "}", ".dark {", *dark, "}"]
    return "\n".join(lines) + "\n"


def blend(low: str, high: str, share: float) -> str:
    """The colour `share` of the way from `low` to `high`, mixed channel by channel."""
    pairs = zip(_channels(low), _channels(high), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def colour_at(stops: tuple[str, ...], share: float) -> str:
    """The colour at `share` (0 to 1) of a scale whose stops are evenly spaced."""
    place = min(max(share, 0.0), 1.0) * (len(stops) - 1)
    left = min(int(place), len(stops) - 2)
    return blend(stops[left], stops[left + 1], place - left)


def colour_table(stops: tuple[str, ...], size: int = 256) -> list[tuple[int, int, int]]:
    """`size` evenly spaced colours of a scale as (red, green, blue) in 0 … 255, for a canvas."""
    return [_channels(colour_at(stops, i / (size - 1))) for i in range(size)]


def _channels(colour: str) -> tuple[int, int, int]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
