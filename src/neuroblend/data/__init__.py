"""From files to trials, and from trials to tensors."""
