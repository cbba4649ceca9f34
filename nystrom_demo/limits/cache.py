"""What was computed before, so that the same question asked again runs no model.

Answers are kept pickled: their size is known to the byte, and nobody can change what another is given. Keys are hashes
of what was asked, so a long text takes no more room than a short one. A text of one's own is kept for its own page
alone, since an answer that comes at once would tell that somebody asked the same; the examples' answers are shared.
"""

import hashlib
import pickle
import threading
import weakref
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

from cachetools import LRUCache

from nystrom_demo.limits.budget import current_visitor

T = TypeVar("T")

MAX_BYTES = 32 * 2**20
ENTRY_BYTES = 1_000  # of a key, its places in the cache's tables, and the objects around both
DIGEST_BYTES = 16


class ResultCache:
    """The results asked for last, within `max_bytes`, keys and tables included. What raises is not kept, nor what is
    larger alone.

    A figure's copy holds its arrays as the page gets them, encoded. Two who ask for the same at once both compute it;
    waiting for each other would hold two workers for one result.
    """

    def __init__(self, max_bytes: int = MAX_BYTES):
        self.max_bytes = max_bytes
        self._kept: LRUCache[Hashable, bytes] = LRUCache(max_bytes, getsizeof=_entry_bytes)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def num_bytes(self) -> int:
        """What is kept takes at most so much."""
        return self._kept.currsize

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
        """Forget everything."""
        with self._lock:
            self._kept.clear()

    def _find(self, key: Hashable) -> bytes | None:
        with self._lock:
            return self._kept.get(key)

    def _keep(self, key: Hashable, result: Any) -> None:
        packed = pickle.dumps(result)
        if _entry_bytes(packed) > self.max_bytes:
            return
        with self._lock:
            self._kept[key] = packed


def about(model: object, *asked: Any, shared: bool = False) -> Hashable:
    """The key of what was asked of a model: this visitor's own, or `shared` by all who ask it. It does not keep the
    model, and is never that of another one."""
    asker = None if shared else current_visitor()
    digest = hashlib.blake2b(repr((asker, asked)).encode(errors="surrogatepass"), digest_size=DIGEST_BYTES).digest()
    return weakref.ref(model), digest


def _entry_bytes(packed: bytes) -> int:
    return len(packed) + ENTRY_BYTES


ANSWERS = ResultCache()
