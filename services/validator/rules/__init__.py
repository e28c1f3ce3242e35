"""The rules of a form: pure functions from what was sent to what is wrong with it."""
