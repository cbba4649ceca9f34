"""Which picture belongs to which step of the tour."""

from collections.abc import Callable

from nystrom_demo.lessons import derivation, practice
from nystrom_demo.lessons.case import Case
from nystrom_demo.lessons.scene import Scene

PICTURES: dict[str, Callable[[Case], Scene]] = {
    "every_token": derivation.every_token,
    "columns": derivation.columns,
    "landmarks": derivation.landmarks,
    "kernels": derivation.kernels,
    "pseudo_inverse": derivation.pseudo_inverse,
    "together": derivation.together,
    "signs": derivation.signs,
    "padding": practice.padding,
    "convolution": practice.convolution,
    "cost": practice.cost,
    "answers": practice.answers,
    "limits": practice.limits,
}
