"""The experiments, each a use of the engine."""
