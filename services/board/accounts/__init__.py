"""Who is signed in: invitations, passwords and sessions of the registry's people. Nothing else says who somebody is."""
