"""The scores of decoding: what they are called, mean and can be."""

from math import inf

from neuroblend.engine.metric import Metric

UP_TO_1 = (-inf, 1.0)  # what a coefficient of determination can be
FRACTION = (0.0, 1.0)

METRICS = {
    "decoding_skill": Metric(
        "decoding skill",
        "mean over behavior channels of how much better than chance each is decoded, 0 at chance "
        "and 1 where all is right: R², circular skill, balanced accuracy over chance, or fraction "
        "of Poisson deviance explained",
        deciding=True,
        bounds=UP_TO_1,
    ),
    "balanced_accuracy": Metric(
        "balanced accuracy",
        "mean over categories of the fraction of their test samples that are recognised, by a "
        "logistic regression as it is fitted for R²; chance is one over the number of categories",
        deciding=True,
        bounds=FRACTION,
    ),
    "decoding_r2": Metric(
        "behavior R²",
        "fraction of the variance of behavior, mean over channels, that a ridge regression fitted "
        "on training trials decodes on test trials from a model's rates, log rates or features "
        "(of a rival: what it gives) in the same bin, with history, or with history and future, "
        "whichever validates best",
        deciding=True,
        bounds=UP_TO_1,
    ),
    "circular_skill": Metric(
        "circular skill",
        "one minus the mean of 1 - cos(error) over what the mean direction has, mean over "
        "circular channels, by a ridge regression of cosine and sine",
        bounds=UP_TO_1,
    ),
    "event_bits": Metric(
        "bits/event",
        "bits per event by which expected counts, of a Poisson regression, predict events better "
        "than their mean rate does",
    ),
    "auc": Metric(
        "AUC",
        "area under the ROC curve of channels with two categories; 0.5 is chance",
        bounds=FRACTION,
    ),
    "log_loss_gain": Metric(
        "log-loss gain",
        "bits per sample by which probabilities of categories predict better than how often each "
        "is there",
    ),
    "log_loss_skill": Metric(
        "log-loss skill",
        "the same as a fraction of the entropy of how often each category is there",
        headline=False,
        bounds=UP_TO_1,
    ),
    "angular_error": Metric(
        "angular error",
        "mean absolute error of angles in degrees, lower is better",
        headline=False,
        bounds=(0.0, 180.0),
        higher_is_better=False,
    ),
    "deviance_explained": Metric(
        "deviance explained",
        "fraction of the Poisson deviance from the mean rate of events that is explained",
        headline=False,
        bounds=UP_TO_1,
    ),
    "co_bps": Metric(
        "co-bps",
        "bits per spike by which rates of held-out neurons predict their spikes better than each "
        "neuron's mean does",
    ),
    "fp_bps": Metric(
        "fp-bps",
        "bits per spike by which rates of all neurons, in bins after the last one that a model "
        "sees, predict spikes better than each neuron's mean does",
    ),
    "behavior_r2": Metric(
        "same-bin R²",
        "the same from the same bin alone, as the Neural Latents Benchmark has it",
        bounds=UP_TO_1,
    ),
    "psth_r2": Metric(
        "PSTH R²",
        "match of the rates' condition means to those of all recorded trials, mean over neurons",
        bounds=UP_TO_1,
    ),
    "rate_r2": Metric(
        "R² to true rates",
        "fraction of the variance of the true rates, mean over neurons; for simulated data alone",
        bounds=UP_TO_1,
    ),
}
