"""Nyström attention in the browser: `python app.py`, as `python -m nystrom_demo` from a checkout."""

from nystrom_demo.__main__ import main

if __name__ == "__main__":
    main()
