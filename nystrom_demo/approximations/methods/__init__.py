"""One small file a method: a function that builds what stands for S, and METHODS, which names it and says its facts.

A file dropped here is all that a new method needs; docs/approximations.md shows one.
"""
