"""A sample province under H99, a code no province has: names, people, addresses and forms are invented."""
