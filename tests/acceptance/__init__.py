"""What this project as a whole wants to cost at most, measured: the package, the app over HTTP, its page in Chromium.

`PYTHONPATH=tests:. python -m acceptance table` runs all of it and prints a row a target; `app` measures the app alone.
This knows the page's element ids and needs the repository, so it is no part of the package.
"""
