"""What the services agree on: events and their schemas, identifiers, text, periods; nothing here does I/O."""
