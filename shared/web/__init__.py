"""HTTP at bounded cost: a server's edge, problems in two languages, pages of lists, and who may ask."""
