"""Models that need no gradient: what any network should beat."""
