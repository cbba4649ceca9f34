"""The checkpoints that a server offers: loaded once for everybody, within a bound, refused in one sentence."""

import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from nystrom_demo.checkpoints import BUNDLED, TASKS, CheckpointError, Library, library
from nystrom_demo.checkpoints.library import Key
from nystrom_demo.tasks import fill_mask

MASKED = "the [MASK] sat"


@pytest.fixture(scope="module")
def folder(tiny_checkpoints, tmp_path_factory) -> Path:
    """A checkpoint with a masked-word head, in one folder of a root."""
    root = tmp_path_factory.mktemp("root")
    tiny_checkpoints["masked-lm"].model.save_pretrained(root / "mine")
    tiny_checkpoints["masked-lm"].tokenizer.save_pretrained(root / "mine")
    return root / "mine"


@pytest.fixture
def root(folder, tmp_path) -> Path:
    """A root of three folders, "a", "b" and "c", to spoil."""
    for name in "abc":
        shutil.copytree(folder, tmp_path / "root" / name)
    return tmp_path / "root"


@pytest.fixture
def offered(tiny_checkpoints, root) -> Library:
    return Library(tiny_checkpoints.boxes, root=root)


def size_of(checkpoint) -> int:
    return checkpoint.model.get_memory_footprint()


def test_as_a_mapping_it_is_the_bundled_checkpoints(tiny_checkpoints):
    assert tuple(tiny_checkpoints) == TASKS
    assert len(tiny_checkpoints) == len(TASKS)
    for task in TASKS:
        assert tiny_checkpoints.load(BUNDLED, task) is tiny_checkpoints[task]
        assert tiny_checkpoints.load(BUNDLED, task, "cpu") is tiny_checkpoints[task]
    assert tiny_checkpoints.kept == []


def test_a_folder_serves_every_task_and_says_which_heads_are_new(offered, tiny_checkpoints):
    checkpoint = offered.load("a", "masked-lm")
    assert (checkpoint.name, checkpoint.source, checkpoint.new_head) == ("a", "./a", False)
    # Weights that are mapped from a file lie at other addresses, where the same products may round otherwise.
    (found,), (wanted,) = (fill_mask(each, MASKED).masks for each in (checkpoint, tiny_checkpoints["masked-lm"]))
    assert [word.token for word in found.candidates] == [word.token for word in wanted.candidates]
    assert [w.score for w in found.candidates] == pytest.approx([w.score for w in wanted.candidates], rel=1e-5)
    assert offered.load("a", "token-classification").new_head
    assert offered.kept == [Key("a", "masked-lm", "cpu"), Key("a", "token-classification", "cpu")]


def test_folders_with_a_configuration_are_offered(offered, root):
    (root / "empty").mkdir()
    shutil.copytree(root / "a", root / BUNDLED)  # the name of the box
    assert offered.folders() == ["a", "b", "c"]
    assert Library(offered.boxes).folders() == []
    assert Library(offered.boxes, root=root / "none").folders() == []


def test_many_who_ask_at_once_load_once(offered, monkeypatch):
    loads, meet = [], threading.Barrier(6)
    load = library.load_vetted

    def counted(*args, **options):
        loads.append(args)
        return load(*args, **options)

    def ask(_):
        meet.wait()
        return offered.load("a", "masked-lm")

    monkeypatch.setattr(library, "load_vetted", counted)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(ask, range(6)))
    assert len(loads) == 1
    assert all(checkpoint is found[0] for checkpoint in found)


def test_what_is_kept_stays_within_the_bound_and_the_one_asked_for_longest_ago_goes(offered):
    size = size_of(offered.load("a", "masked-lm"))
    offered.max_bytes = 2 * size + size // 2
    offered.load("b", "masked-lm")
    first = offered.load("a", "masked-lm")
    offered.load("c", "masked-lm")
    assert [key.source for key in offered.kept] == ["a", "c"]
    assert offered.load("a", "masked-lm") is first
    again = offered.load("b", "masked-lm")  # which was forgotten
    assert [key.source for key in offered.kept] == ["a", "b"]
    assert again.name == "b"


def test_one_larger_than_the_bound_is_refused_and_nothing_is_forgotten(offered):
    kept = offered.load("a", "masked-lm")
    offered.max_bytes = size_of(kept) - 1
    with pytest.raises(CheckpointError, match=r"^The checkpoint would take [\d.]+ [KM]iB of memory, and this server"):
        offered.load("b", "masked-lm")
    assert offered.load("a", "masked-lm") is kept


def test_a_refused_load_leaves_all_others_as_they_were(offered, root):
    before = offered.load("a", "masked-lm")
    said = fill_mask(before, MASKED)
    (root / "b" / "model.safetensors").write_bytes(b"x" * 100)
    for _ in range(2):  # a refusal is not kept
        with pytest.raises(CheckpointError, match=r"^model\.safetensors is not a whole safetensors file\.$"):
            offered.load("b", "masked-lm")
    assert offered.load("a", "masked-lm") is before
    assert fill_mask(before, MASKED) == said
    assert [key.source for key in offered.kept] == ["a"]


@pytest.mark.parametrize(
    ("hub", "source", "said"),
    [
        (False, "d", "'d' is not among the checkpoints here."),
        (False, "someone/else", "'someone/else' is not among the checkpoints here."),
        (False, "../root/a", "'../root/a' is not among the checkpoints here."),
        (False, "masked-lm", "'masked-lm' is not among the checkpoints here."),
        (False, "é" * 200, "is not among the checkpoints here."),
        (True, "/etc", "A checkpoint on the Hub has an id such as owner/name, got '/etc'."),
        (True, "a\0b", "A checkpoint on the Hub has an id such as owner/name, got 'a\\x00b'."),
    ],
)
def test_what_is_not_offered_is_refused(hub, source, said, tiny_checkpoints, root):
    offered = Library(tiny_checkpoints.boxes, root=root, hub=hub)
    with pytest.raises(CheckpointError, match=re.escape(said)):
        offered.load(source, "masked-lm")


def test_a_folder_outside_the_root_is_never_loaded(tiny_checkpoints, root, folder, monkeypatch):
    (root / "link").symlink_to(folder)
    offered = Library(tiny_checkpoints.boxes, root=root)
    with pytest.raises(CheckpointError, match="'link' is not in the folder of checkpoints"):
        offered.load("link", "masked-lm")
    # nor does a Hub id name a folder of the directory that the server runs in
    monkeypatch.chdir(root.parent)
    asked = []
    monkeypatch.setattr(library, "fetch", lambda source: asked.append(source) or (root / "a", root / "a"))
    Library(tiny_checkpoints.boxes, hub=True).load("root/b", "masked-lm")
    assert asked == ["root/b"]


def test_a_device_that_is_not_there_is_refused(tiny_checkpoints):
    with pytest.raises(CheckpointError, match=r"^device must be one of cpu, got 'cuda'\.$"):
        tiny_checkpoints.load(BUNDLED, "masked-lm", "cuda")


def test_a_second_device_has_its_own_checkpoints(tiny_checkpoints, root):
    other = dict(tiny_checkpoints.boxes["cpu"])
    both = Library({"cpu": tiny_checkpoints.boxes["cpu"], "other": other}, root=root)
    assert both.devices == ["cpu", "other"]
    assert both.load("a", "masked-lm").device == torch.device("cpu")
    assert both.load("a", "masked-lm", "other") is not both.load("a", "masked-lm", "cpu")
    assert [key.device for key in both.kept] == ["other", "cpu"]
