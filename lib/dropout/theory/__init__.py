"""What can be said about dropout exactly: by algebra, and by counting every mask."""
