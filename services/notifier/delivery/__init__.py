"""Each mail's states, from its claim to its final outcome, kept in the ledger."""
