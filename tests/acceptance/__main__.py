"""`PYTHONPATH=tests:. python -m acceptance COMMAND`: the app as a visitor meets it, and the table of all targets."""

from collections.abc import Sequence

from acceptance.app import app
from acceptance.table import table
from nystrom_demo.benchmark.__main__ import build_parser, run

COMMANDS = {"app": app, "table": table}


def main(arguments: Sequence[str] | None = None) -> None:
    run(build_parser(COMMANDS, "acceptance", __doc__), COMMANDS, arguments)


if __name__ == "__main__":
    main()
