import json
import random
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import make_trials, refuses, tiny_config
from safetensors import safe_open
from safetensors.numpy import load_file
from safetensors.torch import save_file
from students import make_student
from test_student import counts_of, same

from neuroblend.data.trials import Trials
from neuroblend.deploy.adapt import adapt_student
from neuroblend.deploy.bundle import KEY, _checksum, load_student, save_student
from neuroblend.engine.folder import RunFolder
from neuroblend.errors import InputError
from neuroblend.experiments.decoding.apply import predict_run
from neuroblend.experiments.run import run
from neuroblend.registry import MODELS


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> RunFolder:
    trials = make_trials(unit_id=np.arange(10) * 3 + 1, behavior_units=["cm/s", "cm/s"])
    out = tmp_path_factory.mktemp("runs") / "a"
    references = ["smoothing", "factor_analysis"]
    return run(trials, out, tiny_config(distill={"strategies": ["hard"]}, references=references))


@pytest.mark.parametrize("model", MODELS)
def test_a_student_from_a_file_says_what_it_said_before(model, tmp_path) -> None:
    student = make_student(model, {}, MODELS[model].layer)
    save_student(student, tmp_path / "s.nbm")
    again = load_student(tmp_path / "s.nbm")
    spikes, ids = counts_of((5, 12, 10)), student.neurons.unit_id[::-1]
    same(student.predict(spikes, unit_id=ids), again.predict(spikes, unit_id=ids))
    assert again.predict(spikes, unit_id=ids).behavior_units == ("cm/s", "cm/s")
    assert again.reach == student.reach
    assert repr(again) == repr(student)


@pytest.mark.parametrize("arm", ["selected", "baseline", "direct", "multitask"])
def test_what_a_run_exports_predicts_as_the_run(finished, tmp_path, arm) -> None:
    student = finished.student(None if arm == "selected" else arm)
    save_student(student, tmp_path / "s.nbm")
    trials: Trials = finished.data()
    expected = predict_run(finished, trials, arm)
    found = load_student(tmp_path / "s.nbm").predict(trials)
    assert (expected.matched, found.matched, found.arm) == ("by id", "by id", student.arm)
    np.testing.assert_array_equal(found.behavior, expected.behavior)
    assert found.unit_id.tolist() == (np.arange(10) * 3 + 1).tolist()
    about = load_student(tmp_path / "s.nbm").about
    assert about["data_hash"].startswith("sha256:")
    assert about["scores"]["decoding_r2"]["mean"] == pytest.approx(
        finished.results()["arms"][student.arm]["decoding_r2"]["mean"]
    )


def test_what_a_run_exports_can_be_led_to_other_neurons(finished, tmp_path) -> None:
    trials: Trials = finished.data()
    others = trials.spikes[:, :, ::-1], None, [f"x{i}" for i in range(10)]
    quick = {"epochs": 2, "accelerator": "cpu"}
    save_student(finished.baseline(), tmp_path / "s.nbm")
    student = load_student(tmp_path / "s.nbm")
    known, found = finished.baseline().known_latents, student.known_latents
    np.testing.assert_array_equal(found.covariance, known.covariance)
    np.testing.assert_array_equal(found.decoder.weights, known.decoder.weights)
    led = adapt_student(student, *others, settings=quick)
    same = adapt_student(finished.baseline(), *others, settings=quick)
    assert led.about["adapted"]["from"]["data_hash"].startswith("sha256:")
    spikes, ids = others[0], others[2]
    np.testing.assert_array_equal(
        led.predict(spikes, unit_id=ids).behavior, same.predict(spikes, unit_id=ids).behavior
    )
    for arm, why in (("direct", "without statistics"), ("wiener", "no latents")):
        refuses(f"adapt: {arm} .*{why}", adapt_student, finished.student(arm), *others)


def test_models_of_a_run_come_with_their_task(finished) -> None:
    student, teacher = finished.baseline(), finished.teacher()
    assert (student.arm, student.task.n_train) == ("baseline", teacher.task.n_train)
    batch = student.task.batch("test")
    assert student.model(batch).shape == teacher.model(batch).shape == batch.target.shape


def test_an_arm_without_a_network_is_not_exported(finished, tmp_path) -> None:
    student = finished.student("wiener")
    assert student.predict(counts_of((50, 10))).rates is None
    refuses("wiener has no network", save_student, student, tmp_path / "s.nbm")
    refuses("layers mix: wiener has no layers", student.predict, counts_of((5, 12, 10)),
            layers=["mix"])  # fmt: skip
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arm", ["smoothing", "factor_analysis"])
def test_a_reference_is_not_exported_as_the_network_of_the_run(finished, tmp_path, arm) -> None:
    student = finished.student(arm)
    assert student.network is None
    refuses(f"export: {arm} has no network that a file", save_student, student, tmp_path / "s.nbm")
    refuses(f"onnx: {arm} has no network", student.export_onnx, tmp_path / "s.onnx", "trials")
    assert not list(tmp_path.iterdir())


def test_a_state_that_is_a_single_number_is_taken_along(tmp_path) -> None:
    student = make_student("students:Normalised")
    student.model.net.norm.num_batches_tracked.fill_(7)
    save_student(student, tmp_path / "s.nbm")
    again = load_student(tmp_path / "s.nbm")
    assert int(again.model.net.norm.num_batches_tracked) == 7


def test_numbers_of_numpy_are_settings_and_scores_like_any_other(tmp_path) -> None:
    settings = {"n_layers": np.int64(1), "width": np.int64(8), "dropout": np.float32(0.5)}
    about = {"scores": {"co_bps": np.float32(0.25)}, "bins": (np.uint8(3), None)}
    student = replace(make_student("ndt", settings, "norm"), seed=np.int64(3), about=about)
    save_student(student, tmp_path / "s.nbm")
    again = load_student(tmp_path / "s.nbm")
    assert again.network[1] == {"n_layers": 1, "width": 8, "dropout": 0.5}
    assert again.about == {"scores": {"co_bps": 0.25}, "bins": [3, None]}
    same(student.predict(counts_of((5, 12, 10))), again.predict(counts_of((5, 12, 10))))


def nested(depth: int) -> list:
    return [nested(depth - 1)] if depth else []


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"scores": {"co_bps": float("nan")}}, "about.scores.co_bps: found nan, wanted a finite"),
        ({"scores": {"co_bps": np.float32("inf")}}, "about.scores.co_bps: found inf"),
        ({"of": np.zeros(3)}, "about.of: found ndarray, wanted what JSON can hold"),
        ({1: 2}, "about: found the key 1, wanted names"),
        ({"deep": nested(900)}, "nested too deeply"),
    ],
)
def test_what_json_cannot_hold_is_refused(tmp_path, about, message) -> None:
    student = replace(make_student("gru", {"width": 4}, "norm"), about=about)
    refuses(message, save_student, student, tmp_path / "s.nbm")
    assert not list(tmp_path.iterdir())


def test_a_fresh_process_needs_nothing_that_trains(finished, tmp_path) -> None:
    save_student(finished.student(), tmp_path / "s.nbm")
    code = (
        "import sys; from neuroblend import load_student; import numpy as np;"
        f"s = load_student({str(tmp_path / 's.nbm')!r});"
        "print(s.predict(np.ones((3, 12, 10), int)).behavior.shape);"
        "print([m for m in ('lightning', 'pandas', 'sklearn', 'pynwb') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines() == ["(3, 12, 2)", "[]"]


class TestBadFiles:
    @pytest.fixture
    def good(self, tmp_path):
        save_student(make_student("gru", {"width": 4}, "norm"), tmp_path / "s.nbm")
        return tmp_path / "s.nbm"

    def rewritten(self, path, change, resealed=False) -> None:
        with safe_open(path, framework="pt") as file:
            content = json.loads(file.metadata()[KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        change(content, tensors)
        if resealed:
            content["checksum"] = _checksum(content, tensors)
        save_file(tensors, path, metadata={KEY: json.dumps(content)})

    def test_of_another_version(self, good) -> None:
        self.rewritten(good, lambda content, _: content.update(version=9))
        refuses("a student of version 9 .*wanted version 1; export it again", load_student, good)

    def test_edited_by_hand(self, good) -> None:
        self.rewritten(good, lambda content, _: content.update(seed=4))
        refuses("changed since it was written", load_student, good)

    def test_a_weight_changed(self, good) -> None:
        self.rewritten(good, lambda _, tensors: tensors["decoder/offset"].add_(1.0))
        refuses("changed since it was written", load_student, good)

    def test_truncated(self, good) -> None:
        good.write_bytes(good.read_bytes()[:-100])
        refuses("truncated, or not a student", load_student, good)

    def test_something_else(self, good, tmp_path) -> None:
        save_file({}, tmp_path / "x.nbm")
        refuses("safetensors, but not a student", load_student, tmp_path / "x.nbm")
        (tmp_path / "y.nbm").write_text("hello")
        refuses("not a student that", load_student, tmp_path / "y.nbm")
        refuses("no such file", load_student, tmp_path / "z.nbm")

    def test_every_bit_counts(self, good) -> None:
        assert load_file(good)
        content = bytearray(good.read_bytes())
        content[-5] ^= 1
        good.write_bytes(content)
        refuses("changed since|truncated", load_student, good)

    def test_without_a_checksum(self, good) -> None:
        self.rewritten(good, lambda content, _: content.pop("checksum"))
        refuses("changed since it was written", load_student, good)

    def test_nested_beyond_measure(self, good) -> None:
        header = "[" * 100_000 + "]" * 100_000
        save_file(load_tensors(good), good, metadata={KEY: header})
        refuses("its header is damaged", load_student, good)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"readout": ["features"]}, "damaged .readout: List should have at least 2"),
            ({"seed": "0"}, "damaged .seed"),
            ({"layer": "nrom"}, "no layer 'nrom'"),
            ({"layer": ""}, "no layer ''"),
            ({"readout": ["feature", "same bin"]}, "there is no signal 'feature'"),
            ({"layer": None}, "damaged .layer"),
            ({"unit_id": [1, 2]}, "numbers of neurons differ"),
            ({"unit_id": [10**30] * 10}, "damaged .unit_id"),
            ({"channels": ["cm"]}, "not a channel of behavior: cm"),
            ({"network": {"name": "gru\n", "settings": {}}}, "gru"),
            ({"about": []}, "damaged .about"),
        ],
    )
    def test_a_header_that_no_student_can_have(self, good, change, message) -> None:
        self.rewritten(good, lambda content, _: content.update(change), resealed=True)
        refuses(message, load_student, good)

    def test_whatever_is_edited_is_refused_in_one_line_or_loads(self, good) -> None:
        rng, original, refused = random.Random(0), good.read_bytes(), []
        for i in range(200):
            good.write_bytes(original)
            self.rewritten(good, lambda content, _: edited(content, rng), resealed=i % 4 > 0)
            try:
                load_student(good)
            except InputError as error:
                refused.append(str(error))
        assert 50 < len(refused) < 200
        assert not [line for line in refused if "\n" in line]


ODD = (
    None,
    True,
    -1,
    0,
    3,
    0.5,
    10**25,
    "",
    "x",
    "a:b",
    "\ud800",
    [],
    [[]],
    {},
    {"x": 1},
    [1, "a"],
)


def edited(content: dict, rng: random.Random) -> None:
    """Change, remove or add one thing somewhere in a header."""
    place: dict | list = content
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            break
        key = rng.choice(keys)
        if isinstance(place[key], (dict, list)) and rng.random() < 0.6:
            place = place[key]
            continue
        if rng.random() < 0.3:
            del place[key]
        else:
            place[key] = rng.choice(ODD)
        return
    if isinstance(place, dict):
        place["more"] = rng.choice(ODD)
    else:
        place.append(rng.choice(ODD))


def load_tensors(path) -> dict:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
