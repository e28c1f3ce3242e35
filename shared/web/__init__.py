"""HTTP at bounded cost: the server, problems in two languages, paged lists, and authentication."""
