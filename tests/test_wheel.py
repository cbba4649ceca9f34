"""The package as a wheel holds it, used from another folder than a checkout."""

import os
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PathDistribution
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import nystrom_demo

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "nystrom_demo"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
USE = """
from nystrom_demo.checkpoints import load_bundled, load_checkpoint
for load in (load_bundled, lambda: load_checkpoint("masked-lm", "masked-lm")):
    try:
        load()
    except ValueError as error:
        print(error)
from nystrom_demo.lessons import load_lessons
assert len(load_lessons()) == 12
from nystrom_demo.training.recipe import COMMON, find_recipe, read_recipe
assert read_recipe(find_recipe(COMMON)).tasks
from nystrom_demo.__main__ import main
main([])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Folder with what the wheel of this source holds, as pip lays it out."""
    if find_spec("pip") is None or find_spec("setuptools") is None:
        pytest.skip("building a wheel needs pip and setuptools")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(PACKAGE, source / "nystrom_demo", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", out]
    run = subprocess.run([*command, source], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    (built,) = out.glob("*.whl")
    with ZipFile(built) as archive:
        archive.extractall(out / "installed")
    return out / "installed"


def files_of(folder: Path) -> set[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if "__pycache__" not in path.parts}


def test_the_wheel_holds_every_file_of_the_package(wheel):
    held = files_of(wheel / "nystrom_demo")
    assert held == files_of(PACKAGE)
    assert {
        "py.typed",
        "ui/web/css/page.css",
        "ui/example_texts/news.txt",
        "training/recipes/archive/common.toml",
    } <= held
    assert [path.name for path in wheel.iterdir() if path.is_dir() and path.name != "nystrom_demo"] == [
        f"nystrom_demo-{nystrom_demo.__version__}.dist-info"
    ]


def test_the_wheel_asks_for_torch_and_transformers_alone_and_has_the_command(wheel):
    (folder,) = wheel.glob("*.dist-info")
    distribution = PathDistribution(folder)
    needed = [Requirement(each) for each in distribution.requires or ()]
    assert {each.name for each in needed if each.marker is None} == {"torch", "transformers"}
    assert set(distribution.metadata.get_all("Provides-Extra")) == {"app", "train", "notebook"}
    (command,) = distribution.entry_points.select(group="console_scripts")
    assert (command.name, command.value) == ("nystrom-demo", "nystrom_demo.__main__:main")
    assert distribution.version == nystrom_demo.__version__


def test_without_checkpoints_an_installed_package_says_where_they_are_to_be_had(wheel, tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NYSTROM_DEMO_")}
    environment["PYTHONPATH"] = str(wheel)
    run = subprocess.run([sys.executable, "-c", USE], cwd=tmp_path, env=environment, capture_output=True, text=True)
    said = [*run.stdout.splitlines(), *run.stderr.splitlines()]
    assert run.returncode == 2 and len(said) == 3, run.stderr
    assert len(set(said)) == 1
    assert "git clone" in said[0] and "NYSTROM_DEMO_CHECKPOINTS" in said[0] and "assets/checkpoints" in said[0]


def test_what_requirements_txt_pins_is_what_the_app_asks_for_within_its_ranges():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pinned = {each.name: each for line in lines if line and line[0] != "#" for each in [Requirement(line)]}
    asked = [Requirement(each) for each in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["app"])]
    assert pinned.keys() == {each.name for each in asked}
    for each in asked:
        ends = [Version(end.version) for end in pinned[each.name].specifier]  # one, but of torch's range
        assert ends and all(end in each.specifier for end in ends), each.name


def test_what_the_extras_share_they_ask_for_alike():
    ranges = {}
    for requirements in PROJECT["optional-dependencies"].values():
        for each in map(Requirement, requirements):
            assert ranges.setdefault(each.name, each.specifier) == each.specifier
