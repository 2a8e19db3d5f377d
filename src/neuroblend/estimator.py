"""Teacher, student and read-out of behavior as one scikit-learn estimator.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons, ``D`` behavior channels, ``H`` features.
"""

# mypy: allow-subclassing-any

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    RegressorMixin,
    TransformerMixin,
)
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from neuroblend.config import parse_settings
from neuroblend.data.checks import checked_bin_width
from neuroblend.data.counts import checked_counts
from neuroblend.data.split import Split, split_trials
from neuroblend.data.trials import Trials
from neuroblend.deploy.neurons import KnownNeurons
from neuroblend.deploy.prediction import Prediction
from neuroblend.deploy.signals import StudentSignals
from neuroblend.deploy.student import TrainedStudent
from neuroblend.engine.arm import BASELINE, MULTITASK, TEACHER, Arm, Fit
from neuroblend.engine.job import fit_seed
from neuroblend.errors import InputError, blamed_on
from neuroblend.evaluation.decoder import Decoder
from neuroblend.evaluation.metrics import ErrorSums
from neuroblend.evaluation.predict import in_recorded_order, rates_and_features
from neuroblend.evaluation.readout import behavior_scores
from neuroblend.evaluation.score import score_rates
from neuroblend.experiments.decoding.experiment import Decoding
from neuroblend.experiments.decoding.networks import feature_layer, student_settings
from neuroblend.experiments.decoding.settings import RunConfig
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.task.task import Task
from neuroblend.training.train import train


class Blend(ClassNamePrefixFeaturesOutMixin, RegressorMixin, TransformerMixin, BaseEstimator):
    """A student that learned from behavior, and decodes it from spikes alone.

    ``fit`` trains a teacher on spikes and behavior, then a student of it that sees spikes alone
    (BLEND, Guo et al., ICLR 2025), and fits a read-out of behavior from the student's rates or
    features, whichever validates best; it is what an arm of a run is, without test trials, which
    are left to ``score`` and to cross-validation. Networks are built, trained and read out by the
    code of a run, so that the same seed and the same trials give the same numbers.

    ``X`` are whole spike counts in bins of one width: (trial, bin, neuron), or (bin, neuron) of a
    continuous recording. The latter is cut into windows side by side, a rest shorter than a window
    is left out, and validation windows lie in blocks with a window left out at their edges.
    ``y`` is behavior: (trial, bin) or (trial, bin, channel); (bin,) or (bin, channel). NaN marks a
    sample that is missing.

    What is predicted has the shape of its ``X``. Trials longer than those of training, and
    continuous recordings, are seen in windows of the training length that overlap by as many bins
    as the network looks around one, so that seams do not show where that is bounded; with
    ``causal``, in longer ones, and what is predicted is what a stream gives. Shorter trials are
    padded, and the network told so.

    Args:
        model: A registered network, or the user's own as ``package.module:builder`` or as the
            builder itself.
        strategy: What the student follows beside its spikes: names of strategies joined by ``+``,
            such as ``"hard"`` or ``"multitask"`` (which needs no teacher), a class of the user's
            own, or ``"baseline"`` for nothing.
        alpha: Weight of spikes against the teacher, 0 to 1.
        bin_s: Width of a bin in seconds.
        window_s: Length in seconds of the windows that a continuous recording is cut into.
        held_out: Fraction of neurons that the student predicts but does not see, from which
            training knows when to stop; at 0, hidden bins alone say that, and all neurons are seen.
        validation_fraction: Fraction of trials or windows that training stops by and the read-out
            is chosen on.
        epochs: Most epochs; where ``None``, as many as make about 900 steps, 60 to 300.
        lr: Peak learning rate of AdamW.
        batch_size: Trials or windows in a batch.
        model_settings: Keyword arguments of the network's builder, by name.
        fusion: How behavior reaches the teacher.
        causal: Whether nothing that the student gives may depend on later spikes, its read-out
            included, so that ``trained_`` streams. The teacher sees whole trials all the same.
        random_state: Decides split, initial weights, order, masks and dropout. A whole number gives
            the same estimator each time, and different settings the same draws.
        accelerator: ``auto``, ``cpu``, ``gpu``, ``cuda`` or ``mps``.
        verbose: Whether to show progress bars.

    Attributes:
        student_: The trained student, called on a batch.
        teacher_: Its frozen teacher; ``None`` where the strategy wants none.
        decoder_: From :attr:`readout_`'s signal to behavior, in the units of ``y``.
        readout_: What behavior is read out of: bins, and ``"rates"`` or ``"features"``.
        layer_: Layer of the student whose output the features are.
        split_: Which trials or windows trained and validated, and which neurons were held out.
        scores_: Scores on what validated: ``decoding_r2``, ``behavior_r2`` of the same bin alone,
            and ``co_bps`` (bits/spike) of held-out neurons, if any. Choices were made by them, so
            they flatter.
        history_: A row an epoch: ``role`` (teacher or student), ``epoch``, ``lr``, ``loss``, each
            term, and ``valid``.
        unit_id_: (N,) index of the columns of ``X`` that fired in training; others are ignored.
        trained_: The student with its read-out, which is saved to a file
            (:func:`~neuroblend.deploy.bundle.save_student`) and, if ``causal``, streams. It knows
            neurons by the names of ``X``'s columns, or by their numbers where they have none.
        n_bins_: Bins of a trial or window of training.
        notes_: What was left out or is missing, in sentences.
        n_features_in_: Columns of ``X``.
        feature_names_in_: Their names, where ``X`` was a data frame.
    """

    def __init__(
        self,
        model: str | Callable[..., Any] = "ndt",
        strategy: str | type = "feature+multitask",
        alpha: float = 0.75,
        bin_s: float = 0.02,
        window_s: float = 1.0,
        held_out: float = 0.0,
        validation_fraction: float = 0.2,
        epochs: int | None = None,
        lr: float = 2e-3,
        batch_size: int = 16,
        model_settings: dict[str, Any] | None = None,
        fusion: str | Callable[..., Any] = "concat",
        causal: bool = False,
        random_state: int | np.random.RandomState | None = 0,
        accelerator: str = "auto",
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.strategy = strategy
        self.alpha = alpha
        self.bin_s = bin_s
        self.window_s = window_s
        self.held_out = held_out
        self.validation_fraction = validation_fraction
        self.epochs = epochs
        self.lr = lr
        self.batch_size = batch_size
        self.model_settings = model_settings
        self.fusion = fusion
        self.causal = causal
        self.random_state = random_state
        self.accelerator = accelerator
        self.verbose = verbose

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on spikes and behavior.

        Args:
            X: (B, T, N) or (T, N) counts/bin.
            y: (B, T), (B, T, D), (T,) or (T, D) behavior, NaN where missing.

        Raises:
            InputError: Spikes are no whole counts, shapes do not fit, there are too few trials or
                windows, or a setting cannot be used.
        """
        seed = self._seed()
        experiment = Decoding(self._config(seed))
        config = experiment.config
        counts, is_continuous = self._counts(X, reset=True)
        behavior, self._has_channels = _behavior(y, counts, is_continuous)
        trials = self._trials(counts, behavior, is_continuous)
        task = Task.of(trials, self._split(trials, seed))
        arms = {arm.name: arm for arm in experiment.arms()}
        arm = arms[BASELINE if self.strategy == BASELINE else config.distill.strategies[0]]
        experiment.check(task)
        histories = {}

        def trained(arm: Arm, role: str, teacher: Teacher | None = None) -> Student | Teacher:
            drawn = fit_seed(Fit(arm, seed, None))
            model = experiment.build(arm, task, drawn)
            assert model is not None
            objective = experiment.objective(arm, model, task, teacher)
            settings, bar = config.training, bool(self.verbose)
            part = experiment.trains_on(arm, task)
            histories[role] = train(model, part, objective, settings, drawn, bar=bar)
            return model

        teacher: Any = None
        if arm.needs_teacher:
            teacher = trained(arms[TEACHER], "teacher")
            teacher.freeze()
        self.student_ = trained(arm, "student", teacher)
        self.teacher_ = teacher
        self.layer_ = feature_layer(config.model, self.student_.net)
        batch = task.batch_of(np.arange(trials.n_trials))
        rates, features = rates_and_features(self.student_, batch, self.layer_)
        scored, self.scores_ = score_rates(
            in_recorded_order(rates, task.split.order), task, features, experiment.families(arm)
        )
        self.decoder_: Decoder = scored.decoder
        signal, family = scored.readout
        self.readout_ = f"{family} of {signal}"
        self.split_ = task.split
        self.history_ = pd.concat(
            [found.assign(role=role) for role, found in histories.items()], ignore_index=True
        )
        self.history_.insert(0, "role", self.history_.pop("role"))
        self.unit_id_, self.n_bins_, self.notes_ = trials.unit_index, trials.n_bins, trials.notes
        known = {name: score for name, score in self.scores_.items() if np.isfinite(score)}
        self.trained_ = TrainedStudent(
            arm=arm.name,
            seed=seed,
            spec=task.spec,
            neurons=KnownNeurons.of(trials, task.split.held_out),
            signals=StudentSignals(self.student_, self.layer_, task.split.held_out),
            decoder=scored.decoder,
            readout=scored.readout,
            channels=trials.channels,
            model=self.student_,
            layer=self.layer_,
            network=(config.model.name, student_settings(config.model)),
            task=task,
            about={"scores": known, "notes": list(trials.notes)},
        )
        self._n_features_out = features.shape[2]
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return behavior in its units, (B, T, D) or (T, D); without ``D`` if ``y`` had none.

        Args:
            X: (B, T, N) or (T, N) counts/bin, in trials of any length.

        Raises:
            InputError: Spikes are no whole counts, or of other neurons than in training.
        """
        said, is_continuous = self._predicted(X)
        decoded = said.behavior.astype(np.float64)
        decoded = decoded if self._has_channels else decoded[:, :, 0]
        return decoded[0] if is_continuous else decoded

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return features of the student, its latents: (B, T, H), or (T, H) for (T, N) counts/bin.

        Raises:
            InputError: As :meth:`predict`; or a data frame is asked for, and there are trials.
        """
        said, is_continuous = self._predicted(X)
        assert said.latents is not None
        if is_continuous:
            return said.latents[0]
        wanted = getattr(self, "_sklearn_output_config", {}).get("transform")
        wanted = wanted or get_config()["transform_output"]
        if wanted != "default":
            raise InputError(
                f"set_output: found '{wanted}' and spikes (trial, bin, neuron), wanted (bin, "
                "neuron), since a data frame has two axes"
            )
        return said.latents

    def predict_rates(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return expected counts/bin of the shape of ``X``, NaN for neurons silent in training.

        Raises:
            InputError: As :meth:`predict`.
        """
        said, is_continuous = self._predicted(X)
        assert said.rates is not None
        shape = (*said.rates.shape[:2], self.n_features_in_)
        rates = np.full(shape, np.nan, dtype=np.float32)
        rates[:, :, self.unit_id_] = said.rates
        return rates[0] if is_continuous else rates

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Return R² of behavior over all bins that have samples, mean over channels.

        Args:
            X: (B, T, N) or (T, N) counts/bin.
            y: Behavior as in :meth:`fit`.

        Raises:
            InputError: As :meth:`predict`, or behavior is of another shape.
        """
        decoded = self.predict(X)
        true = _numbers(y)
        if true.shape != decoded.shape:
            raise InputError(f"y: found shape {true.shape}, wanted {decoded.shape}")
        shape = (-1, 1, decoded.shape[-1] if self._has_channels else 1)
        sums = ErrorSums.of(decoded.reshape(shape), true.reshape(shape))
        return float(behavior_scores(sums, ())["behavior_r2"][0])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.positive_only = True
        tags.target_tags.multi_output = True
        tags.transformer_tags.preserves_dtype = []  # counts in, features out
        return tags

    def _seed(self) -> int:
        if isinstance(self.random_state, (int, np.integer)) and self.random_state >= 0:
            return int(self.random_state)
        try:
            return int(check_random_state(self.random_state).randint(2**31 - 1))
        except ValueError as error:
            raise InputError(f"random_state: {error}") from None

    def _config(self, seed: int) -> RunConfig:
        """Return the settings of a run with this one strategy."""
        strategy = MULTITASK if self.strategy == BASELINE else self.strategy
        return parse_settings(
            RunConfig,
            {
                "data": {"held_out": self.held_out},
                "model": {
                    "name": self.model,
                    "settings": {
                        name: value.item() if isinstance(value, np.generic) else value
                        for name, value in (self.model_settings or {}).items()
                    },
                    "fusion": self.fusion,
                    "causal": self.causal,
                },
                "distill": {"strategies": [strategy], "alpha": self.alpha},
                "training": {
                    "epochs": self.epochs,
                    "lr": self.lr,
                    "batch_size": self.batch_size,
                    "accelerator": self.accelerator,
                },
                "controls": "none",
                "seeds": 1,
                "first_seed": seed,
            },
            "Blend",
        )

    def _counts(self, X: ArrayLike, reset: bool) -> tuple[NDArray[np.unsignedinteger[Any]], bool]:
        """Return (B, T, N) checked counts/bin, B being 1 for a continuous recording, and if so."""
        array = _spikes(X)
        is_continuous = array.ndim == 2
        if not (is_continuous or reset) and array.shape[2] != self.n_features_in_:
            raise InputError(
                f"X has {array.shape[2]} features, but Blend is expecting {self.n_features_in_} "
                "features (neurons) as input"
            )
        if is_continuous or reset:  # names of columns too, which a data frame alone has
            named = X if is_continuous else array[0]
            with _in_one_line():
                validate_data(self, named, reset=reset, skip_check_array=True)
        return checked_counts(array[None] if is_continuous else array), is_continuous

    def _trials(self, counts: NDArray[Any], behavior: NDArray[Any], is_continuous: bool) -> Trials:
        names = getattr(self, "feature_names_in_", None)
        if not is_continuous:
            return Trials.from_arrays(counts, self.bin_s, behavior, unit_id=names)
        width = checked_bin_width(self.bin_s)
        try:
            n_bins = round(self.window_s / width)
        except (TypeError, ValueError, OverflowError):  # None, NaN or infinite
            n_bins = 0
        n_windows = counts.shape[1] // n_bins if n_bins > 0 else 0
        if n_windows < 2:
            raise InputError(
                f"X: found n_samples={counts.shape[1]} bins, wanted many windows of {n_bins} bins "
                f"(window_s {self.window_s}, bin_s {width:g})"
            )
        spikes, signals = (
            values[0, : n_windows * n_bins].reshape(n_windows, n_bins, -1)
            for values in (counts, behavior)
        )
        return Trials.from_arrays(
            spikes, self.bin_s, signals, window_id=np.arange(n_windows), unit_id=names
        )

    def _split(self, trials: Trials, seed: int) -> Split:
        share = self.validation_fraction
        if not (isinstance(share, (float, np.floating)) and 0 < share < 1):
            raise InputError(
                f"validation_fraction: found {share!r}, wanted a fraction more than 0, less than 1"
            )
        try:
            return split_trials(trials, seed, self.held_out, shares=(1 - share, share, 0.0))
        except InputError as error:
            if trials.window_id is None:
                raise
            raise InputError(
                f"{error}; a shorter window_s than {self.window_s:g} makes more windows"
            ) from None

    def _predicted(self, X: ArrayLike) -> tuple[Prediction, bool]:
        """Return what the student says, and whether ``X`` is one stretch of time."""
        check_is_fitted(self)
        counts, is_continuous = self._counts(X, reset=False)
        spikes = counts[0] if is_continuous else counts
        n_bins = counts.shape[1]
        with blamed_on(f"model {self.model}: on {n_bins} bins, trained on {self.n_bins_},"):
            return self.trained_.predict(spikes, match="position"), is_continuous


def _spikes(X: ArrayLike) -> NDArray[Any]:
    """Return (B, T, N) or (T, N) numbers, with scikit-learn's checks of what can be an array."""
    with _in_one_line():
        array: NDArray[Any] = check_array(
            X, allow_nd=True, ensure_2d=False, ensure_all_finite=False, input_name="X"
        )
    if array.ndim not in (2, 3):
        raise InputError(
            f"X: found shape {array.shape}, wanted counts per bin (bin, neuron) or (trial, bin, "
            "neuron). Reshape your data"
        )
    if array.dtype.kind in "if" and (lowest := np.nanmin(array, initial=0)) < 0:
        raise InputError(
            f"Negative values in data passed to X: down to {lowest:g}, wanted counts per bin"
        )
    return array


def _numbers(y: ArrayLike | None) -> NDArray[np.float64]:
    if y is None:
        raise InputError(
            "Blend requires y to be passed, but the target y is None: wanted behavior, of which "
            "the student learns and which it decodes"
        )
    try:
        return np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"y: wanted numbers, NaN where missing ({error})") from None


def _behavior(
    y: ArrayLike, counts: NDArray[Any], is_continuous: bool
) -> tuple[NDArray[np.float64], bool]:
    """Return (B, T, D) behavior, and whether it was given with an axis of channels."""
    values = _numbers(y)
    wanted = counts.shape[1:2] if is_continuous else counts.shape[:2]
    axes = "(bin,) or (bin, channel)" if is_continuous else "(trial, bin) or (trial, bin, channel)"
    if values.shape[: len(wanted)] != wanted or values.ndim > len(wanted) + 1:
        raise InputError(
            f"y: found shape {values.shape}, wanted {axes} of the {' x '.join(map(str, wanted))} "
            f"{'bins' if is_continuous else 'trials x bins'} of X"
        )
    has_channels = values.ndim > len(wanted)
    values = values if has_channels else values[..., None]
    return values[None] if is_continuous else values, has_channels


@contextmanager
def _in_one_line() -> Iterator[None]:
    """Turn what scikit-learn says of an array into one line of an input error."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise InputError(" ".join(str(error).split())) from None
