"""A sample province under the code H99, which is nobody's: names, people, addresses and forms are invented."""
