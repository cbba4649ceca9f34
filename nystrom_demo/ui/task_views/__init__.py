"""What the Tasks tab shows of each head: one file a head, each with a `verdict` of two results and a `column` of one.

All markup is made here from escaped text; no visitor's word reaches a page any other way.
"""
