"""A trained student where it is used: bin by bin, and in other programs."""
