"""What every process needs: clocks, settings, retries, failpoints; it imports no other room."""
