"""`make bench`: ours against a hand-written floor and a conventional build, in one run on one infrastructure.

Nothing here asserts a time: figures are printed and kept, and a goal that is missed stays in the table.
"""
