"""Each kind of behavior in its own words, for the verdict and the facts of decoding."""

from collections.abc import Sequence
from typing import Any

from neuroblend.data.channel import Channel
from neuroblend.engine.arm import BASELINE
from neuroblend.engine.results import CHANCE
from neuroblend.report.caveat import Caveat
from neuroblend.report.style import shortened, signed

MOST_NAMED = 3  # channels in the verdict's sentence
SCORES = {
    "continuous": "decoding_r2",
    "discrete": "balanced_accuracy",
    "circular": "angular_error",
    "events": "event_bits",
}
SKILLS = SCORES | {"circular": "circular_skill"}  # which tell what is above chance


def what_it_does(results: dict[str, Any]) -> str:
    """Return what a student does, such as ``"classifies choice"``."""
    channels = results.get("channels", [])
    if not channels or {each["kind"] for each in channels} != {"discrete"}:
        return "decodes behavior"
    names = [each["name"] for each in channels]
    if len(names) > MOST_NAMED:
        return f"classifies {len(names)} channels of behavior"
    return f"classifies {and_of(names)}"


def of_chance(results: dict[str, Any]) -> str:
    """Return what chance is of the deciding score, for the end of a sentence; nothing of R²."""
    name = next(iter(results.get("deciding", ())), "")
    chance = _chance(results, BASELINE, name)
    return "" if chance is None else f"; chance is {chance:.3f}"


def of_channels(results: dict[str, Any]) -> list[Caveat]:
    """Return how the selected student decodes each channel; nothing of continuous ones alone."""
    channels = results.get("channels", [])
    if not channels:
        return []
    arm = results["selected"]
    each = [words for of in channels if (words := _words(results, arm, of))]
    if not each:
        return []
    text = f"Channel by channel, {arm}: {'; '.join(each)}."
    return [Caveat("channels", signed(text), {of["name"]: of["kind"] for of in channels})]


def _words(results: dict[str, Any], arm: str, channel: dict[str, Any]) -> str:
    kind, label = channel["kind"], channel["name"]
    name = f"{SCORES[kind]}/{label}"
    score = results["arms"][arm].get(name)
    if score is None or score["mean"] is None:
        return ""
    mean, chance = score["mean"], _chance(results, arm, name)
    known = "" if chance is None else f" (chance {chance:.2f})"
    better = "better" if mean >= 0 else "worse"
    said = {
        "continuous": f"decodes {label} with R² {mean:.2f}",
        "discrete": f"classifies {label} with balanced accuracy {mean:.2f}{known}",
        "circular": f"decodes {label} to within {mean:.0f}° on average",
        "events": f"predicts {label} by {abs(mean):.2f} bits/event {better} than its mean rate",
    }[kind]
    if _may_be_chance(results, arm, f"{SKILLS[kind]}/{label}"):
        said += ", not clearly above chance"
    gain = results["contrasts"].get(f"{arm} - {BASELINE}", {}).get(name)
    if gain is None or None in (gain["mean"], *gain["ci95"]):
        return said
    low, high = gain["ci95"]
    digits = 1 if kind == "circular" else 3
    turn = "°" if kind == "circular" else ""
    than = "over" if kind != "circular" else "from"
    return (
        f"{said}, {gain['mean']:+.{digits}f}{turn} [{low:+.{digits}f}, {high:+.{digits}f}] {than} "
        "baseline"
    )


def _may_be_chance(results: dict[str, Any], arm: str, name: str) -> bool:
    """Return whether an interval of a score minus chance reaches 0; ``False`` where not known."""
    above = results["contrasts"].get(f"{arm} - {CHANCE}", {}).get(name)
    return above is not None and above["ci95"][0] is not None and above["ci95"][0] <= 0


def _chance(results: dict[str, Any], arm: str, name: str) -> float | None:
    """Return the chance level of a score; ``None`` where that is not asked."""
    above = results["contrasts"].get(f"{arm} - {CHANCE}", {}).get(name)
    score = results["arms"][arm].get(name)
    if above is None or score is None or None in (above["mean"], score["mean"]):
        return None
    return float(score["mean"] - above["mean"])


def described(channel: Channel) -> str:
    """Return a channel's name, unit, and kind unless it is continuous in each bin."""
    what: list[str] = [] if channel.kind == "continuous" else [channel.kind]
    if channel.per_trial:
        what.append("one value a trial")
    if channel.categories:
        what.append(f"categories {and_of([shortened(c, 16) for c in channel.categories[:6]])}")
    if len(channel.categories) > 6:
        what[-1] += f" and {len(channel.categories) - 6} more"
    return f"{channel.label} ({', '.join(what)})" if what else channel.label


def and_of(names: Sequence[str]) -> str:
    """Return names joined in a sentence."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
