"""What a process is made of whatever it does: clocks, settings, passing trouble, failpoints; it knows no other room."""
