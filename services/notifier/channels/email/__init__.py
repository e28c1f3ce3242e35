"""Letters by e-mail, over reused SMTP connections."""
