"""What is scored beside the arms of a run on cells: the one list of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """A way to describe cells that no teacher guides.

    Attributes:
        meaning: What it is, in a sentence without a full stop.
        has_network: Whether it is NeuPRINT, trained and embedded like the arms.
        sees_behavior: Whether it is given behavior when new cells are met too.
    """

    meaning: str
    has_network: bool = False
    sees_behavior: bool = False


CONTRASTIVE = "contrastive"
CELL_REFERENCES = {
    "stock": Reference(
        "NeuPRINT with the statistics that were published for it, behavior among them, in training "
        "and when new cells are met; a reference",
        has_network=True,
        sees_behavior=True,
    ),
    "moments": Reference(
        "the same without behavior: mean and standard deviation of the population alone",
        has_network=True,
    ),
    CONTRASTIVE: Reference(
        "no dynamics: a network that matches windows of one neuron among those of others"
    ),
    "hand_features": Reference(
        "no network: mean, spread, autocorrelation and other statistics of each cell's activity"
    ),
    "activity_profile": Reference(
        "no network: principal components of each cell's power spectrum, distribution of activity, "
        "fraction of variance that the population's leading components explain, and correlations "
        "with other cells"
    ),
}
NO_NETWORK = {
    name for name, each in CELL_REFERENCES.items() if not each.has_network and name != CONTRASTIVE
}
