"""Who is asking, and how much of the service one agency may take."""
