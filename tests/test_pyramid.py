"""Image pyramids against brute-force averages, and the initializer pair of layers by pair of layers."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from hmlib import datasets
from hmlib.helmholtz import HelmholtzMachine
from hmlib.pyramid import GreedyInitializer, PyramidInitializer, Stage, image_pyramid
from hmlib.wake_sleep import ReweightedWakeSleep, WakeSleep

FILTERS = ["area", "gaussian", "subsample"]


def pictures(n=6, shape=(6, 6), seed=0):
    return np.random.default_rng(seed).random((n, shape[0] * shape[1]))


def area_average(image, height, width):
    """Cut every pixel into height x width equal pieces, so that each new pixel is a block of pieces."""
    pieces = np.kron(image, np.ones((height, width)))
    blocks = pieces.reshape(height, image.shape[0], width, image.shape[1])
    return blocks.mean(axis=(1, 3))


# --- images -----------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    small=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 99),
)
def test_area_averages_are_those_of_an_image_cut_into_small_pieces(shape, small, seed):
    small = tuple(np.minimum(shape, small).tolist())
    X = pictures(3, shape, seed)
    (level,) = image_pyramid(X, shape, [small])
    expected = [area_average(x.reshape(shape), *small).ravel() for x in X]
    assert_allclose(level, expected, rtol=1e-12)
    assert_allclose(level.mean(axis=1), X.mean(axis=1), rtol=1e-12)


@pytest.mark.parametrize("filter", FILTERS)
def test_every_filter_is_linear_and_leaves_grey_images_grey(filter):
    X, sides = pictures(4, (7, 7)), [7, 6, 4, 1]
    mixed = image_pyramid(0.3 * X[:1] + 0.7 * X[1:2], (7, 7), sides, filter)
    for level, mix, grey in zip(
        image_pyramid(X, (7, 7), sides, filter),
        mixed,
        image_pyramid(np.full((1, 49), 0.3), (7, 7), sides, filter),
    ):
        assert_allclose(mix, 0.3 * level[:1] + 0.7 * level[1:2], rtol=1e-12)
        assert_allclose(grey, 0.3, rtol=1e-12)
        assert level.min() >= X.min() and level.max() <= X.max()


@pytest.mark.parametrize("filter", FILTERS)
def test_the_original_side_gives_the_original_and_a_mirror_image_a_mirror_image(filter):
    X = pictures(4, (7, 7))
    original, level = image_pyramid(X, (7, 7), [7, 5], filter)
    assert_array_equal(original, X)
    mirrored = X.reshape(-1, 7, 7)[:, ::-1].reshape(-1, 49)
    (other,) = image_pyramid(mirrored, (7, 7), [5], filter)
    assert_allclose(other.reshape(-1, 5, 5)[:, ::-1].reshape(-1, 25), level, rtol=1e-12)


def test_filters_by_hand():
    X = np.array([[0.0, 1.0, 0.0, 0.0, 1.0, 0.0]])
    assert_allclose(image_pyramid(X, (1, 6), [(1, 4)])[0], [[1 / 3, 1 / 3, 1 / 3, 1 / 3]])
    assert_array_equal(image_pyramid(X, (1, 6), [(1, 2)], "subsample")[0], [[1, 1]])
    A = image_pyramid(np.eye(3), (1, 3), [(1, 2)], "gaussian")[0].T
    bell = np.exp(-0.5 * ((np.array([0.5, 1.5, 2.5]) - 0.75) / 0.75) ** 2)  # r = 1.5
    assert_allclose(A, [bell / bell.sum(), bell[::-1] / bell.sum()], rtol=1e-12)


def test_levels_come_from_the_original_and_keep_the_type():
    X = pictures(5, (9, 9)).astype(np.float32)
    levels = image_pyramid(X, (9, 9), [9, 6, 4])
    assert [level.dtype for level in levels] == [np.float32] * 3
    assert [level.shape for level in levels] == [(5, 81), (5, 36), (5, 16)]
    assert_array_equal(levels[2], image_pyramid(X, (9, 9), [4])[0])
    stepwise = image_pyramid(levels[1], (6, 6), [4])[0]
    assert np.abs(levels[2] - stepwise).max() > 0.01  # which is another matter
    white = np.ones((1, 81), np.float32)
    assert max(level.max() for level in image_pyramid(white, (9, 9), [8, 7, 5])) <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"sides": [4, 4]},
            r"sides\[1\] must be smaller than the level below it, got 4 x 4 above 4",
        ),
        ({"sides": [7]}, r"sides\[0\] must be smaller .* got 7 x 7 above 6 x 6"),
        ({"sides": [6, 6]}, r"sides\[1\] must be smaller"),
        ({"sides": [4, (3, 5)]}, r"sides\[1\] must be smaller .* got 3 x 5 above 4 x 4"),
        ({"sides": [4, 2.0]}, r"sides\[1\] must be an int of at least 1, got 2.0"),
        ({"sides": [0]}, r"sides\[0\] must be an int of at least 1"),
        ({"sides": [(2, 2, 2)]}, r"sides\[0\] must be a side or \(height, width\)"),
        ({"sides": []}, "sides must be a list of sides"),
        ({"sides": 4}, "sides must be a list of sides"),
        ({"shape": (5, 6)}, "X must have 30 columns"),
        ({"shape": (6.0, 6)}, "shape must be an int"),
        ({"X": pictures() * np.inf}, "X must be finite"),
        ({"X": pictures()[0]}, "X must have 2 dimension"),
        ({"X": pictures()[:0]}, "X must hold at least one image"),
        ({"filter": "cubic"}, "filter must be one of area, gaussian, subsample, got 'cubic'"),
    ],
)
def test_bad_pyramids_are_named(change, message):
    arguments = {"X": pictures(), "shape": (6, 6), "sides": [4, 2], **change}
    with pytest.raises(ValueError, match=message):
        image_pyramid(**arguments)


# --- the initializer --------------------------------------------------------------------------------


def layers_of(machine):
    return [*machine.generative_, *machine.recognition_, machine.prior_]


def parameters(layers):
    return np.concatenate([np.append(layer.weights.ravel(), layer.bias) for layer in layers])


def pair(machine, level):
    return parameters([machine.generative_[level], machine.recognition_[level]])


def make(hidden=(16, 9), n_epochs=0, seed=0, init_kwargs=None, **kwargs):
    """Make a machine for pictures of 6 x 6 pixels that starts with the pyramid."""
    init = PyramidInitializer(**{"n_epochs": 2, **(init_kwargs or {})})
    return HelmholtzMachine(
        hidden, init=init, n_epochs=n_epochs, batch_size=4, random_state=seed, **kwargs
    )


HIDDEN = [(16,), (16, 9), (25, 16, 9, 4)]


class Watch:
    """A callback that keeps what the machine looks like after every epoch of the stages."""

    seen = ()

    def __init__(self):
        type(self).seen = []

    def __deepcopy__(self, memo):
        return self

    def __call__(self, number, stage):
        self.seen.append((number, stage.level, copy.deepcopy(vars(stage))))


@pytest.mark.parametrize("clamped", [False, True])
@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
def test_each_stage_trains_its_pair_and_leaves_the_frozen_ones_bit_for_bit(hidden, clamped):
    watch = Watch()
    machine = make(hidden, init_kwargs={"callback": watch, "clamped": clamped}).fit(pictures())
    n = len(hidden)
    stages = [(number, level) for number, level, _ in watch.seen]
    assert stages == [(k, n - k) for k in range(1, n + 1) for _ in range(2)]
    for (_, level, before), (_, same, after) in zip(watch.seen, watch.seen[1:]):
        for network in ("generative_", "recognition_"):
            then, now = before[network], after[network]
            if same == level:  # the second epoch of a stage: its pair has moved
                assert (parameters(then[:1]) != parameters(now[:1])).any()
                then, now = then[1:], now[1:]
            else:  # a new stage: all that was there is frozen
                now = now[1:]
            if now:
                assert_array_equal(parameters(then), parameters(now))
        has_moved = (before["prior_"].bias != after["prior_"].bias).any()
        assert has_moved == (same == level == n - 1)
    assert_array_equal(machine.prior_.bias, watch.seen[-1][2]["prior_"].bias)


def test_layers_below_the_stage_are_as_they_were():
    X = pictures()
    machine = make((25, 16, 9)).set_params(init="zero").fit(X)
    seen = []
    init = PyramidInitializer(
        2, callback=lambda *_: seen.append([pair(machine, i).any() for i in (0, 1, 2)])
    )
    init.initialize(machine, X)
    assert seen == [[False, False, True]] * 2 + [[False, True, True]] * 2 + [[True] * 3] * 2


def test_afterwards_everything_learns():
    before, after = make(n_epochs=0).fit(pictures()), make(n_epochs=1).fit(pictures())
    for one, other in zip(layers_of(before), layers_of(after)):
        assert (one.bias != other.bias).any()
        assert one.weights.size == 0 or (one.weights != other.weights).any()
    continued = make(n_epochs=0).fit(pictures()).partial_fit(pictures())
    assert_array_equal(parameters(layers_of(continued)), parameters(layers_of(after)))


def test_a_single_layer_is_trained_as_without_a_pyramid():
    X = pictures(20)
    plain = HelmholtzMachine((16,), init="zero", n_epochs=0, batch_size=4, random_state=0).fit(X)
    for layer in (plain.generative_[0], plain.recognition_[0]):
        plain.rng_.standard_normal(layer.weights.shape)  # what the random start of a pair takes
    for _ in range(3):
        plain.partial_fit(X)
    init = {"n_epochs": 3}
    assert_array_equal(
        parameters(layers_of(make((16,), init_kwargs=init).fit(X))), parameters(layers_of(plain))
    )


def test_a_stage_steps_like_a_machine_whose_upper_layers_forget_what_they_learnt():
    machine = make((16, 9, 4)).fit(pictures(40))
    whole = copy.deepcopy(machine)
    d = (pictures(30, seed=1) < 0.5).astype(float)
    stage, rng = Stage(machine, 0), np.random.default_rng(3)
    WakeSleep(0.2).wake(stage, d, rng)
    y = whole.recognition_[0].sample(d, np.random.default_rng(3))
    whole.generative_[0].learn(y, d, 0.2)
    assert_array_equal(parameters(layers_of(machine)), parameters(layers_of(whole)))
    WakeSleep(0.2).sleep(stage, 30, np.random.default_rng(4))
    dreams = whole.dream(30, np.random.default_rng(4))
    whole.recognition_[0].learn(dreams[0], dreams[1], 0.2)
    assert_array_equal(parameters(layers_of(machine)), parameters(layers_of(whole)))


@pytest.mark.parametrize("recognition", ["wake", "sleep", "both"])
def test_reweighted_wake_sleep_weighs_with_all_layers_and_teaches_the_lowest_pair(recognition):
    rule = ReweightedWakeSleep(3, 0.2, recognition)
    machine = make((16, 9, 4), init_kwargs={"rule": rule}).fit(pictures())
    before, whole = copy.deepcopy(machine), copy.deepcopy(machine)
    d = (pictures(30, seed=1) < 0.5).astype(float)
    rule.wake(Stage(machine, 0), d, np.random.default_rng(3))
    rule.wake(whole, d, np.random.default_rng(3))
    assert_array_equal(pair(machine, 0), pair(whole, 0))
    rule.step(Stage(machine, 0), d, np.random.default_rng(4))
    assert (machine.recognition_[0].weights != before.recognition_[0].weights).any()
    for level in (1, 2):
        assert_array_equal(pair(machine, level), pair(before, level))
        assert (pair(machine, level) != pair(whole, level)).any()
    assert_array_equal(machine.prior_.bias, before.prior_.bias)


def test_stages_see_the_levels_of_the_pyramid(monkeypatch):
    X, seen = pictures(10), []
    present = HelmholtzMachine._present
    monkeypatch.setattr(
        HelmholtzMachine, "_present", lambda m, X, rng: seen.append(X.copy()) or present(m, X, rng)
    )
    make((16, 9), init_kwargs={"n_epochs": 1}).fit(X)
    small, large = np.vstack(seen[:3]), np.vstack(seen[3:])
    key = lambda rows: rows[np.lexsort(rows.T)]  # noqa: E731
    assert_array_equal(key(small), key(image_pyramid(X, (6, 6), [4])[0]))
    assert_array_equal(key(large), key(X))
    seen.clear()
    make((16, 9), init_kwargs={"n_epochs": 1, "clamped": True}).fit(X)
    shapes = [rows.shape[1] for rows in seen]
    assert shapes == [16, 9] * 3 + [36, 16] * 3
    images = dict(zip((36, 16, 9), image_pyramid(X, (6, 6), [6, 4, 3])))
    for below, above in zip(seen[::2], seen[1::2]):
        index = [np.flatnonzero((images[below.shape[1]] == row).all(axis=1))[0] for row in below]
        assert_array_equal(above, images[above.shape[1]][index])


def test_clamped_pairs_take_the_step_of_the_delta_rule_in_both_directions():
    for level in (0, 1):
        machine = make((16, 9)).fit(pictures())
        other, rng = copy.deepcopy(machine), np.random.default_rng(0)
        d, y = (rng.integers(0, 2, (20, n)).astype(float) for n in [(36, 16), (16, 9)][level])
        Stage(machine, level).learn_pair(d, y, 0.3)
        other.generative_[level].learn(y, d, 0.3)
        other.recognition_[level].learn(d, y, 0.3)
        if level == 1:
            other.prior_.learn(np.empty((20, 0)), y, 0.3)
        assert_allclose(parameters(layers_of(machine)), parameters(layers_of(other)), rtol=1e-12)


def test_clamped_pairs_learn_which_coarse_image_belongs_to_a_fine_one():
    X = np.repeat([[0.05], [0.95]], 36, axis=1).repeat(50, axis=0)  # dark ones and light ones
    machine = make((16, 9), init_kwargs={"n_epochs": 30, "clamped": True}, learning_rate=0.5).fit(X)
    for bit in (0, 1):
        _, y, x = machine.recognize(np.full((1, 36), float(bit)), means=True)
        back = machine.generative_[0].mean(np.full((1, 16), float(bit)))
        assert all(((means > 0.5) == bit).all() for means in (y, x, back))


def test_controls_keep_pixels_and_lose_images():
    X, sizes = datasets.load("digits").x_train, (36, 16)
    pyramid = PyramidInitializer().levels(X, sizes)
    noise = PyramidInitializer(images="noise").levels(X, sizes, 0)
    scrambled = PyramidInitializer(images="scrambled").levels(X, sizes, 0)
    assert all(levels[0] is X for levels in (pyramid, noise, scrambled))
    for true, dealt, averages in zip(pyramid[1:], noise[1:], scrambled[1:]):
        assert_array_equal(np.sort(true, axis=0), np.sort(dealt, axis=0))
        assert_allclose(averages.mean(axis=1), X.mean(axis=1), rtol=1e-5)
        assert (averages.std(axis=1) < true.std(axis=1)).mean() > 0.95

    def correlations(levels):
        """Correlations between the pixels of the coarsest level, which all vary."""
        r = np.corrcoef(levels[-1].T)
        return np.abs(r[np.triu_indices_from(r, 1)])

    assert correlations(noise).max() < 5 / np.sqrt(len(X)) < np.median(correlations(pyramid))
    assert np.median(correlations(scrambled)) > 5 / np.sqrt(len(X))


@pytest.mark.parametrize("images", ["pyramid", "scrambled", "noise"])
def test_the_seed_decides_everything(images):
    one, other, third = (
        make(n_epochs=1, seed=seed, init_kwargs={"images": images, "scale": 0.1}).fit(pictures())
        for seed in (5, 5, 6)
    )
    assert_array_equal(parameters(layers_of(one)), parameters(layers_of(other)))
    assert (parameters(layers_of(one)) != parameters(layers_of(third))).any()


def test_a_machine_is_usable_without_further_epochs():
    X = pictures().astype(np.float32)
    machine = make(n_epochs=0).fit(X)
    assert machine.n_iter_ == 0
    assert machine.sample(3).shape == (3, 36) and machine.transform(X).dtype == np.float32
    assert np.isfinite(machine.score_samples(X, 10)).all()
    assert {layer.weights.dtype for layer in layers_of(machine)} == {np.dtype(np.float32)}
    pickle.loads(pickle.dumps(machine)).partial_fit(X)
    copy_ = clone(machine).set_params(init__n_epochs=3)
    assert copy_.init.n_epochs == 3 and machine.init.n_epochs == 2
    assert copy_.fit(X).sample(2).shape == (2, 36)


def test_new_pairs_start_as_told():
    class Start(PyramidInitializer):
        """Train nothing."""

        def _epoch(self, *_):
            pass

    X = np.random.default_rng(0).random((50, 400)) ** 2
    machine = HelmholtzMachine((225, 100), init=Start(1), init_bias="data", n_epochs=0).fit(X)
    assert not any(layer.weights.any() for layer in layers_of(machine))
    level = image_pyramid(X, (20, 20), [15])[0]
    p = (level.sum(axis=0) + 1) / (len(X) + 2)
    assert_allclose(1 / (1 + np.exp(-machine.generative_[1].bias)), p, rtol=1e-12)
    assert not machine.recognition_[1].bias.any() and not machine.prior_.bias.any()
    machine.set_params(init=Start(1, scale=0.3), init_bias="zero", random_state=0).fit(X)
    for layer in layers_of(machine)[:-1]:
        assert abs(layer.weights.std() / 0.3 - 1) < 0.05 and not layer.bias.any()


def test_rates_and_their_decay_reach_the_pairs_they_are_meant_for(monkeypatch):
    rates = []
    monkeypatch.setattr(
        WakeSleep,
        "step",
        lambda rule, stage, d, rng: rates.append((stage.level, rule.learning_rate)),
    )
    init = PyramidInitializer(2, decay=0.5)
    machine = HelmholtzMachine(
        (16, 9), learning_rate=[0.1, 0.4], init=init, n_epochs=0, batch_size=6
    )
    machine.fit(pictures(6))
    assert rates == [(1, [0.4]), (1, [0.2]), (0, [0.1, 0.4]), (0, [0.05, 0.2])]
    rates.clear()
    machine.set_params(init__rule=WakeSleep(0.3), init__decay=1).fit(pictures(6))
    assert rates == [(1, [0.3])] * 2 + [(0, [0.3, 0.3])] * 2


def test_presentations_are_counted(monkeypatch):
    n = []
    monkeypatch.setattr(WakeSleep, "step", lambda rule, stage, d, rng: n.append(len(d)))
    machine = make((25, 16, 9)).fit(pictures(7))
    assert sum(n) == machine.init.n_presentations((25, 16, 9), 7) == 3 * 2 * 7


def test_shapes_need_not_be_square():
    X = pictures(8, (8, 4))
    init = PyramidInitializer(1, shape=(8, 4), sides=[(6, 3), 2])
    machine = HelmholtzMachine((18, 4), init=init, n_epochs=1, random_state=0).fit(X)
    assert machine.sample(2).shape == (2, 32)
    assert init.shapes(32, (18, 4)) == [(8, 4), (6, 3), (2, 2)]


def test_an_interrupt_keeps_what_was_learnt():
    def interrupt(number, stage):
        if number == 2:
            raise KeyboardInterrupt

    machine = make(n_epochs=3, init_kwargs={"callback": interrupt})
    with pytest.warns(UserWarning, match="the initialization was interrupted"):
        machine.fit(pictures())
    assert machine.n_iter_ == 0 and machine.recognition_[1].bias.any()
    assert machine.partial_fit(pictures()).n_iter_ == 1


def test_verbose_shows_a_progress_bar(capfd):
    make(verbose=True).fit(pictures())
    assert "PyramidInitializer: 100%" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("hidden", "init", "X", "message"),
    [
        ((16, 10), {}, pictures(), r"hidden\[1\] has 10 units, which make no square"),
        ((16, 16), {}, pictures(), r"hidden\[1\] must be smaller than the level below it"),
        ((9, 16), {}, pictures(), r"hidden\[1\] must be smaller .* got 4 x 4 above 3 x 3"),
        ((36,), {}, pictures(), r"hidden\[0\] must be smaller"),
        ((16,), {}, np.zeros((3, 35)), "X has 35 units, which make no square"),
        ((16,), {"shape": (6, 5)}, pictures(), "X has 36 units, but its image is 6 x 5"),
        ((16, 9), {"sides": [4]}, pictures(), "sides must be 2, one for each hidden layer"),
        (
            (16, 9),
            {"sides": [4, 2]},
            pictures(),
            r"hidden\[1\] has 9 units, but its image is 2 x 2",
        ),
        ((16,), {"n_epochs": 0}, pictures(), "n_epochs must be an int of at least 1"),
        ((16,), {"images": "random"}, pictures(), 'images must be "pyramid"'),
        ((16,), {"filter": "cubic"}, pictures(), "filter must be one of"),
        ((16,), {"decay": 0}, pictures(), "decay must be a number"),
        ((16,), {"scale": -1}, pictures(), "scale must be a number"),
        ((16,), {"rule": "wake"}, pictures(), "rule must be None or a rule"),
        (
            (16, 9),
            {"rule": WakeSleep([1, 1, 1])},
            pictures(),
            "learning_rate must be one number or 2",
        ),
    ],
)
def test_bad_initializers_are_named(hidden, init, X, message):
    machine = HelmholtzMachine(hidden, init=PyramidInitializer(**{"n_epochs": 1, **init}))
    with pytest.raises(ValueError, match=message):
        machine.fit(X)


def test_a_bad_machine_is_named_before_anything_is_learnt():
    with pytest.raises(ValueError, match="batch_size must be an int of at least 1"):
        make().set_params(batch_size=0).fit(pictures())
    with pytest.raises(ValueError, match='init must be "zero" or "random" or have a method'):
        make().set_params(init=PyramidInitializer.initialize).fit(pictures())


# --- stages from the data up --------------------------------------------------------------------------


def zero(X, hidden, rng, **kwargs):
    """Make a machine at zero that goes on with the given randomness."""
    settings = {"init": "zero", "n_epochs": 0, "batch_size": 4, **kwargs}
    machine = HelmholtzMachine(hidden, **settings).fit(X)
    machine.rng_ = rng
    return machine


def greedy(X, n_epochs, hidden=(16, 9), **kwargs):
    machine = zero(X, hidden, np.random.default_rng(3), **kwargs)
    GreedyInitializer(n_epochs).initialize(machine, X)
    return machine


def test_a_greedy_start_of_one_pair_is_ordinary_training():
    X = pictures(20)
    plain = HelmholtzMachine((16,), init="zero", n_epochs=3, batch_size=4, random_state=0).fit(X)
    start = clone(plain).set_params(init=GreedyInitializer(3), n_epochs=0).fit(X)
    assert_array_equal(parameters(layers_of(start)), parameters(layers_of(plain)))


@pytest.mark.parametrize("binarize", ["resample", "none"])
def test_greedy_pairs_learn_one_after_the_other_from_explanations_of_the_data(binarize):
    """Two pairs, each a machine of its own, with the rate of its place in the whole machine."""
    X, rng = pictures(20), np.random.default_rng(3)
    lower = zero(X, (16,), rng, learning_rate=0.3, binarize=binarize)
    for _ in range(2):
        lower.partial_fit(X)
    seen = lower.recognition_[0].sample(lower._present(X, rng), rng)
    upper = zero(seen, (9,), rng, learning_rate=0.1, binarize=binarize)
    upper.generative_[0].bias[:] = lower.prior_.bias
    for _ in range(2):
        upper.partial_fit(seen)
    machine = greedy(X, 2, learning_rate=[0.3, 0.1], binarize=binarize)
    assert_array_equal(pair(machine, 0), pair(lower, 0))
    assert_array_equal(pair(machine, 1), pair(upper, 0))
    assert_array_equal(machine.prior_.bias, upper.prior_.bias)


def test_greedy_pairs_without_epochs_stay_at_zero_and_keep_the_prior_of_those_below():
    X = pictures(20)
    machine, alone = greedy(X, [3, 0, 0], (16, 9, 4)), greedy(X, 3, (16,))
    assert_array_equal(pair(machine, 0), pair(alone, 0))
    assert_array_equal(machine.generative_[1].bias, alone.prior_.bias)
    assert machine.generative_[1].bias.any()
    assert not machine.generative_[1].weights.any() and not machine.recognition_[1].weights.any()
    assert not pair(machine, 2).any() and not machine.prior_.bias.any()


@pytest.mark.parametrize(
    ("n_epochs", "message"),
    [
        ([1, 2, 3], "one number or 2 numbers"),
        (-1, "n_epochs must be an int"),
        ([0, 1], "above one that has none"),
    ],
)
def test_bad_greedy_epochs_are_named(n_epochs, message):
    with pytest.raises(ValueError, match=message):
        greedy(pictures(8), n_epochs)
