"""What a file holds, before anything is made of it: one kind of file a module."""
