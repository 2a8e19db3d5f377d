import pickle

import pytest
import torch
from conftest import refuses
from torch import nn

from neuroblend.files import write_json, write_whole
from neuroblend.training.checkpoint import SafetensorsIO, load_weights, save_weights


def test_a_training_state_survives_without_pickles(tmp_path, monkeypatch) -> None:
    moments = {"exp_avg": torch.randn(3, 2), "step": torch.tensor(4.0)}
    state = {
        "epoch": 3,
        "none": None,
        "optimizer_states": [{"state": {0: moments}}],
        "betas": (0.9, 0.999),
        "inf": float("inf"),
        "ints": torch.arange(3),
        "flag": True,
    }

    def forbidden(*args: object, **kwargs: object) -> None:
        raise AssertionError("something was pickled or unpickled")

    for name in ("load", "loads", "dump", "dumps", "Unpickler", "Pickler"):
        monkeypatch.setattr(pickle, name, forbidden)
    path = tmp_path / "state.safetensors"
    SafetensorsIO().save_checkpoint(state, path)
    again = SafetensorsIO().load_checkpoint(path)
    found = again.pop("optimizer_states")[0]["state"][0]
    del state["optimizer_states"]
    assert torch.equal(found["exp_avg"], moments["exp_avg"])
    assert torch.equal(again.pop("ints"), state.pop("ints"))
    assert again == state
    assert isinstance(again["betas"], tuple)
    with pytest.raises(TypeError, match="not stored"):
        SafetensorsIO().save_checkpoint({"odd": object()}, path)


def test_weights_survive_and_others_are_refused(tmp_path) -> None:
    path = tmp_path / "w.safetensors"
    model = nn.Linear(3, 2)
    save_weights(model, path)
    other = nn.Linear(3, 2)
    load_weights(other, path)
    assert torch.equal(model.weight, other.weight)
    refuses("weights of another model .*size mismatch", load_weights, nn.Linear(4, 2), path)
    path.write_bytes(path.read_bytes()[:20])
    refuses("cannot be read as safetensors", load_weights, other, path)
    refuses("cannot be read as safetensors", load_weights, other, tmp_path / "none")


def test_tied_weights_are_saved(tmp_path) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    save_weights(model, tmp_path / "w")
    load_weights(model, tmp_path / "w")


def test_a_failed_write_leaves_what_was_there(tmp_path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})

    def fails(partial) -> None:
        partial.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_whole(path, fails)
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("nan")})
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]
