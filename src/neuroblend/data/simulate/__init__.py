"""Recordings whose true firing rates are known."""

from neuroblend.data.simulate.reaching import simulate_reaching

__all__ = ["simulate_reaching"]
