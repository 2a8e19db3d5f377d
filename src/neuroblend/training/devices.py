"""What there is to train on, checked before training begins."""

import os

import torch

from neuroblend.config import TrainingSettings
from neuroblend.errors import InputError
from neuroblend.task.batch import n_batches


def as_device(accelerator: str) -> torch.device:
    """Return the device that Lightning's ``accelerator`` names here.

    Raises:
        InputError: There is none such.
    """
    has_mps = torch.backends.mps.is_available()
    if accelerator == "auto":
        accelerator = "gpu" if torch.cuda.is_available() or has_mps else "cpu"
    if accelerator == "cpu":
        return torch.device("cpu")
    if accelerator in ("gpu", "cuda") and torch.cuda.is_available():
        return torch.device("cuda")
    if accelerator in ("gpu", "mps") and has_mps:
        return torch.device("mps")
    raise InputError(f"--accelerator {accelerator}: none on this machine; wanted auto or cpu")


def own_device(device: torch.device) -> torch.device:
    """Return this process's device, where several train together (as Lightning numbers them)."""
    rank = os.environ.get("LOCAL_RANK")
    return device if device.type != "cuda" or rank is None else torch.device("cuda", int(rank))


def is_main(n_devices: int) -> bool:
    """Whether this process, one of ``n_devices``, is the one that writes files."""
    return n_devices == 1 or os.environ.get("LOCAL_RANK", "0") == "0"


def n_devices(device: torch.device) -> int:
    """Return how many devices of that kind there are; on a CPU, its cores."""
    if device.type == "cuda":
        return torch.cuda.device_count()
    if device.type == "mps":
        return 1
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def check_devices(settings: TrainingSettings, device: torch.device, n_trials: int) -> None:
    """Check that a training can be done on what there is.

    Raises:
        InputError: There are fewer devices, or fewer trials in a batch than devices, or the device
            does not do the precision.
    """
    there = n_devices(device)
    if settings.n_devices > there:
        kind = "CPU core" if device.type == "cpu" else device.type.upper() + " device"
        raise InputError(
            f"--devices {settings.n_devices}: found {there} {kind}{'s' * (there != 1)} on this "
            f"machine, wanted as many; give --devices {there} or fewer"
        )
    fewest = n_trials // n_batches(n_trials, settings.batch_size)
    if settings.n_devices > fewest:
        raise InputError(
            f"--devices {settings.n_devices}: batches of {fewest} trials cannot be divided among "
            "them"
        )
    if settings.precision == "16-mixed" and device.type != "cuda":
        raise InputError("--precision 16-mixed: needs a CUDA GPU; wanted bf16-mixed or 32-true")
    if settings.precision == "bf16-mixed" and not has_bf16(device):
        raise InputError(
            f"--precision bf16-mixed: this {device.type.upper()} device does not do it; wanted "
            "32-true" + (" or 16-mixed" if device.type == "cuda" else "")
        )


def has_bf16(device: torch.device) -> bool:
    """Return whether ``device`` computes in bfloat16."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu"
