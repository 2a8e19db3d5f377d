import pytest

from neuroblend.config import RunConfig, parse_config
from neuroblend.errors import InputError


def test_settings_survive_a_file() -> None:
    config = parse_config({"data": {"behavior": ["a", "b"]}, "training": {"lr": 0.01}})
    assert parse_config(config.model_dump(mode="json")) == config
    assert config.data.behavior == ("a", "b")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"trainig": {}}, "unknown setting 'trainig': did you mean 'training'"),
        ({"training": {"epoch": 3}}, "'training.epoch': did you mean 'epochs'"),
        ({"training": {"epochs": 0}}, "training.epochs: .* greater than or equal to 1, found 0"),
        ({"training": {"lr": "fast"}}, "training.lr: .*found 'fast'"),
        ({"training": {"lr": float("nan")}}, "training.lr"),
        ({"training": {"precision": "8"}}, "training.precision.*'32-true'"),
        ({"training": {"mask_random": 0.7, "mask_kept": 0.4}}, "add up to 1 or less"),
        ({"training": {"mask_ramp": [0.5, 0.2]}}, "wanted the earlier share first"),
        ({"training": {"mask_ramp": [0.5, 2]}}, "training.mask_ramp.1: .*found 2"),
        ({"distill": {"alpha": 2}}, "distill.alpha"),
        ({"distill": {"strategies": ["hard", "hard"]}}, "wanted each once"),
        ({"distill": {"strategies": []}}, "wanted each once"),
        ({"data": {"folds": 1}}, "data.folds"),
        ([], "found list"),
    ],
)
def test_what_cannot_be_used_is_named(content, message) -> None:
    with pytest.raises(InputError, match=message) as error:
        parse_config(content)
    assert "\n" not in str(error.value)


def test_seeds_and_folds() -> None:
    config = RunConfig(seeds=2, first_seed=3)
    assert config.all_seeds == [3, 4]
    assert config.all_folds == [None]
    assert parse_config({"data": {"folds": 3}}).all_folds == [0, 1, 2]
