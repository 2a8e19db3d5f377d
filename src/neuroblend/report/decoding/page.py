"""What the page of decoding has of its own."""

from typing import Any

from neuroblend.engine.arm import BASELINE, MULTITASK, TEACHER
from neuroblend.experiments.decoding.samples import ORACLE
from neuroblend.experiments.decoding.settings import SELF_DISTILLED, SHUFFLED
from neuroblend.report.caveat import Caveat
from neuroblend.report.curves import curves
from neuroblend.report.decoding.facts import data_rows, next_steps, readout_tables, summary
from neuroblend.report.decoding.kinds import of_chance, of_channels, what_it_does
from neuroblend.report.decoding.neurons import neurons
from neuroblend.report.decoding.once import confusions, once
from neuroblend.report.decoding.psth import psth
from neuroblend.report.decoding.raster import raster
from neuroblend.report.decoding.traces import traces
from neuroblend.report.face import Block, Face, Words, headlines, metrics_of
from neuroblend.report.forest import forest
from neuroblend.report.scores import ScoreTable, control_table, direction, score_table
from neuroblend.report.style import Picture, signed
from neuroblend.report.verdict import deciding, difference, judged
from neuroblend.report.view import View

ARMS = {
    MULTITASK: "the control: the baseline plus a read-out that is trained to give behavior; no "
    "teacher",
    TEACHER: "the network trained on spikes and given behavior as input, at test as well",
    "wiener": "what a lab has: ridge regression (of categories, logistic regression) of behavior "
    "on spikes at several lags, smoothing and lags chosen on validation trials; it predicts no "
    "rates",
    "kalman": "what a lab has: a Kalman filter or smoother of behavior, chosen on validation "
    "trials; it predicts no rates",
    "logistic": "what a lab has: logistic regression on each neuron's spike count in a trial, its "
    "penalty chosen on validation trials (what has a value in each bin: as wiener, without "
    "smoothing); it predicts no rates",
    "direct": "the student's network trained on behavior alone; it predicts no rates",
    "blind-teacher": "a teacher that sees spikes alone",
    "self-distilled": "a student of the blind teacher: what distillation gains without behavior",
    "shuffled-teacher": "a teacher that was given the behavior of other trials in training",
    "shuffled": "a student of that one, which should not do better than self-distilled",
    "smoothing": "no network: smoothed spikes, and regressions on them for held-out neurons",
    "factor_analysis": "no network: factor analysis, and regressions on the factors",
    ORACLE: "not a model: the simulation's true rates, scored like a model's",
}
TERMS = {
    "hard": "matches the teacher's log rates",
    "soft": "matches how the teacher spreads a bin's activity over neurons",
    "feature": "matches the teacher's internal features, through a learned map",
    "correlation": "matches the correlations between neurons in the teacher's log rates",
    "subspace": "matches the teacher's features in those directions that behavior is decoded from",
    "denoised": "has a read-out of behavior as decoded from the teacher's features",
    "multitask": "has a behavior read-out",
    "two-heads": "has a second head that sees behavior, on the same trunk",
    "masked-modalities": "is trained on behavior as input too, with or without spikes, and has a "
    "behavior read-out",
}


OVERVIEW = ("decoding_r2", "co_bps", "fp_bps")
DECIDING = frozenset(("decoding_skill", "balanced_accuracy"))
BY_CHANNEL = (
    "decoding_r2",
    "balanced_accuracy",
    "auc",
    "log_loss_gain",
    "circular_skill",
    "angular_error",
    "event_bits",
)


def page() -> Face:
    """Return what the page of decoding has of its own."""
    return Face(
        words=Words(unit="test trials", does=_does),
        clause=_cost,
        caveats=lambda results: [
            *of_channels(results),
            *_of_baseline(results),
            *_of_controls(results),
            *_of_causal(results),
        ],
        blocks=lambda results: [Block("Scores on test trials", headlines(results))],
        meaning=ARMS.get,
        terms=TERMS,
        simulated_note=_simulated_note,
        summary=summary,
        overview=_overview,
        details=_details,
        tables=lambda view, block: readout_tables(view),
        pictures=_pictures,
        data_rows=data_rows,
        next_steps=next_steps,
    )


def _does(results: dict[str, Any]) -> str:
    return "predicts held-out neurons" if _is_by_co_bps(results) else what_it_does(results)


def _is_by_co_bps(results: dict[str, Any]) -> bool:
    return results.get("deciding") == ["co_bps"]


def _cost(results: dict[str, Any]) -> str:
    """Return what is gained or lost in predicting held-out neurons."""
    contrast = results["contrasts"].get(f"{results['selected']} - {BASELINE}", {})
    if _is_by_co_bps(results):
        return ""
    chance = of_chance(results)
    if "co_bps" not in contrast:
        return chance
    kept = {"better": "gains", "worse": "loses", "unclear": "neither clearly gains nor loses"}
    cost = contrast["co_bps"]
    return f"{chance}; it {kept[direction(cost['ci95'])]} co-bps, {difference(cost)}"


def _of_baseline(results: dict[str, Any]) -> list[Caveat]:
    """Return a caveat where the baseline predicts spikes no better than mean rates do."""
    scores = results["arms"][BASELINE]
    metric = "co_bps" if "co_bps" in scores else "fp_bps"
    score = scores.get(metric)
    if score is None or score["ci95"][0] > 0:
        return []
    low, high = score["ci95"]
    what = "held-out neurons" if metric == "co_bps" else "forward bins"
    text = (
        f"The baseline predicts spikes of {what} no better than mean rates do "
        f"({metrics_of(results)[metric].label} {score['mean']:+.3f}, 95 % interval {low:+.3f} to "
        f"{high:+.3f}): a model that hardly works says little about distillation. Train longer, or "
        "check the data."
    )
    return [Caveat("weak baseline", signed(text), {metric: score["mean"]})]


def _of_controls(results: dict[str, Any]) -> list[Caveat]:
    """Return what students of teachers without the right behavior say of the selected one."""
    arm, contrasts, found = results["selected"], results["contrasts"], []
    metric = next(iter(deciding(results)))
    minus = contrasts.get(f"{arm} - {SELF_DISTILLED}")
    if minus is not None and metric in minus:
        text = "It is behavior that helps: the student does better than one whose teacher saw none"
        if judged(minus, results) != "better":
            text = (
                "It may be distillation as such that helps: the student does not clearly do better "
                "than one whose teacher saw no behavior"
            )
        found.append(
            Caveat(
                "self-distilled",
                signed(f"{text} ({SELF_DISTILLED}; {difference(minus[metric])})."),
                {metric: minus[metric]["mean"]},
            )
        )
    wrong = contrasts.get(f"{SHUFFLED} - {SELF_DISTILLED}")
    if wrong is not None and metric in wrong and judged(wrong, results) == "better":
        text = (
            "A teacher that saw the behavior of other trials made a better student than one that "
            f"saw none ({difference(wrong[metric])}), which should not be: look for trials that "
            "are alike before you believe any gain."
        )
        found.append(Caveat("shuffled", signed(text), {metric: wrong[metric]["mean"]}))
    return found


def _of_causal(results: dict[str, Any]) -> list[Caveat]:
    """Return what a causal run compares, and with what it cannot be compared."""
    if not results.get("causal"):
        return []
    text = (
        "Causal: students, read-outs of behavior and what they are compared with use spikes up to "
        "the bin that they speak of; a teacher sees the whole trial and is read out with its "
        "future too. Runs that are not causal do better for that alone."
    )
    return [Caveat("causal", text)]


def _simulated_note(view: View) -> list[Caveat]:
    if view.data.rates is None:
        return []
    text = (
        "These data are simulated, not recorded. The result shows how the methods fare where the "
        "truth is known, not what a brain does. The arm 'oracle' is the simulation's true rates "
        "scored like a model: what can be reached."
    )
    return [Caveat("simulated", text)]


def _overview(view: View, block: Block) -> Picture:
    first = next(iter(deciding(view.results)))
    names = dict.fromkeys((*DECIDING.intersection([first]), *OVERVIEW))
    shown = [m for m in names if m in block.columns][:2]
    return forest(
        view,
        "Difference to the baseline",
        {name: block.columns[name] for name in shown},
        "is its whole bar to the right in the first panel, and is it not to the left in the "
        "second?",
    )


def _details(view: View, block: Block) -> list[ScoreTable]:
    metrics, scores = metrics_of(view.results), view.results["arms"][BASELINE]
    tables = []
    for name in BY_CHANNEL:
        channels = {key: key.partition("/")[2] for key in scores if key.startswith(f"{name}/")}
        label = metrics[name].label[0].upper() + metrics[name].label[1:]
        if channels:
            title = f"{label} of each channel"
            tables.append(score_table(view, title, channels, view.scored_arms, BASELINE))
    return [*tables, *control_table(view, block.columns)]


def _pictures(view: View, block: Block) -> list[Picture]:
    drawn = [draw(view) for draw in (raster, traces, confusions, once, psth, neurons, curves)]
    return [picture for picture in drawn if picture is not None]
