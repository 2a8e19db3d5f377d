"""How fits are run."""
