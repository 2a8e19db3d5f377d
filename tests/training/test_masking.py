import pytest
import torch
from conftest import make_task, make_trials, refuses
from torch import nn

from neuroblend.config import HideBins, HideEntries, TrainingConfig
from neuroblend.training.masking import EntryMask, TimeMask, mask_for


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


def test_hidden_entries_show_the_shares_that_were_asked_for() -> None:
    spikes = 1.0 + torch.arange(6).repeat(40, 50, 1) * 100 + torch.randint(0, 50, (40, 50, 6))
    hidden = torch.zeros(spikes.shape, dtype=torch.bool)
    batch = make_task().batch("train")._replace(spikes=spikes, target=spikes, scored=hidden)
    mask = TimeMask(0.4, random=0.3, kept=0.2)
    masked = mask(batch, 3)
    hidden = masked.scored.any(dim=2)
    assert torch.equal(masked.spikes[~hidden], batch.spikes[~hidden])
    shown, was = masked.spikes[hidden], batch.spikes[hidden]
    assert (shown == 0).float().mean().item() == pytest.approx(0.5, abs=0.03)
    same = (shown == was).float().mean().item()
    assert same == pytest.approx(0.2 + 0.3 / 50, abs=0.03)  # a random one may be the same by chance
    drawn = (shown != 0) & (shown != was)
    # a count of the same neuron
    assert ((shown[drawn] - 1) // 100 == (was[drawn] - 1) // 100).all()
    assert torch.equal(masked.spikes, mask(batch, 3).spikes)
    assert torch.equal(masked.scored, TimeMask(0.4)(batch, 3).scored)


def test_random_counts_of_padded_trials_come_from_bins_that_are_there() -> None:
    batch = make_task().batch("train")
    present = torch.ones(batch.spikes.shape[:2], dtype=torch.bool)
    present[:, 6:] = False
    spikes = torch.where(present[:, :, None], 1.0, 99.0).expand(batch.spikes.shape)
    masked = TimeMask(0.5, random=1.0)(batch._replace(spikes=spikes, present=present), 0)
    assert (masked.spikes[:, :6] == 1).all()


def test_spans_come_in_as_training_goes_on() -> None:
    mask = TimeMask(max_span=4, ramp=(0.2, 0.6))
    found = [mask.at(progress).expand_probability for progress in (0, 0.2, 0.3, 0.6, 1)]
    assert found == pytest.approx([0, 0, 0.25, 1, 1])
    assert TimeMask(ramp=(0.5, 0.5)).at(0.5).expand_probability == 1
    assert TimeMask().at(0.1) == TimeMask()


@pytest.mark.parametrize(
    ("given", "default", "wanted"),
    [
        ({}, None, TimeMask()),
        ({}, "entries", EntryMask()),
        ({"mask": HideBins(random=0.1)}, "entries", TimeMask(random=0.1)),
        ({"mask": HideEntries(ratio=0.4)}, None, EntryMask(0.4)),
    ],
)
def test_a_network_may_say_what_is_hidden_where_settings_do_not(given, default, wanted) -> None:
    net = nn.Linear(2, 2)
    if default:
        net.default_mask = default
    assert mask_for(TrainingConfig(**given), net) == wanted


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


def test_a_mask_that_does_not_exist_is_refused() -> None:
    net = nn.Identity()
    net.default_mask = "entry"
    refuses("no mask 'entry': did you mean 'entries'", mask_for, TrainingConfig(), net)
