"""What scores of decoded behavior are made of, of any mix of kinds, and the scores.

Shape legend: ``B`` trials, ``T`` bins, ``D`` behavior channels, ``R`` bootstrap replicates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroblend.data.channel import FULL_TURN, Channel
from neuroblend.evaluation.decoder import Decoder
from neuroblend.evaluation.kind_sums import CircularSums, DiscreteSums, EventSums
from neuroblend.evaluation.metrics import ErrorSums

Floats = NDArray[np.float64]

R2, ACCURACY, SKILL = "decoding_r2", "balanced_accuracy", "decoding_skill"


@dataclass(frozen=True, eq=False)
class BehaviorSums:
    """Sums over test trials, of the channels of each kind in their order; ``None`` without any.

    Of a channel with one value a trial, a trial is one sample.

    Attributes:
        continuous: For R².
        circular: For angular errors.
        discrete: For balanced accuracy, log-loss and area under the curve.
        events: For bits an event.
    """

    continuous: ErrorSums | None = None
    circular: CircularSums | None = None
    discrete: DiscreteSums | None = None
    events: EventSums | None = None

    @classmethod
    def of(
        cls,
        decoder: Decoder,
        signal: NDArray[np.floating],
        behavior: NDArray[np.floating],
        channels: Sequence[Channel] = (),
    ) -> tuple[BehaviorSums, Floats]:
        """Return sums, and (B, T, D) decoded behavior.

        Args:
            decoder: From the signal to behavior.
            signal: (B, T, N).
            behavior: (B, T, D) in the recording's units, NaN where missing.
            channels: D of them; continuous ones where empty.
        """
        decoded = decoder(signal)
        if is_plain(channels):
            return cls(ErrorSums.of(decoded, behavior)), decoded
        true = behavior.astype(np.float64)
        for d, channel in enumerate(channels):
            if channel.per_trial:
                true[:, 1:, d] = np.nan  # one sample a trial, in the bin that every trial has

        def picked(kind: str) -> list[int]:
            return [d for d, channel in enumerate(channels) if channel.kind == kind]

        sums = cls()
        if own := picked("continuous"):
            sums = sums._with(continuous=ErrorSums.of(decoded[..., own], true[..., own]))
        if own := picked("circular"):
            turn = np.array([FULL_TURN / channels[d].period for d in own])
            circular = CircularSums.of(decoded[..., own] * turn, true[..., own] * turn)
            sums = sums._with(circular=circular)
        if own := picked("discrete"):
            log = decoder.log_probabilities(signal)
            each = [log[channels[d].name] for d in own]
            discrete = DiscreteSums.of(decoded[..., own], each, true[..., own])
            sums = sums._with(discrete=discrete)
        if own := picked("events"):
            sums = sums._with(events=EventSums.of(decoded[..., own], true[..., own]))
        return sums, decoded

    def _with(self, **sums: ErrorSums | CircularSums | DiscreteSums | EventSums) -> BehaviorSums:
        return BehaviorSums(**(vars(self) | sums))

    def valid_skill(self) -> float:
        """Return the mean over channels of their skill, by which read-outs and arms are chosen.

        That of categories is the fraction of their entropy that is explained, which is less noisy
        than how many are recognised. A channel that does not vary here takes no part in a mix.
        """
        if self.continuous is not None and self == BehaviorSums(self.continuous):
            return float(self.continuous.r2().mean(axis=1)[0])
        each = []
        for sums, skill in (
            (self.continuous, ErrorSums.r2),
            (self.circular, CircularSums.skill),
            (self.discrete, DiscreteSums.gain_fraction),
            (self.events, EventSums.deviance_explained),
        ):
            if sums is not None:
                each.append(skill(sums)[0])  # type: ignore[arg-type]
        found = np.concatenate(each)
        if not np.isfinite(found).any():
            return -np.inf
        return float(np.nanmean(found))

    def scores(
        self, channels: Sequence[Channel], weights: Floats | None = None
    ) -> dict[str, Floats]:
        """Return (R,) scores by name: of each kind a mean over its channels, and each channel's."""
        found: dict[str, Floats] = {}
        skills: list[Floats] = []

        def add(name: str, kind: str, each: Floats) -> None:
            names = [c.name for c in channels if c.kind == kind]
            found[name] = each.mean(axis=1)
            found.update({f"{name}/{of}": each[:, i] for i, of in enumerate(names)})

        if self.continuous is not None:
            r2 = self.continuous.r2(weights)
            add(R2, "continuous", r2)
            skills.append(r2)
        if self.circular is not None:
            skills.append(self.circular.skill(weights))
            add("circular_skill", "circular", skills[-1])
            add("angular_error", "circular", self.circular.degrees(weights))
        if self.discrete is not None:
            skills.append(self.discrete.balanced_skill(weights))
            add(ACCURACY, "discrete", self.discrete.balanced_accuracy(weights))
            add("log_loss_gain", "discrete", self.discrete.gain(weights))
            add("log_loss_skill", "discrete", self.discrete.gain_fraction(weights))
            self._add_auc(found, channels, weights)
        if self.events is not None:
            skills.append(self.events.deviance_explained(weights))
            add("event_bits", "events", self.events.bits(weights))
            add("deviance_explained", "events", skills[-1])
        if deciding_score(channels) == SKILL:
            found = {SKILL: np.concatenate(skills, axis=1).mean(axis=1)} | found
        return found

    def _add_auc(
        self, found: dict[str, Floats], channels: Sequence[Channel], weights: Floats | None
    ) -> None:
        assert self.discrete is not None
        discrete = [c for c in channels if c.kind == "discrete"]
        pairs = [i for i, c in enumerate(discrete) if len(c.categories) == 2]
        if pairs:
            auc = self.discrete.auc(weights)
            found["auc"] = auc[:, pairs].mean(axis=1)
            found |= {f"auc/{discrete[i].name}": auc[:, i] for i in pairs}

    def chance(self, channels: Sequence[Channel], name: str) -> float | None:
        """Return what the score ``name`` is of guesses that know nothing but how often what is.

        ``None`` of angular errors: 90° of uniform directions, less of all others.
        """
        of, _, channel = name.partition("/")
        if of == ACCURACY:
            assert self.discrete is not None
            each = self.discrete.chance()[0]
            names = [c.name for c in channels if c.kind == "discrete"]
            return float(each[names.index(channel)] if channel else each.mean())
        if of == "auc":
            return 0.5
        return None if of == "angular_error" else 0.0


def is_plain(channels: Sequence[Channel]) -> bool:
    """Whether all channels are continuous, with a value in each bin."""
    return all(c.kind == "continuous" and not c.per_trial for c in channels)


def deciding_score(channels: Sequence[Channel]) -> str:
    """Return the score that decides: R², balanced accuracy, or of a mix the mean skill."""
    kinds = {channel.kind for channel in channels}
    if kinds <= {"continuous"}:
        return R2
    return ACCURACY if kinds == {"discrete"} else SKILL
