"""Mutation testing: mutmut changes the pure rooms one small thing at a time, and the unit tests must notice."""
