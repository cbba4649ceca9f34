"""The browser's side of the page: ES modules, style sheets and templates, and how a component of gradio's starts one.

lib/ is what all share; viewer/ draws the maps of one head and the mosaic of all; tour/ draws the Learn tab; export/ is
the menus below figures and answers; css/ has a style sheet for each part of the page. Nothing is built: the server
sends the files as they are, and `tests/web` runs those that compute.
"""

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from nystrom_demo.figures.roles import DARK_PAGE, DIVERGING, ROLES, SEGMENTS, SEQUENTIAL

FOLDER = Path(__file__).parent
_SAVE_BUTTONS = "<!-- save buttons -->"


@cache
def modules() -> dict[str, bytes]:
    """Every module by the name that it is served under. The names begin with a fingerprint of them all, so that a
    browser may keep what it has, and never mixes the modules of two versions."""
    files = {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in sorted(FOLDER.rglob("*.js"))}
    version = hashlib.sha256(repr(files).encode()).hexdigest()[:12]
    return {f"{version}/{name}": content for name, content in files.items()}


def module_url(name: str) -> str:
    """The address of a module, such as "viewer/viewer.js", on the page's server."""
    version = next(iter(modules())).partition("/")[0]
    if f"{version}/{name}" not in modules():
        raise FileNotFoundError(f"There is no module {name}.")
    return f"/web/{version}/{name}"


def starting(name: str, events: Sequence[str] = ()) -> str:
    """`js_on_load` of a component that a module draws: the module's `start` is given what gradio gives the component.

    The address is relative to the page's, as those of gradio's own scripts are. `events` are those that the module
    fires, by which gradio knows them: it looks for their names in this script.
    """
    fire = ", ".join(f"{event}: (data) => trigger('{event}', data)" for event in events)
    return (
        f"import(new URL({json.dumps('.' + module_url(name))}, document.baseURI)).then(({{ start }}) => "
        f"start({{ element, props, watch, fire: {{ {fire} }}, palette: {json.dumps(palette())} }}));"
    )


def style(*names: str) -> str:
    """Style sheets of css/, one after another, for a component's `css_template`."""
    return "\n".join((FOLDER / "css" / f"{name}.css").read_text(encoding="utf-8") for name in names)


def template(name: str) -> str:
    """A file's HTML, such as "viewer/viewer.html", with three buttons wherever it says `<!-- save buttons -->`."""
    buttons = (FOLDER / "export" / "buttons.html").read_text(encoding="utf-8").rstrip()
    return (FOLDER / name).read_text(encoding="utf-8").replace(_SAVE_BUTTONS, buttons)


def palette() -> dict[str, Any]:
    """The colours that the modules draw with, from the one place where roles have colours."""
    return {
        "roles": {name: role.colour for name, role in ROLES.items()},
        "text": {name: {"light": role.on_light, "dark": role.on_dark} for name, role in ROLES.items()},
        "sequential": SEQUENTIAL,
        "diverging": DIVERGING,
        "segments": SEGMENTS,
        "ground": {"light": "#ffffff", "dark": DARK_PAGE},
    }
