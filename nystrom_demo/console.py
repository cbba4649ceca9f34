"""What the commands print, on terminals that do not know every character."""

import sys


def print_in_any_locale() -> None:
    """Let this process print what its locale cannot: such a character becomes a question mark, and ends no command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook's and a test's streams take any character
            stream.reconfigure(errors="replace")
