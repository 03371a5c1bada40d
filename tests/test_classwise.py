"""One Helmholtz machine a class: what is learnt from whom, nested dreams, and Bayes' rule."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from hmlib import datasets
from hmlib.exact import all_states
from hmlib.helmholtz import ClasswiseGenerator, HelmholtzMachine
from hmlib.pyramid import PyramidInitializer


def stripes(n=200, seed=0):
    """Draw pictures of the stripes world, with the orientation as their label."""
    X = datasets.stripes(side=3).sample(n, seed)
    is_vertical = (X.reshape(-1, 3, 3) == X.reshape(-1, 3, 3)[:, :1]).all(axis=(1, 2))
    return X, np.where(is_vertical, "vertical", "horizontal")


def small(hidden=(4, 2), **kwargs):
    return HelmholtzMachine(hidden, **{"n_epochs": 3, "learning_rate": 0.3, **kwargs})


@pytest.fixture(scope="module")
def generator():
    machine = small(n_epochs=100, batch_size=10)
    return ClasswiseGenerator(machine, random_state=0).fit(*stripes())


def test_each_machine_learns_from_its_own_class():
    X, y = stripes()
    generator = ClasswiseGenerator(small(), random_state=3).fit(X, y)
    assert generator.classes_.tolist() == ["horizontal", "vertical"]
    assert_allclose(generator.class_prior_, [(y == c).mean() for c in generator.classes_])
    children = np.random.default_rng(3).spawn(2)
    for machine, label, rng in zip(generator.machines_, generator.classes_, children):
        alone = small(random_state=rng).fit(X[y == label])
        assert_array_equal(machine.generative_[0].weights, alone.generative_[0].weights)
        assert_array_equal(machine.prior_bias_, alone.prior_bias_)


def test_lengths_are_bounds_and_classes_follow_bayes_rule(generator):
    d = all_states(9)
    lengths = generator.description_lengths(d)
    for column, machine in zip(lengths.T, generator.machines_):
        assert_allclose(column, machine.free_energy_bound(d))
    joint = generator.class_prior_ * np.exp(-lengths)
    p = joint / joint.sum(axis=1, keepdims=True)
    assert_allclose(generator.predict_proba(d), p, rtol=1e-9)
    assert_allclose(generator.predict_log_proba(d), np.log(p), rtol=1e-9)
    assert_array_equal(generator.predict(d), generator.classes_[p.argmax(axis=1)])


def test_it_tells_the_orientation_of_stripes(generator):
    world = datasets.stripes(side=3)
    is_vertical = (world.patterns.reshape(-1, 3, 3)[:, :1] == world.patterns.reshape(-1, 3, 3)).all(
        axis=(1, 2)
    )
    labels = np.where(is_vertical, "vertical", "horizontal")
    assert generator.score(world.patterns, labels) == 1
    dreams, y = generator.sample(500, random_state=0)
    assert (generator.predict(dreams) == y).mean() > 0.8


def test_dreams_are_labelled_and_those_of_the_machines(generator):
    X, y = generator.sample(700, random_state=2)
    assert X.shape == (1400, 9) and set(np.unique(X)) == {0, 1}
    assert_array_equal(y, ["horizontal", "vertical"] * 700)
    d = all_states(9)
    for label, machine in zip(generator.classes_, generator.machines_):
        mean = np.exp(machine.score_samples(d)) @ d
        error = np.sqrt(mean * (1 - mean) / 700)
        assert (np.abs(X[y == label].mean(axis=0) - mean) < 5 * error).all()


@pytest.mark.parametrize("probabilities", [False, True])
def test_a_larger_set_of_dreams_begins_with_the_smaller_one(generator, probabilities):
    sets = [
        generator.sample(n, probabilities=probabilities, random_state=4)
        for n in (1, 99, 100, 101, 250)
    ]
    for X, y in sets[:-1]:
        assert_array_equal(X, sets[-1][0][: len(X)])
        assert_array_equal(y, sets[-1][1][: len(y)])
    rows = sets[-1][0][::2]
    blocks = rows[:100], rows[100:200]
    assert (blocks[0] != blocks[1]).any()
    assert np.isin(sets[-1][0], (0, 1)).all() == (not probabilities)


@pytest.mark.parametrize("hidden", [(4, 2), (20,)])
def test_nothing_depends_on_the_number_of_jobs(hidden):
    X, y = stripes(60)
    one, two = (
        ClasswiseGenerator(small(hidden), n_jobs=n, random_state=1).fit(X, y) for n in (1, 2)
    )
    for a, b in zip(one.machines_, two.machines_):
        assert_array_equal(a.generative_[0].weights, b.generative_[0].weights)
    assert_array_equal(one.predict_proba(X), two.predict_proba(X))
    assert_array_equal(one.description_lengths(X, 7), two.description_lengths(X, 7))
    assert_array_equal(one.sample(5)[0], two.sample(5)[0])


def test_sampled_lengths_are_near_the_exact_ones_and_reproducible(generator):
    d = datasets.stripes(side=3).patterns
    exact, sampled = generator.description_lengths(d), generator.description_lengths(d, 4000)
    rng = np.random.default_rng(0)
    for c, machine in enumerate(generator.machines_):
        error = machine.draw_log_weights(d, 4000, rng).std(axis=0) / np.sqrt(4000)
        assert (np.abs(sampled - exact)[:, c] < 5 * error + 1e-9).all()
    one, other, third = (generator.description_lengths(d, 3, random_state=s) for s in (1, 1, 2))
    assert_array_equal(one, other)
    assert (one != third).any()


def test_all_machines_describe_the_same_bits():
    X, y = stripes(40)
    generator = ClasswiseGenerator(small(n_epochs=0, init="zero"), random_state=0).fit(X, y)
    for machine in generator.machines_:  # two equal machines that do not care for explanations
        machine.generative_[0].bias[:] = np.linspace(-3, 3, 9)
    lengths = generator.description_lengths(np.full((30, 9), 0.5))
    assert_array_equal(lengths[:, 0], lengths[:, 1])
    assert len(np.unique(lengths[:, 0])) > 1


def test_predictions_repeat_and_looking_changes_nothing():
    X, y = stripes(60)
    one, other = (ClasswiseGenerator(small((20,)), random_state=1).fit(X, y) for _ in range(2))
    assert_array_equal(one.predict_proba(0.3 + 0.4 * X), one.predict_proba(0.3 + 0.4 * X))
    assert_array_equal(one.sample(3)[0], other.sample(3)[0])


def test_types_templates_and_parameters_pass_through():
    X, y = stripes(30)
    template = small(random_state=7, init=PyramidInitializer(1), binarize="none")
    generator = ClasswiseGenerator(template).set_params(machine__n_epochs=1, machine__hidden=(4, 1))
    generator.fit(X.astype(np.float32), y)
    assert generator.sample(2)[0].dtype == np.float32
    assert not hasattr(template, "n_iter_") and template.random_state == 7
    a, b = generator.machines_
    assert a.n_iter_ == 1 and (a.generative_[0].bias != b.generative_[0].bias).any()
    assert clone(generator).get_params()["machine__init__n_epochs"] == 1
    assert len(ClasswiseGenerator(random_state=0).fit(X[:4], y[:4]).machines_[0].hidden) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda g: ClasswiseGenerator("machine").fit(*stripes(9)),
            "machine must be None or a Helmh",
        ),
        (
            lambda g: ClasswiseGenerator(small()).fit(2 * stripes(9)[0], stripes(9)[1]),
            "X must lie in",
        ),
        (
            lambda g: ClasswiseGenerator(small()).fit(stripes(9)[0], np.linspace(0, 1, 9)),
            "label type",
        ),
        (lambda g: ClasswiseGenerator(small()).fit(stripes(9)[0], stripes(8)[1]), "inconsistent"),
        (
            lambda g: ClasswiseGenerator(small(), classes=["vertical", "wavy", "horizontal"]).fit(
                *stripes(9)
            ),
            r"y has no samples of \['wavy'\], so 1 of 3 machines",
        ),
        (
            lambda g: ClasswiseGenerator(small(), classes=["vertical"]).fit(*stripes(9)),
            r"y holds .'horizontal'., which classes does not name",
        ),
        (lambda g: g.predict(np.zeros((2, 8))), "expecting 9 features"),
        (lambda g: g.predict(np.full((2, 9), 1.5)), r"X must lie in \[0, 1\]"),
        (lambda g: g.sample(0), "n_samples_per_class must be an int of at least 1"),
        (lambda g: g.sample(1, random_state="a"), "random_state must be"),
        (lambda g: g.description_lengths(np.zeros((2, 9)), 0), "n_samples must be an int"),
    ],
)
def test_bad_use_is_named(generator, call, message):
    with pytest.raises(ValueError, match=message):
        call(generator)


# Exact description lengths, so that predictions do not depend on what else is predicted.
@parametrize_with_checks(
    [
        ClasswiseGenerator(small(binarize="threshold"), random_state=0),
        ClasswiseGenerator(small((3,), n_epochs=30, binarize="threshold", init="zero")),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)
