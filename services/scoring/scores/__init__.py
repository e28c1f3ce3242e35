"""What an obligation scores, by the policy in force."""
