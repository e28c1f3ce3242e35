"""What people may see: a page reads the store once, or the service that acts where people act; none needs a script."""
