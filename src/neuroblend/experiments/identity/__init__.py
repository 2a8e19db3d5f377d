"""Which type a neuron is of, classified from vectors that describe its activity."""
