import pytest
import torch
from conftest import make_task

from neuroblend.training.masking import TimeMask


def test_hidden_bins_are_zero_and_scored_and_the_rest_is_as_it_was() -> None:
    batch = make_task(forward_bins=2).batch("train")
    masked = TimeMask(0.3)(batch, seed=1)
    hidden = TimeMask(0.3).draw(batch.n_trials, 10, seed=1)
    assert 0 < hidden.sum() < hidden.numel()
    assert (masked.spikes[hidden] == 0).all()
    assert torch.equal(masked.spikes[~hidden], batch.spikes[~hidden])
    assert torch.equal(masked.scored[:, :10, :8], hidden[:, :, None].expand(-1, -1, 8))
    assert masked.scored[:, :, 8:].all()
    assert masked.scored[:, 10:].all()
    assert not batch.scored[:, :10, :8].any()


def test_the_same_seed_hides_the_same_bins() -> None:
    mask = TimeMask()
    assert torch.equal(mask.draw(20, 30, 5), mask.draw(20, 30, 5))
    assert not torch.equal(mask.draw(20, 30, 5), mask.draw(20, 30, 6))


@pytest.mark.parametrize("span", [1, 3, 6])
def test_the_share_of_hidden_bins(span) -> None:
    mask = TimeMask(0.25, span, expand_probability=1.0)
    share = torch.stack([mask.draw(50, 60, s).float().mean() for s in range(100)]).mean()
    assert 0.2 < share < 0.26


def test_spans_are_longer_than_single_bins() -> None:
    def mean_run(mask: TimeMask) -> float:
        n_hidden = n_runs = 0
        for seed in range(30):
            hidden = mask.draw(50, 200, seed)
            starts = hidden & ~torch.nn.functional.pad(hidden, (1, 0))[:, :-1]
            n_hidden += int(hidden.sum())
            n_runs += int(starts.sum())
        return n_hidden / n_runs

    single = mean_run(TimeMask(0.1, 1))
    assert single == pytest.approx(1 / 0.9, rel=0.05)
    assert mean_run(TimeMask(0.1, 6, expand_probability=1.0)) > 2 * single


def test_something_is_always_hidden() -> None:
    assert TimeMask(1e-9).draw(1, 5, 0).sum() == 1
