"""What is kept of a person: contacts are blanked after the person has left, and who asks may read all of it."""
