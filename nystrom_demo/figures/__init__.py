"""Figures of attention and its landmark approximation, for the app and for notebooks: results in, pictures out.

    from nystrom_demo import figures
    figures.attention_maps(maps)            # plotly; figures.static.attention_maps(maps) for matplotlib

Each takes what `nystrom_demo.analysis` or `nystrom_demo.benchmark` returned, draws on a transparent ground that reads
on light and dark pages, and carries its one-sentence summary (`figures.summary_of`) and, where it draws curves, its
numbers (`figures.csv_of`). The drawing libraries are loaded when the first figure is asked for.
"""

from importlib import import_module

_HOMES = {
    "answers": ("answer_curve",),
    "approximations": ("error_against_budget", "error_against_cost"),
    "curves": (
        "error_against_landmarks",
        "errors_over_heads",
        "hidden_state_errors",
        "padding_errors",
        "pinv_residuals",
        "singular_values",
    ),
    "growth": ("counted_costs", "timing"),
    "lengths": ("error_against_length",),
    "matrices": ("attention_maps", "factors", "matrix", "mosaic"),
    "style": ("csv_of", "summary_of"),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}
_MODULES = ("roles", "static", "summaries")

__all__ = [*_MODULE_OF, *_MODULES]


def __getattr__(name: str):
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
