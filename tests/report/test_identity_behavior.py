"""What the page says of the behavior that a gain comes from."""

from types import SimpleNamespace

from neuroblend.report.identity.behavior import _of_gain


def said(student: dict[str, float], baseline: dict[str, float], full: tuple[float, float]) -> str:
    without = {"hard": student, "baseline": baseline}
    ablation = {
        arm: {"full": f, "without_all": sum(found.values()) / 10, "without": found}
        for (arm, found), f in zip(without.items(), full, strict=True)
    }
    view = SimpleNamespace(results={"ablation": ablation}, selected="hard")
    return _of_gain(view)


def test_a_gain_is_divided_among_channels() -> None:
    text = said({"pupil": 0.3, "speed": 0.55}, {"pupil": 0.25, "speed": 0.3}, (0.6, 0.3))
    assert "gain of +0.300 by such a classifier, +0.050 is left without pupil" in text
    assert "the least of all channels, and +0.030 without all of them." in text


def test_one_channel_is_not_the_least_of_all() -> None:
    text = said({"pupil": 0.3}, {"pupil": 0.25}, (0.6, 0.3))
    assert text.endswith("+0.050 is left without pupil.")


def test_where_there_is_no_gain_none_is_divided() -> None:
    text = said({"pupil": 0.3}, {"pupil": 0.25}, (0.3, 0.32))
    assert text.endswith("the student does not gain, so that there is nothing to divide.")
    assert "pupil" not in text
