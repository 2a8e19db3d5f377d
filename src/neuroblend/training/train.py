"""One training loop for teacher, student and baseline alike, on Lightning."""

import logging
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import lightning.pytorch as pl
import pandas as pd
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback, Checkpoint, EarlyStopping
from torch import Tensor, nn

from neuroblend.config import TrainingConfig, TrainingSettings, parse_settings
from neuroblend.distill.objective import Objective, TaskLoss, of_shape, poisson_nll
from neuroblend.distributed import n_processes, summed_over_processes
from neuroblend.errors import InputError
from neuroblend.seeds import mixed_seed
from neuroblend.task.batch import Batch, Batches
from neuroblend.training.augment import augmented, check_counts
from neuroblend.training.checkpoint import SafetensorsIO
from neuroblend.training.devices import as_device, check_devices, own_device
from neuroblend.training.masking import TimeMask, mask_for

SCALED = "16-mixed"  # the precision that scales gradients
RESUME_FILE = "resume.safetensors"
SAVE_EVERY_S = 15.0
N_VALID_MASKS = 2  # masks that a validation score is averaged over, the same ones in every epoch


class Epoch(Protocol):
    """The batches of an epoch, in an order that the number of the epoch decides."""

    epoch: int

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Batch]: ...


class Trainable(Protocol):
    """What can be learned: a :class:`~neuroblend.task.task.Task`, or anything that gives these."""

    @property
    def n_train(self) -> int:
        """Number of training trials."""
        ...

    def example(self) -> Batch:
        """Return training trials, unmasked, from which an objective makes its weights."""
        ...

    def train_batches(self, size: int, seed: int, device: torch.device) -> Epoch:
        """Return batches of about ``size`` training trials each, on ``device``."""
        ...

    def valid_batches(self) -> list[Batch]:
        """Return the validation trials, unmasked, each batch of neurons of its own."""
        ...


@runtime_checkable
class NeedsData(Protocol):
    """An objective that makes weights of its own before training."""

    def prepare(self, model: nn.Module, batch: Batch) -> None:
        """Make them, from the training trials."""
        ...


@runtime_checkable
class FitsItself(Protocol):
    """A network that is fitted without gradients, from training trials as they are."""

    def fit_to(self, spikes: Tensor, target: Tensor, present: Tensor | None = None) -> object:
        """Fit to (B, T_in, N_in) spikes and (B, T, N) targets, both in counts/bin."""
        ...


@runtime_checkable
class Paced(Protocol):
    """An objective that wants to know how far training is, from 0 to 1."""

    progress: float


def train(
    model: nn.Module,
    task: Trainable,
    objective: Callable[[nn.Module, Batch], dict[str, Tensor]] | None = None,
    settings: TrainingSettings | dict[str, Any] | None = None,
    seed: int = 0,
    folder: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    bar: bool = False,
    yardstick: TaskLoss = poisson_nll,
) -> pd.DataFrame:
    """Train ``model`` and leave it with the weights that validated best.

    The validation score is the loss of held-out neurons, forward bins and hidden bins of
    validation trials, whatever the objective, so that all arms are chosen by one yardstick.

    Args:
        model: A :class:`~neuroblend.privilege.roles.Student` or ``Teacher``, called on a batch.
        task: Trials, split and sizes.
        objective: ``(model, batch) -> {"loss": ..., name: ...}``; by default the task alone. One
            with a method ``prepare`` (as :class:`~neuroblend.distill.objective.Objective` has)
            makes its own weights before training; those that are modules are trained along.
        settings: How to train; a dict of settings too.
        seed: Decides order, masks and dropout; initial weights are the caller's.
        folder: Where the training state is kept, so that the same call goes on from there after an
            interruption; removed when training ends. ``None`` keeps none.
        progress: Called with (epochs done, most epochs).
        bar: Whether to show Lightning's progress bar.
        yardstick: The loss that validates: the Poisson loss of log rates, or another.

    Returns:
        One row an epoch: ``epoch``, ``lr``, mean ``loss`` and terms in training, ``valid``. None
        for a student of a network that has a method ``fit_to``, which is called instead.

    Raises:
        InputError: The device is not to be had, activity that is no counts is to be thinned, the
            model's output is no tensor of the target's
            shape, or the loss is not finite.
    """
    net: object = getattr(model, "net", None)
    if isinstance(net, FitsItself):
        if objective is not None:
            raise InputError("training: a network that fits itself takes no objective")
        whole = task.example()
        assert whole.target is not None
        net.fit_to(whole.spikes, whole.target, whole.present)
        model.eval()
        return pd.DataFrame(columns=["epoch", "lr", "loss", "valid"])
    if settings is None or isinstance(settings, dict):
        settings = parse_settings(TrainingConfig, settings or {}, "training")
    given: object = objective
    if isinstance(given, str):
        raise InputError(f"training: found objective '{given}', wanted Objective('{given}', ...)")
    objective = Objective() if objective is None else objective
    resume = None if folder is None else Path(folder) / RESUME_FILE
    device = own_device(as_device(settings.accelerator))
    check_devices(settings, device, task.n_train)
    check_counts(settings.augments, task)
    if not any(weight.requires_grad for weight in model.parameters()):
        raise InputError("training: the model has no weights that learn; wanted some")
    with _quiet(), torch.random.fork_rng(enabled=True):
        torch.manual_seed(mixed_seed(seed, 11))
        model.to(device)
        if isinstance(objective, nn.Module):
            objective.to(device)
        if isinstance(objective, NeedsData):
            objective.prepare(model, task.example().to(device))
        batches = task.train_batches(settings.batch_size, seed, device)
        n_epochs = settings.most_epochs(len(batches))
        loop = _Loop(model, objective, task, settings, seed, len(batches), device, yardstick)
        best = _Best()
        callbacks: list[Callback] = [
            best,
            EarlyStopping("valid", patience=max(1, settings.patience // settings.valid_every)),
        ]
        if progress is not None:
            callbacks.append(_Progress(progress, n_epochs))
        if resume is not None:
            callbacks.append(_Resume(resume))
        trainer = pl.Trainer(
            accelerator=device.type if device.type != "cuda" else "gpu",
            devices=settings.n_devices,
            # a user's network may have weights that take no part in some step
            strategy="ddp_find_unused_parameters_true" if settings.n_devices > 1 else "auto",
            use_distributed_sampler=False,  # every process has all trials and takes its part
            precision=settings.precision,
            max_epochs=n_epochs,
            gradient_clip_val=settings.clip,
            check_val_every_n_epoch=min(settings.valid_every, n_epochs),
            num_sanity_val_steps=0,
            callbacks=callbacks,
            # else a cluster's variables decide, even for a training on one machine
            plugins=[SafetensorsIO(), LightningEnvironment()],
            logger=False,
            enable_checkpointing=resume is not None,
            enable_model_summary=False,
            enable_progress_bar=bar,
            deterministic="warn" if device.type == "cuda" else None,
        )
        found = resume is not None and resume.is_file()
        model.train()  # Lightning keeps the mode it finds, such as that of a model used before
        with _interruptible():
            trainer.fit(loop, batches, [0], ckpt_path=str(resume) if found else None)
    best.restore(model)
    loop.cpu()  # the objective and its teacher too, for the next student
    model.eval()
    if resume is not None:
        resume.unlink(missing_ok=True)
    return pd.DataFrame(loop.history)


class _Loop(pl.LightningModule):
    """What Lightning calls in each step."""

    def __init__(
        self,
        model: nn.Module,
        objective: Callable[[nn.Module, Batch], dict[str, Tensor]],
        task: Trainable,
        settings: TrainingSettings,
        seed: int,
        n_batches: int,
        device: torch.device,
        yardstick: TaskLoss,
    ) -> None:
        super().__init__()
        self.yardstick = yardstick
        self.model = model
        self.objective = objective
        self.settings = settings
        self.seed = seed
        self.n_steps = n_batches * settings.most_epochs(n_batches)
        self.mask = mask_for(settings, getattr(model, "net", model))
        self.history: list[dict[str, float]] = []
        self._sums: dict[str, Tensor] = {}
        # without spans, so that scores of all epochs are of the same kind
        mask = self.mask
        if isinstance(mask, TimeMask):
            mask = TimeMask(mask.ratio, max_span=1, asks=mask.asks)
        masked = [
            mask(whole, mixed_seed(seed, 12, i))
            for i in range(N_VALID_MASKS)
            for whole in task.valid_batches()
        ]
        self._valid = [part.to(device) for whole in masked for part in Batches(whole, 256)]

    def configure_optimizers(self) -> Any:
        weights = [weight for weight in self.parameters() if weight.requires_grad]
        optimiser = torch.optim.AdamW(
            weights,
            lr=self.settings.lr,
            weight_decay=self.settings.weight_decay,
            fused=self.settings.precision != SCALED,  # with a gradient scaler, clipping forbids it
        )
        n_warm = max(1, round(self.settings.warmup * self.n_steps))

        def scale(step: int) -> float:
            if step < n_warm:
                return (step + 1) / n_warm
            return 0.5 + 0.5 * math.cos(math.pi * (step - n_warm) / max(1, self.n_steps - n_warm))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, scale)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: Any = None, gradient_clip_algorithm: Any = None
    ) -> None:
        if self.settings.precision == SCALED:  # gradients must be unscaled first
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        else:
            nn.utils.clip_grad_norm_(self.parameters(), self.settings.clip)

    def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
        return batch  # everything lies on the device already

    def on_train_epoch_start(self) -> None:
        # one seed an epoch, so that a training that goes on after an interruption is the same one
        rank = self.trainer.global_rank  # each of several processes has its own dropout
        torch.manual_seed(mixed_seed(self.seed, 13, self.current_epoch, *[rank] * (rank > 0)))
        loader: Any = self.trainer.train_dataloader
        loader.epoch = self.current_epoch
        self._sums = {}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        progress = self.global_step / self.n_steps
        seed = mixed_seed(self.seed, 14, self.global_step)
        masked = self.mask.at(progress)(augmented(batch, self.settings.augments, seed), seed)
        if self.trainer.world_size > 1:
            masked = masked.take(slice(self.trainer.global_rank, None, self.trainer.world_size))
        paced: object = self.objective
        if isinstance(paced, Paced):
            paced.progress = progress
        losses = self.objective(self.model, masked)
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value.detach()
        return losses["loss"]

    def on_train_batch_end(self, *_: Any) -> None:
        # left until the next step, they lie between the tensors of its forward pass, which on a
        # CPU then needs a tenth more memory
        for optimiser in self.trainer.optimizers:
            optimiser.zero_grad()

    def on_train_epoch_end(self) -> None:
        # Lightning validates before this hook, and the score belongs to the same row
        n_batches = self.trainer.num_training_batches
        lr = self.trainer.optimizers[0].param_groups[0]["lr"]
        row = {"epoch": float(self.current_epoch + 1), "lr": lr}
        sums = summed_over_processes(torch.stack([*map(torch.as_tensor, self._sums.values())]))
        means = (sums / n_processes() / n_batches).tolist()
        row |= dict(zip(self._sums, means, strict=True))
        if not math.isfinite(row["loss"]):
            broken = [n for n in self._sums if n != "loss" and not math.isfinite(row[n])]
            of = f" ({', '.join(broken)})" if broken else ""
            raise InputError(
                f"training: the loss{of} is {row['loss']} in epoch {self.current_epoch + 1}; lower "
                f"the learning rate ({self.settings.lr:g}), or see whether the model gives finite "
                "values in training mode"
            )
        valid = self.trainer.callback_metrics.get("valid")
        every = self.trainer.check_val_every_n_epoch or 1
        is_fresh = (self.current_epoch + 1) % every == 0
        row["valid"] = float(valid) if valid is not None and is_fresh else math.nan
        self.history.append(row)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        losses, weights = [], []
        for part in self._valid:
            assert part.target is not None and part.scored is not None
            predicted = of_shape(self.model(part), part.target)
            losses.append(self.yardstick(predicted, part.target, part.scored))
            weights.append(part.scored.sum())
        weight = torch.stack(weights).float()
        self.log("valid", (torch.stack(losses) * weight).sum() / weight.sum(), batch_size=1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = checkpoint["history"]


class _Best(Callback):
    """Keeps the weights of the best validation score, along with the training state."""

    def __init__(self) -> None:
        self.score = math.inf
        self.weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        score = float(trainer.callback_metrics["valid"])
        if score < self.score:
            self.score = score
            model = pl_module.model
            assert isinstance(model, nn.Module)
            self.weights = {k: v.detach().clone() for k, v in model.state_dict().items()}

    def restore(self, model: nn.Module) -> None:
        """Give ``model`` the best weights; its last ones where there was no validation."""
        if self.weights:
            model.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        return {"score": self.score, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.score = state_dict["score"]
        self.weights = state_dict["weights"]


class _Resume(Checkpoint):
    """Writes the training state now and then, once all else that ends an epoch is done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # a training that is about to stop is not saved: going on from there would miss the stop
        is_due = time.monotonic() - self._last >= SAVE_EVERY_S and not trainer.should_stop
        if trainer.strategy.broadcast(is_due):  # all processes save, or none
            trainer.save_checkpoint(self.path)
            self._last = time.monotonic()


class _Progress(Callback):
    """Tells how far training is."""

    def __init__(self, tell: Callable[[int, int], None], n_epochs: int) -> None:
        self.tell = tell
        self.n_epochs = n_epochs

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self.tell(trainer.current_epoch + 1, self.n_epochs)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let an interrupt be one: Lightning turns it into an exit, and then ignores further ones."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if in_main_thread else None
    try:
        yield
    except SystemExit as end:
        raise KeyboardInterrupt from end
    finally:
        if in_main_thread:
            signal.signal(signal.SIGINT, handler)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice (loader workers, devices, tips) away from the user."""
    logs = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [log.level for log in logs]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        for log in logs:
            log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for log, level in zip(logs, levels, strict=True):
                log.setLevel(level)
