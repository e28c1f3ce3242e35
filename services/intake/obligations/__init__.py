"""What an agency owes, as scoring publishes it."""
