"""What was computed before, so that the same question asked again, by whoever, runs no model.

Answers depend on the model, the text and the settings alone, so all visitors share them. They are kept pickled: their
size is known to the byte, and nobody can change what another is given.
"""

import pickle
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


class ResultCache:
    """The results asked for last, within a number of them and of bytes. What raises or is larger alone is not kept.

    A figure's copy holds its arrays as the page gets them, encoded. Two who ask for the same at once both compute it;
    waiting for each other would hold two workers for one result.
    """

    def __init__(self, max_entries: int = 2_000, max_bytes: int = 32 * 2**20):
        self.max_entries, self.max_bytes, self.num_bytes = max_entries, max_bytes, 0
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()  # the one asked for last at the end
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def get_or_compute(self, key: Hashable, compute: Callable[[], T]) -> T:
        """compute(), or a copy of what it gave when it was last asked for under this key."""
        found = self._find(key)
        if found is not None:
            return pickle.loads(found)
        result = compute()
        self._keep(key, result)
        return result

    def replay(self, key: Hashable, steps: Callable[[], Iterator[T]]) -> Iterator[T]:
        """The values of steps(), or copies of them where it ran to its end before."""
        found = self._find(key)
        if found is not None:
            yield from pickle.loads(found)
            return
        made = []
        for step in steps():
            made.append(step)
            yield step
        self._keep(key, made)

    def clear(self) -> None:
        """Everything."""
        with self._lock:
            self._kept.clear()
            self.num_bytes = 0

    def _find(self, key: Hashable) -> bytes | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _keep(self, key: Hashable, result: Any) -> None:
        packed = pickle.dumps(result)
        if len(packed) > self.max_bytes:
            return
        with self._lock:
            self.num_bytes += len(packed) - len(self._kept.pop(key, b""))
            self._kept[key] = packed
            while len(self._kept) > self.max_entries or self.num_bytes > self.max_bytes:
                self.num_bytes -= len(self._kept.popitem(last=False)[1])


def about(model: object, *asked: Any) -> Hashable:
    """The key of what was asked of a model. It does not keep the model, and is never that of another one."""
    return weakref.ref(model), repr(asked)


ANSWERS = ResultCache()
