"""The experiment on recipes: each trains as it says, measures what enumeration gives, and is recorded."""

import dataclasses
from collections import defaultdict

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp

from hmlib import datasets
from hmlib.exact import all_states, kl_divergence
from hmlib.experiments import (
    generator,
    load_records,
    load_results,
    recipes,
    reproduce,
    results_path,
)
from hmlib.experiments.recipes import Recipe
from hmlib.experiments.store import Results, rounded, run_key
from hmlib.wake_sleep import WakeSleep

SMOKE = recipes.PROFILES["smoke"]


def trained(recipe, n_pictures=400, n_points=2, world="stripes", seed=0):
    """Train a small machine by a recipe, and return it with the generator it has used."""
    world, rng = recipes.WORLDS[world](), generator(seed=seed)
    machine = recipes._new_machine(world, (3, 1), recipe, rng)
    for _ in recipes._train(machine, world, recipe, n_pictures, n_points, rng):
        pass
    return machine, rng


def layers(machine):
    return [machine.prior_, *machine.generative_, *machine.recognition_]


@pytest.fixture
def diary(monkeypatch):
    """List what is done: phase, rates and size of every step, and the pictures that were seen."""
    steps = []
    wake, sleep = WakeSleep.wake, WakeSleep.sleep

    def watched_wake(rule, machine, d, rng):
        steps.append(("wake", rule.rates(2), d.copy()))
        wake(rule, machine, d, rng)

    def watched_sleep(rule, machine, n_dreams, rng):
        steps.append(("sleep", rule.rates(2), n_dreams))
        sleep(rule, machine, n_dreams, rng)

    monkeypatch.setattr(WakeSleep, "wake", watched_wake)
    monkeypatch.setattr(WakeSleep, "sleep", watched_sleep)
    return steps


# --- training ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 20])
def test_the_plain_recipe_is_wake_sleep_with_its_rate_times_the_batch(batch_size):
    recipe = Recipe(rate=0.03, batch_size=batch_size)
    machine, _ = trained(recipe)
    world, rng = datasets.stripes(), generator(seed=0)
    mine = recipes._new_machine(world, (3, 1), recipe, rng)
    for _ in range(2):
        for d in np.split(world.sample(200, rng), 200 // batch_size):
            WakeSleep(0.03 * batch_size).step(mine, d, rng)
    for a, b in zip(layers(machine), layers(mine)):
        assert_allclose(a.weights, b.weights, rtol=1e-12)
        assert_allclose(a.bias, b.bias, rtol=1e-12)


@pytest.mark.parametrize(
    ("changes", "pattern"),
    [
        ({}, "wswswsws"),
        ({"sleep_first": True}, "swswswsw"),
        ({"night": 4}, "wwwwssss"),
        ({"night": 2, "sleep_first": True}, "sswwssww"),
        ({"n_sleeps": 3}, "wssswssswssswsss"),
    ],
)
def test_the_phases_come_in_the_order_of_the_recipe(diary, changes, pattern):
    trained(Recipe(rate=0.03, batch_size=25, **changes), n_pictures=100, n_points=1)
    assert "".join(phase[0] for phase, *_ in diary) == pattern
    assert all(n == 25 for phase, _, n in diary if phase == "sleep")


def test_all_recipes_of_a_world_see_the_same_number_of_its_pictures(diary):
    world = datasets.stripes()
    for changes in ({}, {"batch_size": 1}, {"night": 5}, {"n_sleeps": 2}):
        diary.clear()
        trained(Recipe(rate=0.03, **changes))
        seen = np.concatenate([d for phase, _, d in diary if phase == "wake"])
        assert len(seen) == 400
        assert (seen[:, None] == world.patterns).all(axis=2).any(axis=1).all()


def test_rates_by_layer_by_network_and_in_time(diary):
    trained(Recipe(rate=0.1, batch_size=10, upper=(0.01, 0.1), recognition=3, left=0.2))
    awake = np.array([rates for phase, rates, _ in diary if phase == "wake"])
    asleep = np.array([rates for phase, rates, _ in diary if phase == "sleep"])
    assert_allclose(awake[:20], np.tile([1.0, 0.01], (20, 1)))  # constant in the first half
    assert_allclose(awake[20], [1.0, 0.1])
    assert_allclose(awake[-1], np.array([1.0, 0.1]) * (1 - 0.8 * 19 / 20))
    assert_allclose(np.diff(awake[20:, 0]), -0.8 / 20)
    assert_allclose(asleep, 3 * awake)


def test_where_machines_start():
    world = datasets.bars()

    def start(**changes):
        recipe = Recipe(rate=0.03, **changes)
        return recipes._new_machine(world, (3, 1), recipe, generator(seed=1))

    zero = start()
    assert all((layer.weights == 0).all() and (layer.bias == 0).all() for layer in layers(zero))
    low = start(hidden_bias=-3.0)
    assert_array_equal(low.generative_[1].bias, -3)
    assert (low.recognition_[0].bias == 0).all() and (low.generative_[0].bias == 0).all()
    data = start(init_bias="data").generative_[0].bias
    pixel = world.probabilities @ world.patterns
    assert_allclose(1 / (1 + np.exp(-data)), pixel, atol=4 * np.sqrt(0.2 * 0.8 / 1000))
    scaled = start(init_scale=0.5)
    assert 0.3 < np.concatenate([la.weights.ravel() for la in layers(scaled)[1:]]).std() < 0.7


def test_positive_weights_only_where_asked():
    free, _ = trained(Recipe(rate=0.05), n_pictures=2000, world="bars")
    machine, _ = trained(Recipe(rate=0.05, positive=True), n_pictures=2000, world="bars")
    assert free.generative_[0].weights.min() < -0.1
    assert machine.generative_[0].weights.min() == 0 < machine.generative_[0].weights.max()
    assert machine.recognition_[0].weights.min() < 0 and machine.generative_[0].bias.min() < 0


# --- measuring ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["stripes", "bars"])
def test_it_measures_what_plain_sums_give(name):
    world = recipes.WORLDS[name]()
    machine, _ = trained(Recipe(rate=0.05), n_pictures=4000, world=name)
    hidden = all_states(4)
    y, x = hidden[:, :3], hidden[:, 3:]
    kl, gap = 0.0, 0.0
    for d, p in zip(world.patterns, world.probabilities):
        rows = np.tile(d, (16, 1))
        log_joint = -machine.energy(x, y, rows)
        R = machine.recognition_
        log_guess = R[0].log_prob(rows, y) + R[1].log_prob(y, x)
        log_p = logsumexp(log_joint)
        kl += p * (np.log(p) - log_p)
        gap += p * np.exp(log_guess) @ (log_guess - (log_joint - log_p))
    assert_allclose(recipes._measure(machine, world), [kl, gap], rtol=1e-9)
    assert gap > 0.01


def test_a_record_ends_where_its_curve_does_and_starts_from_the_coins():
    run = {"world": "stripes", "recipe": "plain", "seed": 5}
    metrics = recipes.run(SMOKE, run)
    assert metrics["curve_kl"][-1] == pytest.approx(metrics["kl"], abs=1e-4)
    assert len(metrics["curve_kl"]) == SMOKE.n_points
    assert 12 / 512 < metrics["legal"] < 1 and metrics["gap"] > 0
    assert metrics["kl"] >= -np.log(metrics["legal"])  # the illegal dreams alone cost that much
    world = datasets.stripes()
    zero = recipes._new_machine(world, (6, 1), Recipe(rate=0.03), generator(seed=0))
    assert recipes._measure(zero, world)[0] == pytest.approx(np.log(512) - world.entropy)


def test_the_start_at_the_means_is_the_best_model_of_independent_pixels():
    world = datasets.bars()
    recipe = Recipe(rate=0.03, init_bias="data")
    machine = recipes._new_machine(world, (8, 1), recipe, generator(seed=0))
    q = world.probabilities @ world.patterns
    p = np.prod(np.where(world.patterns == 1, q, 1 - q), axis=1)
    best = kl_divergence(world.probabilities, p)
    assert best < recipes._measure(machine, world)[0] < best + 0.05  # it has seen 1000 pictures


# --- settings and records ----------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["smoke", "book", "paper"])
def test_the_settings_of_a_profile_fit_together(profile):
    settings = recipes.PROFILES[profile]
    keys = [run_key(run) for run in recipes.runs(settings)]
    assert len(set(keys)) == len(keys)
    for world, chosen in settings.recipes.items():
        piece = settings.n_pictures[world] / settings.n_points
        for recipe in chosen.values():
            assert piece % (recipe.batch_size * recipe.night) == 0
    assert rounded(dataclasses.asdict(settings))  # JSON can hold it


@pytest.mark.parametrize("world", ["stripes", "bars"])
def test_one_change_at_a_time(world):
    chosen = recipes.PROFILES["paper"].recipes[world]
    plain = dataclasses.asdict(chosen["plain"])
    for name, recipe in chosen.items():
        changed = [k for k, v in dataclasses.asdict(recipe).items() if v != plain[k]]
        if name in recipes.COMBINED:
            assert len(changed) > 1
        elif name != "plain":
            assert len(changed) == 1, name


def test_smoke_gives_records_and_a_table(tmp_path):
    records = reproduce("wake-sleep-recipes", results=tmp_path, verbose=False)
    assert len(records) == len(recipes.runs(SMOKE))
    rows = recipes.summary(records)
    assert len({tuple(row) for row in rows}) == 1
    assert sum(row["runs"] for row in rows) == len(records)
    row = next(r for r in rows if (r["world"], r["recipe"]) == ("stripes", "plain"))
    kl = [r["kl"] for r in records if (r["world"], r["recipe"]) == ("stripes", "plain")]
    assert row["KL median"] == np.median(kl) and row["lowest"] == min(kl)
    assert row["median, bits"] == pytest.approx(np.median(kl) / np.log(2))


@pytest.fixture(scope="module")
def paper():
    if not results_path(recipes.NAME).exists():
        pytest.skip("there are no records of the paper profile yet")
    groups = defaultdict(list)
    for record in load_records(recipes.NAME):
        groups[record["world"], record["recipe"]].append(record["kl"])
    return groups


def test_the_stored_records_are_complete(paper):
    contents, settings = load_results(recipes.NAME), recipes.PROFILES["paper"]
    keys = [run_key(run) for run in recipes.runs(settings)]
    assert sorted(keys) == sorted(run_key(r["run"]) for r in contents["records"])
    Results(results_path(recipes.NAME), recipes.NAME, "paper", settings, {})  # refuses others


def test_the_recommended_recipes_keep_what_the_chapter_promises(paper):
    for world in ("stripes", "bars"):
        plain, recommended = paper[world, "plain"], paper[world, "recommended"]
        assert min(len(plain), len(recommended)) >= 20
        assert np.median(recommended) < np.median(plain)
    assert np.median(paper["bars", "recommended"]) / np.log(2) <= 0.45


def test_a_stored_record_comes_out_again(paper):
    records = load_results(recipes.NAME)["records"]
    # Not "batches of 100": its steps are so large that rounding, which depends on the processor, grows.
    steady = [record for record in records if record["run"]["recipe"] == "recommended"]
    record = min(steady, key=lambda record: record["made"]["seconds"])
    again = rounded(recipes.run(recipes.PROFILES["paper"], record["run"]))
    assert again.keys() == record["metrics"].keys()
    for name, value in record["metrics"].items():
        assert_allclose(again[name], value, rtol=1e-6)
