"""What other programs write, read as recordings: one program a file."""
