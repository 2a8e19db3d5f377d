"""What the verdict says of each channel claims no more than its interval allows."""

import pytest

from neuroblend.report.decoding.kinds import of_channels


def results(kind, skill, low, name="x"):
    metric = {
        "discrete": "balanced_accuracy",
        "events": "event_bits",
        "circular": "circular_skill",
        "continuous": "decoding_r2",
    }[kind]
    entry = {"mean": skill, "ci95": [low, 0.9]}
    return {
        "selected": "hard",
        "channels": [{"name": name, "kind": kind}],
        "arms": {"hard": {f"{metric}/{name}": entry, f"angular_error/{name}": entry}},
        "contrasts": {"hard - chance": {f"{metric}/{name}": entry}},
    }


@pytest.mark.parametrize("kind", ["discrete", "events", "circular", "continuous"])
def test_a_channel_that_may_be_at_chance_is_said_to_be(kind) -> None:
    said = [of_channels(results(kind, 0.3, low))[0].text for low in (-0.1, 0.1)]
    assert ["not clearly above chance" in each for each in said] == [True, False]


def test_events_that_are_predicted_worse_than_by_their_mean_are_said_to_be() -> None:
    text = of_channels(results("events", -0.2, -0.4))[0].text
    assert "by 0.20 bits/event worse than its mean rate, not clearly above chance" in text
