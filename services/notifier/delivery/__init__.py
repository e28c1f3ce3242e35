"""The life of one mail, from its claim to its last word, kept in the ledger."""
