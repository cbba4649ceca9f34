"""Nyström attention in the browser: choose the checkpoints, build the page, launch it."""

import torch
from transformers.utils.logging import disable_progress_bar

from nystrom_demo.checkpoints import BUNDLED, Library, load_bundled
from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.serving.allocator import share_arenas
from nystrom_demo.serving.gpu import is_lent
from nystrom_demo.serving.launch import choose_device, launch, set_threads
from nystrom_demo.serving.memory import request_bytes
from nystrom_demo.serving.settings import Settings
from nystrom_demo.tasks import classify
from nystrom_demo.ui.examples import example_for, load_examples
from nystrom_demo.ui.page import LOOK, build_app


def load_library(settings: Settings, device: torch.device) -> Library:
    """The bundled checkpoints, on the CPU too where the device is another, and what the settings let visitors name."""
    devices = [device] if device.type == "cpu" else [device, torch.device("cpu")]
    boxes = {each.type: load_bundled(each) for each in devices}
    # Checkpoints from elsewhere take no more than one request may.
    max_bytes = request_bytes(settings, device)
    return Library(
        boxes, root=settings.checkpoint_root, hub=settings.hub, pickles=settings.pickles, max_bytes=max_bytes
    )


def serve() -> None:
    """Serve the app, by the environment's settings, until SIGTERM or Ctrl-C.

    UserError for a setting that makes no sense here, or where there are no checkpoints.
    """
    share_arenas()
    settings = Settings.from_env()
    disable_progress_bar()  # of weights that load; standard error is the log, an object a line
    set_threads(settings)
    library = load_library(settings, choose_device(settings))
    demo = build_app(library)
    # ZeroGPU lends its GPU for visitors' requests; whether the process can compute is seen on the CPU there.
    device = "cpu" if is_lent() else library.devices[0]
    checkpoint = library.load(BUNDLED, "sequence-classification", device)
    text = example_for(checkpoint.task, load_examples()).text

    def warm_up() -> None:
        # What a visitor asks for, so that the first of them finds threads and memory in use.
        for attention in (EXACT, AttentionSettings()):
            classify(checkpoint, text, attention)

    launch(demo, settings, ready_check=lambda: classify(checkpoint, "ready"), warm_up=warm_up, **LOOK)
