"""What the board knows: the newest word of every topic, from which pages read and nothing else."""
