"""What one was sent: the notices to a person, or about what an agency owes; the address of nobody else."""
