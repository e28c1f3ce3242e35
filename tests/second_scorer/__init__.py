"""A second scorer, written from docs/scoring.md and the law alone. It shares no code with services/ or shared/.

It reads plain data (JSON, CSV), and says for each obligation what its deadline, standing and score must be. Where it
and the product disagree, one of the two, or the page, is wrong.
"""
