"""`make bench`: compares our system with a hand-written floor and a conventional build, in one run on one machine.

It asserts no times: it prints and keeps all figures, and a missed goal stays in the table.
"""
