"""The checkpoints that a server offers: the bundled ones, folders under one root, repositories of the Hub."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

from nystrom_demo.checkpoints.files import CheckpointError, show
from nystrom_demo.checkpoints.hub import fetch, is_hub_id
from nystrom_demo.checkpoints.loading import Checkpoint, check_task, find_folder, load_vetted
from nystrom_demo.checkpoints.pickles import as_safetensors
from nystrom_demo.formatting import memory

BUNDLED = "bundled"


class Key(NamedTuple):
    source: str
    task: str
    device: str


class Library(Mapping[str, Checkpoint]):
    """All visitors' checkpoints. As a mapping: the bundled ones by task, on the first device.

    boxes: the bundled checkpoints by task, for each device. root: a folder whose own folders may be asked for. hub:
    whether Hub ids may. pickles: whether weights that are only there as pytorch_model.bin are read. max_bytes: what all
    loaded checkpoints may take together beside the bundled ones; the one that was asked for longest ago goes first.
    What a handler still works with stays until it is done.
    """

    def __init__(
        self,
        boxes: Mapping[str, Mapping[str, Checkpoint]],
        *,
        root: str | Path | None = None,
        hub: bool = False,
        pickles: bool = False,
        max_bytes: int = 4 * 2**30,
    ):
        self.boxes = {device: dict(box) for device, box in boxes.items()}
        self.root = Path(root).resolve() if root else None
        self.hub = hub
        self.pickles = pickles
        self.max_bytes = max_bytes
        self._kept: OrderedDict[Key, Checkpoint] = OrderedDict()  # the one asked for last at the end
        self._lock = threading.Lock()
        self._building = threading.Lock()  # one at a time, so that what is kept and what is built stay within the bound

    def __getitem__(self, task: str) -> Checkpoint:
        return next(iter(self.boxes.values()))[task]

    def __iter__(self) -> Iterator[str]:
        return iter(next(iter(self.boxes.values())))

    def __len__(self) -> int:
        return len(next(iter(self.boxes.values())))

    @property
    def devices(self) -> list[str]:
        """The kinds of device to run on, the first one the default."""
        return list(self.boxes)

    @property
    def kept(self) -> list[Key]:
        """What is loaded beside the bundled checkpoints, the one asked for longest ago first."""
        with self._lock:
            return list(self._kept)

    def folders(self) -> list[str]:
        """Names of the folders under the root that hold a config.json."""
        if self.root is None or not self.root.is_dir():
            return []
        return sorted(path.parent.name for path in self.root.glob("*/config.json") if path.parent.name != BUNDLED)

    def offers(self, source: str) -> bool:
        """Whether a visitor may ask for `source`; loading may still find a reason to refuse it."""
        return source == BUNDLED or source in self.folders() or (self.hub and is_hub_id(source))

    def load(self, source: str, task: str, device: str | None = None) -> Checkpoint:
        """The checkpoint of `source` ("bundled", a folder under the root, a Hub id) under the head for `task`.

        Loaded once, whoever asks and however many at once. CheckpointError says in one sentence why one is refused.
        """
        check_task(task)
        key = Key(source, task, self.devices[0] if device is None else device)
        if key.device not in self.boxes:
            raise CheckpointError(f"device must be one of {', '.join(self.boxes)}, got {show(device)}.")
        if source == BUNDLED:
            return self.boxes[key.device][task]
        checkpoint = self._find(key)
        if checkpoint is None:
            folder, within = self._locate(source)  # may take minutes, so others may build meanwhile
            with self._building:
                checkpoint = self._find(key) or self._build(key, folder, within)
        return checkpoint

    def _find(self, key: Key) -> Checkpoint | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _locate(self, source: str) -> tuple[Path, Path]:
        """(folder, folder within which its links lead) of what a visitor asks for."""
        if source in self.folders():  # so that no path is ever made of a visitor's text
            folder = find_folder(source, self.root)
            return folder, folder
        if not self.hub:
            raise CheckpointError(f"{show(source)} is not among the checkpoints here.")
        if not is_hub_id(source):
            raise CheckpointError(f"A checkpoint on the Hub has an id such as owner/name, got {show(source)}.")
        return fetch(source, pickles=True) if self.pickles else fetch(source)

    def _build(self, key: Key, folder: Path, within: Path) -> Checkpoint:
        device = next(iter(self.boxes[key.device].values())).device  # cuda:1 where the bundled ones are there
        # A folder is told as a path from the root, so that its name is taken for no Hub id and no bundled checkpoint.
        source = f"./{key.source}" if folder == within else key.source
        with as_safetensors(folder, within) if self.pickles else nullcontext((folder, within)) as vetted:
            checkpoint = load_vetted(*vetted, key.task, source, device=device, admit=self._make_room)
        with self._lock:
            self._kept[key] = checkpoint
        return checkpoint

    def _make_room(self, needed: int) -> None:
        """Forget checkpoints until so many bytes more stay within the bound. CheckpointError where they never would."""
        if needed > self.max_bytes:
            sizes = f"{memory(needed)} of memory, and this server allows {memory(self.max_bytes)}"
            raise CheckpointError(f"The checkpoint would take {sizes}.")
        with self._lock:
            while self._kept and sum(map(_size, self._kept.values())) + needed > self.max_bytes:
                self._kept.popitem(last=False)


def _size(checkpoint: Checkpoint) -> int:
    return checkpoint.model.get_memory_footprint()
