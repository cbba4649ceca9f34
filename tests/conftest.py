"""Fixtures that several test modules share."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # two processes share the cores; before torch reads it

import pytest
from analysis_by_hand import input_ids, model  # noqa: F401  (fixtures)
from browser import TIMEOUT_MS, app_url, open_page  # noqa: F401  (fixtures)
from tiny_checkpoints import make_tiny_box
from training_runs import make_folders

from acceptance.pages import chromium_path
from nystrom_demo.checkpoints import Library, load_bundled
from nystrom_demo.limits.cache import ANSWERS


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    """Browser tests come last: Playwright keeps an event loop on the main thread, where others start their own.

    The rest of a file goes to one process, and its browser tests to one that has no others left.
    """
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)
    for item in items:
        kind = "browser" if item.get_closest_marker("browser") else "plain"
        item.add_marker(pytest.mark.xdist_group(f"{item.path.stem} {kind}"))
        if kind == "browser":  # two walks share two cores with two servers; each rerun is listed in the summary
            item.add_marker(pytest.mark.flaky(reruns=2))


@pytest.fixture(autouse=True)
def nothing_remembered():
    """Each test computes for itself what an earlier one asked for."""
    ANSWERS.clear()


@pytest.fixture(scope="session")
def tiny_box(tmp_path_factory):
    """Folder of a box with five tiny checkpoints of random weights."""
    return make_tiny_box(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="session")
def tiny_checkpoints(tiny_box) -> Library:
    """The five tiny checkpoints by task, loaded as the bundled ones are: one encoder in all of them."""
    return Library({"cpu": load_bundled("cpu", box=tiny_box)})


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Data, recipe, and a work folder with a converted base and one run of six steps, checkpoints at 3 and 6."""
    return make_folders(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="session")
def chromium():
    """A real Chromium, driven by Playwright. Where there is none, tests skip on a laptop and fail where CI is set."""
    path = chromium_path()
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("Browser tests need chromium on the path.")
    from playwright.sync_api import expect, sync_playwright  # here, so that other tests do without it

    quiet = ["background-networking", "component-update", "sync"]
    options = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", *(f"--disable-{x}" for x in quiet)]
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()
