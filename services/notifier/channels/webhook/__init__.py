"""How messages travel to agencies' systems: signed, over https, tried for days."""
