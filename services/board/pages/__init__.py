"""What people see: a page reads the store once, needs no script, and shows only what its viewer may see."""
