"""What every process needs: clocks, settings, retries, failpoints, reading YAML; it imports no other room."""
