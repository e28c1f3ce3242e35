"""The fault matrix: each row breaks one thing under load on the real stack, then asks the stores what became of it."""
