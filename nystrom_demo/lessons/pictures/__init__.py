"""The live pictures of the tour, a module a subject, and which picture belongs to which step."""

from collections.abc import Callable

from nystrom_demo.lessons.case import Case
from nystrom_demo.lessons.pictures import (
    answers,
    convolution,
    cost,
    exact,
    inverse,
    landmarks,
    lookup,
    padding,
    product,
)
from nystrom_demo.lessons.scene import Scene

PICTURES: dict[str, Callable[[Case], Scene]] = {
    "every_token": exact.every_token,
    "columns": exact.columns,
    "landmarks": landmarks.landmarks,
    "kernels": landmarks.kernels,
    "pseudo_inverse": inverse.pseudo_inverse,
    "together": product.together,
    "signs": inverse.signs,
    "padding": padding.padding,
    "convolution": convolution.convolution,
    "cost": cost.cost,
    "answers": answers.answers,
    "limits": lookup.limits,
}

__all__ = ["PICTURES"]
