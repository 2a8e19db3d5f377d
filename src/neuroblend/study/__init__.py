"""Many fits as one experiment: arms, seeds, controls, intervals."""
