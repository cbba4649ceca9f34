"""The one registry: every file in `methods` is loaded, and its METHODS are there by name."""

from importlib import import_module
from pkgutil import iter_modules

from nystrom_demo.approximations import methods
from nystrom_demo.approximations.method import Approximation


def load(package=methods) -> dict[str, Approximation]:
    """The methods of all files in a package, by name. ValueError where two have one name."""
    found: dict[str, Approximation] = {}
    for module in iter_modules(package.__path__, f"{package.__name__}."):
        for method in import_module(module.name).METHODS:
            if method.name in found:
                raise ValueError(f"Two methods are called {method.name!r}; each in METHODS needs a name of its own.")
            found[method.name] = method
    return found


def get(name: str) -> Approximation:
    """The method of this name. ValueError, listing what there is, for another."""
    if name not in APPROXIMATIONS:
        raise ValueError(f"approximation must be one of {', '.join(APPROXIMATIONS)}, got {name!r}.")
    return APPROXIMATIONS[name]


APPROXIMATIONS = load()
