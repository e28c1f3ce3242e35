"""What operators see of a process: its logs, its metrics, and whether it is ready."""
