"""What the experiments on starts share: equal presentations, and the same images for all machines."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone

from hmlib.datasets import load
from hmlib.experiments.initialisations import (
    LAYERED,
    STARTS,
    class_samples,
    make_machine,
    n_stage_epochs,
    validation_split,
)
from hmlib.helmholtz import HelmholtzMachine
from hmlib.pyramid import PyramidInitializer, Stage
from hmlib.wake_sleep import WakeSleep


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def machine(start, n_epochs=6, **others):
    arguments = {"stage_epochs": 2, "learning_rate": 0.05, "batch_size": 7, "random_state": 0}
    return make_machine(start, (9, 4), n_epochs=n_epochs, **{**arguments, **others})


@pytest.mark.parametrize("start", STARTS)
def test_every_start_gets_the_same_number_of_presentations(start, digits, monkeypatch):
    seen, step, learn_pair = [], WakeSleep.step, Stage.learn_pair

    def counted(rule, machine, d, rng):
        seen.append(len(d))
        step(rule, machine, d, rng)

    def counted_pair(stage, d, y, rate):
        seen.append(len(d))
        learn_pair(stage, d, y, rate)

    monkeypatch.setattr(WakeSleep, "step", counted)
    monkeypatch.setattr(Stage, "learn_pair", counted_pair)
    trained = machine(start).fit(digits.x_train[:50])
    assert sum(seen) == 6 * 50 and max(seen) == 7
    assert trained.n_iter_ == 6 - n_stage_epochs(start, (9, 4), 2)
    assert trained.generative_[0].weights.dtype == np.float32


def test_starts_are_what_they_are_called(digits):
    X = digits.x_train[:50]
    zero, random = (machine(start, n_epochs=0).fit(X) for start in ("zero", "random"))
    assert not any(layer.weights.any() for layer in zero.generative_ + zero.recognition_)
    spread = np.concatenate([layer.weights.ravel() for layer in random.recognition_]).std()
    assert spread == pytest.approx(0.1, rel=0.1)
    for start in LAYERED:
        layered = machine(start, n_epochs=4).fit(X)
        assert layered.n_iter_ == 0 and all(layer.weights.any() for layer in layered.recognition_)


@pytest.mark.parametrize("start", STARTS)
def test_defaults_are_the_printed_algorithm_and_can_be_changed(start):
    plain = machine(start)
    assert (plain.binarize, plain.decay, plain.rule) == ("none", 1.0, None)
    other = machine(start, binarize="resample", decay=0.1, pyramid={"images": "noise"})
    assert (other.binarize, other.decay) == ("resample", 0.1)
    if start in LAYERED:
        assert isinstance(other.init, PyramidInitializer) and other.init.images == "noise"
        assert plain.init.clamped == (start == "clamped")
        assert plain.init.n_presentations((9, 4), 50) == 4 * 50
    assert isinstance(clone(other), HelmholtzMachine)


def test_stages_must_fit_into_the_epochs():
    assert machine("pyramid", n_epochs=4).n_epochs == 0
    with pytest.raises(ValueError, match="n_epochs must be at least 4, 2 for each of 2 stages"):
        machine("pyramid", n_epochs=3)
    assert machine("zero", n_epochs=3).n_epochs == 3
    with pytest.raises(
        ValueError, match="start must be one of zero, random, pyramid, clamped, got 'ones'"
    ):
        machine("ones")


def test_samples_are_balanced_nested_and_the_same_for_the_same_key(digits):
    small, large = (class_samples(digits, n, {"seed": 3}) for n in (57, 400))
    assert_array_equal(small.x, large.x[:57])
    assert_array_equal(small.y, large.y[:57])
    for images in (small, large):
        counts = np.bincount(images.y, minlength=10)
        assert counts.min() == len(images.y) // 10 and np.ptp(counts) <= 1
    rows = {(*row, label) for row, label in zip(digits.x_train.tolist(), digits.y_train)}
    drawn = {(*row, label) for row, label in zip(large.x.tolist(), large.y)}
    assert drawn <= rows and len(drawn) == 400
    other = class_samples(digits, 57, {"seed": 4})
    assert not np.array_equal(other.x, small.x)
    first, second = (class_samples(digits, 57, np.random.default_rng(5)) for _ in range(2))
    assert_array_equal(first.x, second.x)


def test_two_samples_are_of_two_classes(digits):
    for seed in range(20):
        assert len(set(class_samples(digits, 2, {"seed": seed}).y)) == 2


def test_a_class_cannot_give_more_images_than_it_has(digits):
    smallest = np.bincount(digits.y_train).min()
    assert len(class_samples(digits, 10 * smallest, {"seed": 0}).y) == 10 * smallest
    with pytest.raises(ValueError, match=f"n must be at most {10 * smallest}: the smallest of 10"):
        class_samples(digits, 10 * smallest + 1, {"seed": 0})


def test_the_validation_images_are_of_the_training_set_and_not_trained_on(digits):
    train, validation = validation_split(digits, 200, {"seed": 0})
    assert len(train.y) + len(validation.y) == len(digits.y_train)
    assert set(np.bincount(validation.y)) == {20}
    together = np.vstack([train.x, validation.x])
    assert_array_equal(
        together[np.lexsort(together.T)], digits.x_train[np.lexsort(digits.x_train.T)]
    )
    again = validation_split((digits.x_train, digits.y_train), 200, {"seed": 0})
    assert_array_equal(again[1].x, validation.x)
    subset = class_samples(train, 100, {"seed": 0})
    assert not {*map(tuple, subset.x.tolist())} & {*map(tuple, validation.x.tolist())}
