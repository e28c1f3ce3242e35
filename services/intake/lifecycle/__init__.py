"""What people do with a report after it was sent: certify, review, withdraw, explain, appeal, ask for time, unlock."""
