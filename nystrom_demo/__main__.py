"""`nystrom-demo`, or `python -m nystrom_demo`: the app in the browser, on the checkpoints of a folder."""

import argparse
from collections.abc import Sequence

import nystrom_demo
from nystrom_demo.errors import UserError

SETTINGS = (
    "Environment variables say the rest: NYSTROM_DEMO_CHECKPOINTS the folder of the checkpoints, NYSTROM_DEMO_HOST and "
    "NYSTROM_DEMO_PORT the address; docs/hosting.md in the project's repository lists all of them."
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the app until it is told to end. What keeps it from starting is said in a sentence, with status 2."""
    parser = argparse.ArgumentParser(prog="nystrom-demo", description="Serve the app to browsers.", epilog=SETTINGS)
    parser.add_argument("--version", action="version", version=f"nystrom-demo {nystrom_demo.__version__}")
    parser.parse_args(arguments)
    try:
        from nystrom_demo.app import serve  # gradio and all that the app needs, which --version does not
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == "nystrom_demo":
            raise
        parser.exit(2, f"The app needs the package {package}; pip install 'nystrom-demo[app]' brings what it needs.\n")
    try:
        serve()
    except UserError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
