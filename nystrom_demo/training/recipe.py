"""A training recipe as plain data, read from a file in `recipes/` or from one of the same form."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

RECIPES = Path(__file__).with_name("recipes")
ARCHIVE = RECIPES / "archive"  # those behind the ones of today, from which they go on
COMMON = ARCHIVE / "common.toml"
CPU = "CPU cores"
OWN = ("hardware", "afterwards", "bf16", "million_tokens", "runs", "mean")  # what no recipe takes from another
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
    that the file names otherwise. case: "lower" or "upper" for words in that case. handles: whether a word that begins
    with @ or #, or follows such a sign, may be in an entity. label: of running text, the class that all of it has.
    capitals: put a mark before each word that begins with one. hidden: part of the words that another task than masked
    words sees as [MASK], so that it learns to do without any one of them.
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
    case: str = ""
    handles: bool = True
    label: int | None = None
    capitals: bool = False
    hidden: float = 0.0

    @property
    def files(self) -> tuple[str, ...]:
        return self.statements or (self.file,)


@dataclass(frozen=True)
class TrainingRun:
    """One run by a recipe: its steps, and of how many of them at the end the rate falls.

    seed: its own, None for the recipe's. begin: the recipes whose encoders' weighted mean it began with, "run_1" for an
    earlier run of this one; empty for the encoder that the recipe goes on from. changes: settings of the recipe that
    were otherwise in this run, a table's as "table.setting".
    """

    steps: int
    decay_steps: int
    seed: int | None = None
    begin: dict[str, float] = field(default_factory=dict)
    changes: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run, and how the weights came of several.

    masked: part of words hidden in the masked-word task. dropout: part of the hidden states' values that a training
    step hides. stages: the trained tokens after which each of a source's shares holds, from 0 up. goes_on_from: the
    recipe whose run this one's begins with, empty for the converted base. hardware: what it ran on, for the card. bf16:
    whether products were in bfloat16. million_tokens: of all runs, 0 where none was made. runs: what was run. mean: the
    weights of the mean that came of it, "runs" for that of the runs, other recipes by name; empty for the runs alone.
    afterwards: what cannot be said as data, such as a choice among runs, in sentences for the card.
    """

    goes_on_from: str
    hardware: str
    bf16: bool
    million_tokens: float
    runs: tuple[TrainingRun, ...]
    mean: dict[str, float]
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


def find_recipe(name: str, beside: Path = RECIPES) -> Path:
    """The file of a recipe: one in the folder `beside` or of the package's by its name, or a path."""
    own = (folder / f"{name}.toml" for folder in (beside, RECIPES, ARCHIVE))
    return next((path for path in own if path.is_file()), Path(name))


def read_recipe(path: Path = COMMON, run: int = 1) -> Recipe:
    """The recipe in a TOML file. ValueError for an unknown task, or a source without a share for every stage.

    Settings that the file leaves out are those of the recipe that `as_in` names, or else of the one that it goes on
    from. run: the one of its runs whose seed and changed settings are taken, counted from 1.
    """
    table = _as_run(_read_table(path), run)
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
        bf16=table.get("bf16", False),
        million_tokens=table.get("million_tokens", 0.0),
        runs=tuple(TrainingRun(**row) for row in table.get("runs", ())),
        mean=table.get("mean", {}),
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
    base = _read_table(find_recipe(name, Path(path).parent))
    base = {name: value for name, value in base.items() if name not in OWN}
    settings = {name: base.get(name, {}) | value for name, value in table.items() if isinstance(value, dict)}
    return base | table | settings


def _as_run(table: dict, number: int) -> dict:
    """The table with the seed and the changed settings of one of its runs."""
    runs = table.get("runs", ())
    if not runs:
        return table
    if not 1 <= number <= len(runs):
        raise ValueError(f"run must be from 1 to {len(runs)}, the runs of this recipe, got {number}.")
    chosen = runs[number - 1]
    table = table | {"seed": chosen.get("seed", table["seed"])}
    for name, value in chosen.get("changes", {}).items():
        part, dot, setting = name.partition(".")
        table |= {part: table[part] | {setting: value}} if dot else {part: value}
    return table


def _source(row: dict) -> Source:
    row = row | {"statements": tuple(row.get("statements", ())), "shares": tuple(row["shares"])}
    if "lengths" in row:
        row["lengths"] = _integer_keys(row["lengths"])
    return Source(**row)


def _integer_keys(table: dict[str, float]) -> dict[int, float]:
    """TOML's keys are strings."""
    return {int(key): float(value) for key, value in table.items()}
