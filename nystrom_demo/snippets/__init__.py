"""Python for what the page shows: code on the public package that prints the same numbers.

parts.py is what scripts have in common; lessons.py writes those of the tour's steps, errors.py, tasks.py and times.py
those of the tabs of these names. A script counts layers and heads from 0, as the package does, and says so.
"""

from nystrom_demo.snippets.lessons import for_lesson
from nystrom_demo.snippets.parts import HeadView, loading, reading_head

__all__ = ["HeadView", "for_lesson", "loading", "reading_head"]
