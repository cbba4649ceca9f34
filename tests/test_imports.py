"""Which part of the package may import which: down only, and in no circle."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "nystrom_demo"
# From the ground up. A part imports parts of lower rows; parts of one row know nothing of each other.
ROWS = """
errors pauses shared_weights console formatting attention
approximations masks compat
config
model
heads
interop distributed
checkpoints analysis
tasks benchmark
lessons limits figures
snippets
ui serving
app training
__main__
"""
ROW = {part: row for row, parts in enumerate(ROWS.split("\n")) for part in parts.split()}


def modules() -> dict[str, ast.Module]:
    """Each module of the package, by name."""
    trees = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(("nystrom_demo", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        trees[name] = ast.parse(path.read_text(encoding="utf-8"))
    return trees


TREES = modules()


def imported(nodes) -> set[str]:
    """The modules of the package that these statements import, wherever they stand."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: an import says the whole name"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = inner & TREES.keys()
            names |= modules if modules == inner else {*modules, node.module}
    return {name for name in names if name.partition(".")[0] == "nystrom_demo"}


def part(module: str) -> str:
    """The part that a module is of; "" for the package's top, which re-exports the public names."""
    return module.split(".")[1] if "." in module else ""


def allowed(importer: str, imported: str) -> bool:
    if part(imported) == "":  # all but the command, which says the version, name the part
        return part(importer) == "__main__"
    return part(importer) in ("", part(imported)) or ROW[part(imported)] < ROW[part(importer)]


def test_every_part_has_a_row():
    assert {part(name) for name in TREES} - {""} == ROW.keys()


def test_no_import_points_up_or_sideways():
    pairs = [(name, other) for name, tree in TREES.items() for other in imported(ast.walk(tree))]
    assert len(pairs) > 500
    assert [pair for pair in pairs if not allowed(*pair)] == []
    assert not allowed("nystrom_demo.limits.work", "nystrom_demo.ui.state")
    assert not allowed("nystrom_demo.ui.page", "nystrom_demo.serving.launch")
    assert not allowed("nystrom_demo.ui.page", "nystrom_demo.training.card")


def test_modules_import_each_other_in_no_circle():
    graph = {name: imported(ast.walk(tree)) - {name} for name, tree in TREES.items()}
    assert len(list(TopologicalSorter(graph).static_order())) >= len(TREES)  # CycleError names a circle


def test_the_package_alone_loads_no_page_no_figures_and_no_training():
    script = "import sys, nystrom_demo, nystrom_demo.tasks; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert "nystrom_demo.tasks" in loaded
    assert not loaded & {"gradio", "plotly", "matplotlib", "pandas", "cachetools", "prometheus_client"}
    assert {part(name) for name in loaded if name.startswith("nystrom_demo.")} <= {
        name for name, row in ROW.items() if row <= ROW["tasks"]
    }
