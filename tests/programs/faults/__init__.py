"""The fault matrix: each row breaks one thing under load on the real stack, then checks the stores."""
