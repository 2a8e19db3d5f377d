"""Which type a neuron is of, told from vectors that describe its activity."""
