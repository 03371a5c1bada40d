"""The experiment on generated sets: nested sets, controls checked by hand, accuracies by brute force."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist

from hmlib.datasets import load
from hmlib.experiments import (
    Checkpoint,
    decode_pictures,
    generated,
    generator,
    reproduce,
)
from hmlib.experiments.initialisations import STARTS, Images, class_samples
from hmlib.experiments.store import rounded, run_key

SMOKE = generated.PROFILES["smoke"]


@pytest.fixture(scope="module")
def digits():
    return {"digits": load("digits")}


@pytest.fixture(scope="module")
def train(digits):
    return class_samples(digits["digits"], SMOKE.n_train, {"set": "digits", "seed": 0})


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return reproduce("generated-sets", results=tmp_path_factory.mktemp("results"), verbose=False)


def key(source="pyramid", seed=0, epochs=4):
    epochs = epochs if source in STARTS else 0
    return {"set": "digits", "source": source, "epochs": epochs, "seed": seed}


def whole_set(make, kind="grey", sizes=(100, 200, 300)):
    """Put the portions of a generated set together."""
    portions = list(generated._portions(make, key(), kind, sizes))
    return Images(*map(np.concatenate, zip(*portions)))


def sum_of_squared_steps(x):
    x = x.reshape(-1, 8, 8).astype(float)
    return ((x[:, 1:] - x[:, :-1]) ** 2).sum() + ((x[:, :, 1:] - x[:, :, :-1]) ** 2).sum()


def nearest_labels(generated, x):
    """Classify by brute force: of equal distances the first counts."""
    return generated.y[cdist(x, generated.x, "sqeuclidean").argmin(axis=1)]


def test_portions_reach_every_size_and_every_set_begins_with_the_one_before(monkeypatch, train):
    monkeypatch.setattr(generated, "PORTION", 70)
    make = generated._control(SMOKE, key("noise"), train, (8, 8))
    portions = list(generated._portions(make, key(), "grey", (100, 200, 300)))
    assert [len(y) for _, y in portions] == [70, 30, 70, 30, 70, 30]
    small, large = (whole_set(make, sizes=sizes) for sizes in [(100,), (100, 200)])
    assert_array_equal(large.x[:100], small.x)
    assert_array_equal(large.y[:100], small.y)
    assert np.abs(np.diff(np.bincount(small.y))).max() <= 2  # portions of 70 and 30 cut turns
    assert not np.array_equal(small.y[:70], train.y[:70])  # in random order


@pytest.mark.parametrize("source", generated.CONTROLS)
def test_controls_take_the_training_images_in_turn_with_their_labels(source, train):
    make = generated._control(SMOKE, key(source), train, (8, 8))
    kind = "bits" if source == "bits" else "grey"
    x, y = make(0, 150, 100, kind)
    rows = np.arange(150, 250) % 200
    assert_array_equal(y, train.y[rows])
    assert x.dtype == np.float32 and x.min() >= 0 and x.max() <= 1
    assert (x != train.x[rows]).any()
    if source == "bits":
        assert set(np.unique(x)) == {0, 1} and not x[train.x[rows] == 0].any()


def test_noise_has_its_size_and_bits_their_mean(train):
    x, _ = generated._control(SMOKE, key("noise"), train, (8, 8))(0, 0, 5000, "grey")
    grey = np.resize(train.x, (5000, 64))
    inside = (grey > 0.4) & (grey < 0.6)  # so that nothing is cut off: four standard deviations
    error = (x - grey)[inside]
    assert error.std() == pytest.approx(SMOKE.noise, rel=4 / np.sqrt(2 * error.size))
    x, _ = generated._control(SMOKE, key("bits"), train, (8, 8))(0, 0, 5000, "bits")
    spread = np.sqrt((grey * (1 - grey)).sum())
    assert abs((x - grey).sum()) < 4 * spread


def test_pulled_images_have_half_the_spread_within_their_class_and_the_same_means(train):
    x, y = generated._control(SMOKE, key("pulled"), train, (8, 8))(0, 0, 200, "grey")
    for label in np.unique(y):
        mean = train.x[train.y == label].mean(axis=0)
        assert_allclose(x[y == label].mean(axis=0), mean, atol=1e-6)
        assert_allclose(x[y == label] - mean, (train.x[y == label] - mean) / 2, atol=1e-6)


def test_a_mixed_image_lies_between_an_image_and_one_of_its_nearest_of_the_same_class(train):
    x, y = generated._control(SMOKE, key("mixed"), train, (8, 8))(0, 0, 200, "grey")
    shares = []
    for image, label, own in zip(x, y, train.x):
        others = train.x[(train.y == label) & (train.x != own).any(axis=1)]
        others = others[np.linalg.norm(others - own, axis=1).argsort()[: SMOKE.n_neighbors]]
        along = others - own
        share = (along @ (image - own)) / (along**2).sum(axis=1)
        off = np.linalg.norm(image - own - share[:, None] * along, axis=1)
        assert off.min() < 1e-5
        shares.append(share[off.argmin()])
    assert 0 <= min(shares) < 0.05 and 0.95 < max(shares) <= 1.00001


def test_shifted_images_are_moved_by_a_pixel_at_most(train):
    x = generated._shifted(train.x, (8, 8), np.random.default_rng(0)).reshape(-1, 8, 8)
    middles, found = train.x.reshape(-1, 8, 8)[:, 1:-1, 1:-1], []
    for image, middle in zip(x, middles):
        places = [(i, j) for i in range(3) for j in range(3)]
        here = [p for p in places if (image[p[0] : p[0] + 6, p[1] : p[1] + 6] == middle).all()]
        assert here  # the middle of the image is found again, one pixel off at most
        found += here
    assert len(set(found)) == 9 and all(np.bincount([i for i, _ in found]) > 40)


def test_without_noise_the_training_images_come_back_and_the_factor_is_one(digits):
    same = dataclasses.replace(SMOKE, noise=0.0, blur=1e-9)
    for source in ("noise", "blurred"):
        metrics = generated.run(same, key(source), data=digits)
        assert generated.at(metrics, "accuracy", "grey", 200) == metrics["line_grey"]
        assert generated.at(metrics, "factor", "grey", 200) == 1
        assert generated.at(metrics, "gap", "grey", 200) == metrics["line_gap_grey"]
        assert generated.at(metrics, "accuracy_again", "grey", 200) == 1
    assert metrics["sizes_grey"] == [100, 200]  # blurred images that repeat add nothing


def test_accuracies_are_those_of_brute_force(digits, train):
    run, images = key("random", seed=1), digits["digits"]
    train = class_samples(images, SMOKE.n_train, {"set": "digits", "seed": 1})
    metrics = generated.run(SMOKE, run, data=digits)
    machines, _ = generated._train(SMOKE, run, train, images)
    make = generated._Dreams(machines, run)
    grey, _ = machines.sample(
        10, probabilities=True, random_state=generator(**run, what="dreams", portion=0)
    )
    roughness = [sum_of_squared_steps(x) / len(x) for x in (grey, train.x)]
    assert metrics["roughness"] == pytest.approx(roughness[0] / roughness[1], rel=1e-5)
    own = machines.description_lengths(images.x_test, 50, random_state=1)
    own = own[np.arange(len(own)), images.y_test]
    assert metrics["bound"] == pytest.approx(own.mean(), abs=0.3)
    for kind in ("grey", "bits"):
        sizes = metrics[f"sizes_{kind}"]
        assert sizes == {"grey": [100, 200, 300], "bits": [100, 200]}[kind]
        portions = list(generated._portions(make, run, kind, sizes))
        dreams = Images(*map(np.concatenate, zip(*portions)))
        assert set(np.bincount(dreams.y[:200])) == {20}
        look = (lambda x: x > 0.5) if kind == "bits" else (lambda x: x)
        for k, size in enumerate(sizes):
            some = Images(dreams.x[:size], dreams.y[:size])
            accuracy = (nearest_labels(some, look(images.x_test)) == images.y_test).mean()
            again = nearest_labels(some, look(train.x[: SMOKE.n_again]))
            assert metrics[f"accuracy_{kind}"][k] == accuracy
            assert metrics[f"accuracy_again_{kind}"][k] == (again == train.y[:50]).mean()
            gap = cdist(look(images.x_test), some.x).min(axis=1).mean()
            assert metrics[f"gap_{kind}"][k] == pytest.approx(gap, rel=1e-6)
            factor = accuracy / metrics[f"line_{kind}"]
            assert metrics[f"factor_{kind}"][k] == pytest.approx(factor)
            low, high = metrics[f"factor_low_{kind}"][k], metrics[f"factor_high_{kind}"][k]
            assert low < factor < high
        line = nearest_labels(Images(look(train.x), train.y), look(images.x_test))
        assert metrics[f"line_{kind}"] == (line == images.y_test).mean()


def test_bits_and_probabilities_are_of_the_same_dreams(train):
    machines, _ = generated._train(SMOKE, key(), train, load("digits"))
    make = generated._Dreams(machines, key())
    sizes = (10_000,)
    grey, bits = (whole_set(make, kind, sizes) for kind in ("grey", "bits"))
    assert_array_equal(grey.y, bits.y)
    assert set(np.unique(bits.x)) == {0, 1}
    variance = grey.x * (1 - grey.x)

    def surprise(p):  # standard deviations by which mean((bits - p)^2) exceeds what p itself gives
        excess = ((bits.x - p) ** 2 - variance).sum()
        return excess / np.sqrt((variance * (1 - 2 * grey.x) ** 2).sum())

    assert abs((bits.x - grey.x).sum()) < 4 * np.sqrt(variance.sum())
    assert abs(surprise(grey.x)) < 4 and surprise(grey.x[::-1]) > 40


def test_all_sources_of_a_seed_see_the_same_images_and_other_seeds_others(digits, monkeypatch):
    seen = {}

    def note(settings, run, train, images):
        seen[run["source"], run["seed"]] = train
        raise InterruptedError

    monkeypatch.setattr(generated, "_train", note)
    for source in ("zero", "pyramid"):
        for seed in (0, 1):
            with pytest.raises(InterruptedError):
                generated.run(SMOKE, key(source, seed), data=digits)
    assert_array_equal(seen["zero", 0].x, seen["pyramid", 0].x)
    assert (seen["zero", 0].x != seen["zero", 1].x).any()
    assert set(np.bincount(seen["zero", 1].y)) == {20}


class KilledError(Exception):
    pass


def test_a_run_resumes_after_kills_as_if_nothing_had_happened(tmp_path, digits):
    class Mortal(Checkpoint):
        def save(self, **state):
            super().save(**state)
            raise KilledError

    whole = generated.run(SMOKE, key(), data=digits)
    for _ in range(3):  # after training, after the probabilities, after the bits
        with pytest.raises(KilledError):
            generated.run(SMOKE, key(), data=digits, checkpoint=Mortal(tmp_path / "state.npz"))
    checkpoint = Checkpoint(tmp_path / "state.npz")
    resumed = generated.run(SMOKE, key(), data=digits, checkpoint=checkpoint)
    assert resumed.pop("training_seconds") > 0 and whole.pop("training_seconds") > 0
    assert rounded(resumed) == rounded(whole)


def test_smoke_gives_records_and_a_table(records):
    assert len(records) == len(generated.runs(SMOKE)) == 2 * len(STARTS) + len(generated.CONTROLS)
    rows = generated.summary(records)
    assert len({tuple(row) for row in rows}) == 1
    both = sorted((r for r in records if r["source"] == "zero"), key=lambda r: r["seed"])
    others = sorted((r for r in records if r["source"] == "random"), key=lambda r: r["seed"])
    assert both[0]["sizes_grey"] == [100, 200, 300, 500] and both[1]["sizes_grey"] == [
        100,
        200,
        300,
    ]
    row = next(r for r in rows if (r["source"], r["images"], r["G"]) == ("zero", "grey", 300))
    assert row["runs"] == 2
    accuracy = [r["accuracy_grey"][2] for r in both]
    assert row["accuracy"] == pytest.approx(np.mean(accuracy))
    factors = [a / r["line_grey"] for a, r in zip(accuracy, both)]
    assert row["factor"] == pytest.approx(np.mean(factors))
    half = 12.7062 * abs(factors[0] - factors[1]) / 2  # Student's t with one degree of freedom
    assert row["high"] - row["factor"] == pytest.approx(half, rel=1e-4, abs=1e-7)
    differences = [a - r["accuracy_grey"][2] for a, r in zip(accuracy, others)]
    assert row["- random"] == pytest.approx(np.mean(differences), abs=1e-6)
    assert decode_pictures(both[0]["dreams"], 64).shape == (16, 64) and "dreams" not in both[1]


def test_the_table_sets_the_published_factors_beside_grey_dreams_of_its_size_only():
    entry = {"template": 0.5, "table_size": 200, "set": "cifar10-gray", "seed": 0, "epochs": 24}
    entry.update(roughness=1.0, bound=100.0)
    names = ("accuracy", "accuracy_again", "gap", "factor", "factor_low", "factor_high")
    for kind in ("grey", "bits"):
        entry.update({f"{name}_{kind}": [0.1, 0.2] for name in names})
        entry.update({f"sizes_{kind}": [200, 400], f"line_{kind}": 0.25})
    rows = generated.summary([{**entry, "source": source} for source in STARTS])
    published = {(r["source"], r["images"], r["G"]): r["thesis"] for r in rows}
    assert published["zero", "grey", 200] == 0.872 and published["pyramid", "grey", 200] == 1.196
    assert published["zero", "grey", 400] is None and published["zero", "bits", 200] is None
    assert {r["source"]: r["- random"] for r in rows}["random"] is None


def test_longer_training_comes_last_of_its_seed_and_is_followed_further(digits):
    n_seeds, largest = {"digits": {4: 2, 8: 1, 0: 1}}, {"digits": {4: 200, 8: 300, 0: 300}}
    longer = dataclasses.replace(SMOKE, n_seeds=n_seeds, largest=largest)
    epochs = [run["epochs"] for run in generated.runs(longer)]
    assert epochs == 4 * [4] + len(generated.CONTROLS) * [0] + 4 * [8] + 4 * [4]
    sizes = [
        generated._sizes(longer, run, "grey")
        for run in (key("zero"), key("zero", epochs=8), key("zero", 1, 8), key("mixed"))
    ]
    assert sizes == [[100, 200], [100, 200, 300, 500], [100, 200, 300], [100, 200, 300]]
    train = class_samples(digits["digits"], 200, {"set": "digits", "seed": 0})
    for n in (4, 8):
        machines, _ = generated._train(longer, key("pyramid", epochs=n), train, digits["digits"])
        stages = machines.machines_[0].init.n_epochs
        assert 2 * stages == machines.machines_[0].n_iter_ == n // 2


def test_roughness_tells_blurred_from_noisy(digits):
    strong = dataclasses.replace(SMOKE, noise=0.5)  # 0.1 is lost where pixels are black or white
    rough = {
        source: generated.run(strong, key(source), data=digits)["roughness"]
        for source in ("noise", "blurred")
    }
    assert rough["blurred"] < 0.5 and rough["noise"] > 1.1
    spread = generated.run(strong, key("pulled"), data=digits)["spread"]
    assert spread == pytest.approx(0.5, rel=0.1)  # a part of the set against all of it
    assert generated._roughness(np.array([[0.0, 1.0, 0.0, 1.0]]), (2, 2)) == 0.5


def test_an_interval_is_students():
    mean, half = generated.interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert mean == 3
    assert_allclose(half, 2.776445 * np.sqrt(2.5 / 5), rtol=1e-6)
    assert generated.interval([2.0]) == (2.0, None)


@pytest.mark.parametrize("profile", ["smoke", "book", "paper"])
def test_the_settings_of_a_profile_fit_together(profile):
    settings = generated.PROFILES[profile]
    runs = generated.runs(settings)
    assert len({run_key(run) for run in runs}) == len(runs)
    assert [run["seed"] for run in runs] == sorted(run["seed"] for run in runs)
    sizes = settings.sizes
    assert list(sizes) == sorted(sizes) and settings.table_size in sizes
    assert all(size % 10 == 0 for size in sizes) and generated.PORTION % 10 == 0
    for name in settings.data:
        assert settings.n_seeds[name].keys() == settings.largest[name].keys()
        assert {*settings.largest[name].values(), settings.table_size} <= {*sizes}
        assert settings.largest_once.get(name, settings.table_size) in sizes
        assert set(settings.learning_rates[name]) == set(STARTS)
        assert all(n % (2 * len(settings.hidden)) == 0 for n in settings.n_seeds[name])
        assert len(settings.shown[name]) == 2
    assert settings.table_size <= settings.n_train and settings.n_again <= settings.n_train
    assert run_key(dataclasses.asdict(settings))
