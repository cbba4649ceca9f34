"""A training recipe as plain data, read from a file in `recipes/` or from one of the same form."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

RECIPES = Path(__file__).with_name("recipes")
COMMON = RECIPES / "common.toml"
CPU = "CPU cores"
TASKS = ("masked-lm", "sequence-classification", "token-classification", "question-answering", "multiple-choice")


@dataclass(frozen=True)
class ModelShape:
    """What conversion adds to the base: positions (tokens), convolution taps, and the landmarks used by default."""

    max_position_embeddings: int
    conv_kernel_size: int
    num_landmarks: int


@dataclass(frozen=True)
class Optimiser:
    """AdamW's peak learning rates by parameter group, and the steps it takes to reach them.

    frozen: modules of the encoder whose weights stay as they are.
    """

    encoder_rate: float
    head_rate: float
    convolution_rate: float
    weight_decay: float
    warmup_steps: int
    clip: float
    frozen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Landmarks:
    """How m is drawn for a batch: exact for `exact_steps`, then in `exact_share` of batches, else by `weights`.

    distil: weight of the divergence from the same weights' exact output.
    """

    exact_steps: int
    exact_share: float
    weights: dict[int, float]
    distil: float


@dataclass(frozen=True)
class Source:
    """One file of a task and its part of the plan.

    shares: weight in the trained tokens of each stage. tokens: a batch's size, padding included. max_length: tokens of
    an example. lengths: for masked words, tokens of a piece with their weights. statements: files of questions whose
    right answers are read as plain text. pack: join sentences, or passages, up to max_length. question: ask this of two
    choices in place of the file's own question, with the other choice right. unanswerable: part of the questions that
    are asked of a passage without their answer. cloze: of a file of questions take the passages only, and ask sentences
    of theirs with a name, number or term hidden. kinds: of a tagged file, the recipe's name for each kind of entity
    that the file names otherwise. capitals: put a mark before each word that begins with one. hidden: part of the words
    that another task than masked words sees as [MASK], so that it learns to do without any one of them.
    """

    task: str
    shares: tuple[float, ...]
    tokens: int
    file: str = ""
    statements: tuple[str, ...] = ()
    max_length: int = 512
    lengths: dict[int, float] | None = None
    pack: bool = False
    question: str = ""
    unanswerable: float = 0.0
    cloze: bool = False
    kinds: dict[str, str] | None = None
    capitals: bool = False
    hidden: float = 0.0

    @property
    def files(self) -> tuple[str, ...]:
        return self.statements or (self.file,)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run but its length.

    masked: part of words hidden in the masked-word task. dropout: part of the hidden states' values that a training
    step hides. stages: the trained tokens after which each of a source's shares holds, from 0 up. goes_on_from: the
    recipe whose run this one's begins with, empty for the converted base. hardware: what it ran on, for the card.
    afterwards: how the weights came about where the run alone does not say it, such as a mean or a choice among runs,
    in sentences for the card.
    """

    goes_on_from: str
    hardware: str
    afterwards: str
    seed: int
    masked: float
    dropout: float
    stages: tuple[int, ...]
    model: ModelShape
    optimiser: Optimiser
    landmarks: Landmarks
    labels: dict[str, list[str]]
    sources: tuple[Source, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The heads that the sources train, in the order of TASKS."""
        return tuple(task for task in TASKS if any(source.task == task for source in self.sources))

    @property
    def capitals(self) -> tuple[str, ...]:
        """The heads that read text with capitals marked: those that never train on other text."""
        plain = {source.task for source in self.sources if not source.capitals}
        return tuple(task for task in self.tasks if task not in plain)


def find_recipe(name: str) -> Path:
    """The file of a recipe: one of the package's by its name, or a path."""
    own = RECIPES / f"{name}.toml"
    return own if own.is_file() else Path(name)


def read_recipe(path: Path = COMMON) -> Recipe:
    """The recipe in a TOML file. ValueError for an unknown task, or a source without a share for every stage.

    Settings that the file leaves out are those of a recipe beside it: the one that `as_in` names, or else the one that
    it goes on from.
    """
    table = _read_table(path)
    stages = tuple(table["stages"])
    sources = tuple(_source(row) for row in table["sources"])
    unknown = sorted({source.task for source in sources} - set(TASKS))
    if unknown:
        raise ValueError(f"A recipe's tasks are {', '.join(TASKS)}; {path} names {', '.join(unknown)}.")
    for source in sources:
        if len(source.shares) != len(stages):
            raise ValueError(f"{path} has {len(stages)} stages and {source.files[0]} {len(source.shares)} shares.")
    landmarks = table["landmarks"] | {"weights": _integer_keys(table["landmarks"]["weights"])}
    return Recipe(
        goes_on_from=table.get("goes_on_from", ""),
        hardware=table.get("hardware", CPU),
        afterwards=table.get("afterwards", ""),
        seed=table["seed"],
        masked=table["masked"],
        dropout=table.get("dropout", 0.0),
        stages=stages,
        model=ModelShape(**table["model"]),
        optimiser=Optimiser(**table["optimiser"] | {"frozen": tuple(table["optimiser"].get("frozen", ()))}),
        landmarks=Landmarks(**landmarks),
        labels=table["labels"],
        sources=sources,
    )


def _read_table(path: Path) -> dict:
    table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    name = table.pop("as_in", table.get("goes_on_from"))
    if name is None:
        return table
    base = _read_table(Path(path).with_name(f"{name}.toml"))
    settings = {name: base[name] | value for name, value in table.items() if isinstance(value, dict)}
    return base | {"hardware": CPU, "afterwards": ""} | table | settings


def _source(row: dict) -> Source:
    row = row | {"statements": tuple(row.get("statements", ())), "shares": tuple(row["shares"])}
    if "lengths" in row:
        row["lengths"] = _integer_keys(row["lengths"])
    return Source(**row)


def _integer_keys(table: dict[str, float]) -> dict[int, float]:
    """TOML's keys are strings."""
    return {int(key): float(value) for key, value in table.items()}
