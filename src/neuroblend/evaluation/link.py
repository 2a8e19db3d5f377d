"""From the outputs of a linear read-out to behavior: a link for each kind.

Shape legend: ``K`` categories; ``...`` stands for trials, or trials and bins.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroblend.data.channel import FULL_TURN, Channel

Floats = NDArray[np.float64]

LARGEST_LOG = 20.0  # of counts, so that no read-out overflows


@dataclass(frozen=True)
class Link:
    """What some outputs of a linear map stand for.

    A continuous channel is its output, the angle of a circular one that of two (cosine and sine),
    the rate of events the exponential of one, and outputs of a discrete channel are logits. The
    category that is decoded is the one whose probability exceeds its share of training samples by
    the largest factor, which is what balanced accuracy asks for: a rare one is not passed over for
    being rare.

    Attributes:
        channel: Of behavior.
        start: First output, of those of bins or, with one value a trial, of trials.
        stop: First output after it.
        log_share: K logarithms of the categories' shares of training samples.
        low: Of a circular channel, the least angle that the recording has: 0 or minus half a turn.
    """

    channel: Channel
    start: int
    stop: int
    log_share: tuple[float, ...] = ()
    low: float = 0.0

    def values(self, outputs: NDArray[np.floating]) -> Floats:
        """Return (...) values in the channel's unit (numbers of categories, counts) of outputs."""
        own = np.asarray(outputs[..., self.start : self.stop], dtype=np.float64)
        missing = np.isnan(own[..., 0])
        match self.channel.kind:
            case "circular":
                period = self.channel.period
                turn = np.arctan2(own[..., 1], own[..., 0]) / FULL_TURN
                found = np.mod(turn * period - self.low, period) + self.low
            case "discrete":
                found = np.argmax(own - np.array(self.log_share), axis=-1).astype(np.float64)
            case "events":
                found = np.exp(np.minimum(own[..., 0], LARGEST_LOG))
            case _:
                found = own[..., 0]
        return np.where(missing, np.nan, found)

    def log_probabilities(self, outputs: NDArray[np.floating]) -> Floats:
        """Return (..., K) logarithms of the probabilities of the categories."""
        own = np.asarray(outputs[..., self.start : self.stop], dtype=np.float64)
        own = own - own.max(axis=-1, keepdims=True)
        log: Floats = own - np.log(np.exp(own).sum(axis=-1, keepdims=True))
        return log


def links_to_json(links: Sequence[Link]) -> str:
    """Return what :func:`links_from_json` reads."""
    return json.dumps(
        [
            {
                "channel": json.loads(link.channel.to_json()),
                "start": link.start,
                "stop": link.stop,
                "log_share": link.log_share,
                "low": link.low,
            }
            for link in links
        ]
    )


def links_from_json(text: str) -> tuple[Link, ...]:
    """Read what :func:`links_to_json` wrote."""
    return tuple(
        Link(
            Channel.from_json(json.dumps(each["channel"])),
            each["start"],
            each["stop"],
            tuple(each["log_share"]),
            each["low"],
        )
        for each in json.loads(text)
    )
