"""Networks, one a file: spikes in, log expected counts per bin out."""
