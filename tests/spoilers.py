"""What can be wrong with a checkpoint folder: each function here gives one that spoils a good folder in one way."""

import base64
import json
import os
import pickle
import shutil
import struct
from pathlib import Path

from safetensors.torch import load_file, save_file

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
QUERY = "nystromformer.encoder.layer.0.attention.self.query.weight"


def edit(name: str, change):
    """A spoiler that changes the object in a JSON file of the folder."""

    def spoil(folder: Path) -> None:
        table = json.loads((folder / name).read_text())
        change(table)
        (folder / name).write_text(json.dumps(table))

    return spoil


def config(**values):
    return edit("config.json", lambda table: table.update(values))


def tokenizer(**values):
    return edit("tokenizer.json", lambda table: table.update(values))


def wordpiece(**values):
    return edit("tokenizer.json", lambda table: table["model"].update(values))


def write(name: str, content: bytes | str):
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data)


def remove(name: str):
    return lambda folder: (folder / name).unlink()


def weights(change):
    def spoil(folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        change(tensors)
        save_file(tensors, folder / WEIGHTS)

    return spoil


def header(change):
    """A spoiler that changes the header of the weights file and leaves its tensors' bytes."""

    def spoil(folder: Path) -> None:
        data = (folder / WEIGHTS).read_bytes()
        length = struct.unpack("<Q", data[:8])[0]
        table = json.loads(data[8 : 8 + length])
        change(table)
        text = json.dumps(table).encode()
        (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])

    return spoil


def shift(name: str, bytes_by: int):
    def change(table) -> None:
        table[name]["data_offsets"] = [place + bytes_by for place in table[name]["data_offsets"]]

    return header(change)


def resize_file(by: int):
    def spoil(folder: Path) -> None:
        os.truncate(folder / WEIGHTS, (folder / WEIGHTS).stat().st_size + by)

    return spoil


def shards(change=lambda index: None, names=("a.safetensors", "b.safetensors")):
    """A spoiler that splits the weights over two files with an index, then changes the index."""

    def spoil(folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        (folder / WEIGHTS).unlink()
        places = {name: names[number % 2] for number, name in enumerate(tensors)}
        for shard in names:
            save_file({name: tensors[name] for name, place in places.items() if place == shard}, folder / shard)
        index = {"metadata": {"total_size": 0}, "weight_map": places}
        change(index)
        (folder / INDEX).write_text(json.dumps(index))

    return spoil


def moved(name: str):
    """The first weight of the index is said to lie in the file `name`."""

    def change(index) -> None:
        index["weight_map"][next(iter(index["weight_map"]))] = name

    return shards(change)


def link(name: str, target: str):
    """A spoiler that moves a file out of the folder and links to where it went."""

    def spoil(folder: Path) -> None:
        outside = folder.parent / target
        shutil.move(folder / name, outside)
        (folder / name).symlink_to(outside)

    return spoil


def chain(*spoilers):
    def spoil(folder: Path) -> None:
        for spoiler in spoilers:
            spoiler(folder)

    return spoil


class Canary:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: str):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def pickled(name: str):
    def spoil(folder: Path) -> None:
        (folder / WEIGHTS).unlink()
        (folder / name).write_bytes(pickle.dumps(Canary(str(folder.parent / "canary"))))

    return spoil


def code(key: str, name: str):
    """A spoiler that brings Python code and asks for it in `name`."""

    def spoil(folder: Path) -> None:
        (folder / "own.py").write_text(f"open({str(folder.parent / 'canary')!r}, 'w')\n")
        edit(name, lambda table: table.update({key: {"AutoConfig": "own.C", "AutoTokenizer": ["own.T", None]}}))(folder)

    return spoil


CHARSMAP = base64.b64encode(struct.pack("<I", 4) + bytes(4) + b"x" * 100_000 + b"\0").decode()
REGEX = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
SPECIAL = {"SpecialToken": {"id": "[SEP]", "type_id": 0}}
SEQUENCES = [{"Sequence": {"id": name, "type_id": 0}} for name in "AB"]
FLOOD = {
    "type": "TemplateProcessing",
    "single": SEQUENCES[:1],
    "pair": [*SEQUENCES, *[SPECIAL] * 1000],
    "special_tokens": {"[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}},
}
ABSENT = {**FLOOD, "pair": [*SEQUENCES, SPECIAL], "special_tokens": {}}


def replacement(content: str, pattern: dict) -> dict:
    return {"type": "Replace", "pattern": pattern, "content": content}


def added_tokens(content: str, count: int = 1) -> list[dict]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    return [{"id": 5, "content": content, **flags}] * count


def framed(ids: int = 3, type_id: int = 0) -> dict:
    """A template with one special token behind one text and two."""
    special = {"SpecialToken": {"id": "[SEP]", "type_id": type_id}}
    tokens = {"[SEP]": {"id": "[SEP]", "ids": [ids], "tokens": ["[SEP]"]}}
    return {
        "type": "TemplateProcessing",
        "single": [SEQUENCES[0], special],
        "pair": [*SEQUENCES, special],
        "special_tokens": tokens,
    }


def pieces(*lengths: int) -> dict:
    """A Unigram model of a, aa, aaa, …, so long, of which each place of a text may begin any."""
    specials = [[name, 0.0] for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")]
    return {"type": "Unigram", "unk_id": 1, "vocab": specials + [["a" * n, -1.0] for n in lengths]}


def forget_unknown(table: dict) -> None:
    table["model"]["unk_token"] = "[NONE]"


def resize_words(tensors: dict, before: int, after: int) -> None:
    """Give the tables of the vocabulary's words another length."""
    for name, tensor in list(tensors.items()):
        if tensor.shape[:1] == (before,):
            tensors[name] = tensor.new_zeros(after, *tensor.shape[1:])


TWICE = b'{"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "x": {"dtype": "F32"}}'
LARGE = {"SpecialToken": {"id": "[LARGE]", "type_id": 0}}
LARGE_IDS = framed()["special_tokens"] | {"[LARGE]": {"id": "[LARGE]", "ids": [10**6], "tokens": ["[LARGE]"]}}
