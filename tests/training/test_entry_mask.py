"""Coordinated dropout."""

import pytest
import torch
from conftest import make_task, make_trials

from neuroblend.training.masking import EntryMask


def test_entries_are_hidden_scored_and_the_rest_scaled_up() -> None:
    task = make_task(make_trials(n_trials=300))
    batch = task.batch("train")
    masked = EntryMask(ratio=0.3)(batch, 1)
    hidden = masked.scored[:, :, : task.spec.n_in]
    assert hidden.float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert torch.equal(masked.spikes[hidden], torch.zeros(int(hidden.sum())))
    torch.testing.assert_close(masked.spikes[~hidden], batch.spikes[~hidden] / 0.7)
    assert masked.spikes.mean().item() == pytest.approx(batch.spikes.mean().item(), rel=0.05)
    assert masked.scored[:, :, task.spec.n_in :].all()
    # entries, not bins: within a bin some are hidden and some are not
    mixed = hidden.any(dim=2) & ~hidden.all(dim=2)
    assert mixed.float().mean() > 0.8


def test_the_same_seed_hides_the_same_entries() -> None:
    batch = make_task().batch("train")
    first, again, other = (EntryMask()(batch, seed).spikes for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
