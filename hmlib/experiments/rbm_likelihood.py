"""How well restricted Boltzmann machines model images of digits, by learning rule.

A run trains one machine on images whose grey values are drawn anew as bits at each presentation, and
measures log p of the test images, drawn as bits once and for all. log Z comes from annealed
importance sampling in both directions. Chapter *Restricted Boltzmann machines*.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from hmlib.experiments.pictures import encode_pictures, filters
from hmlib.experiments.provenance import generator
from hmlib.experiments.training import anneal_both_ways, base_log_likelihood, mean_row, train
from hmlib.likelihood import annealed_importance_sampling
from hmlib.rbm import RestrictedBoltzmannMachine
from hmlib.units import sample_bernoulli

NAME = "rbm-likelihood"


@dataclass(frozen=True)
class Settings:
    """What one profile trains and how it measures.

    Attributes
    ----------
    data : tuple of str
        The image set, one.
    n_hidden : int
        Hidden units.
    rules : dict of str to dict
        Arguments of the machine, by the name of the learning rule.
    n_seeds : dict of str to int
        Repetitions of each rule.
    n_chains, n_betas : int
        Annealing after training, in each direction.
    light_betas : int
        Annealing during training, with 100 chains; only forward.
    every : int
        Epochs from one point of the learning curve to the next.
    n_steps : int
        Gibbs steps from training images to the start of the reverse chains.
    """

    data: tuple
    n_hidden: int
    rules: dict
    n_seeds: dict
    n_chains: int
    n_betas: int
    light_betas: int
    every: int
    n_steps: int


def _rules(n_epochs, **common):
    """Spell out the rules for so many epochs each, with what they have in common."""
    settings = {
        "CD-1": {"method": "cd", "n_steps": 1},
        "CD-25": {"method": "cd", "n_steps": 25},
        "PCD-1": {"method": "pcd", "n_steps": 1},
        "PCD-1 centred": {"method": "pcd", "n_steps": 1, "centered": True},
        "PCD-5 centred": {"method": "pcd", "n_steps": 5, "centered": True},
    }
    return {rule: {**settings[rule], "n_epochs": n, **common} for rule, n in n_epochs.items()}


PROFILES = {
    "smoke": Settings(
        data=("digits",),
        n_hidden=12,
        rules=_rules({"CD-1": 2, "PCD-1 centred": 2}, batch_size=20, learning_rate=(0.1, 0.001)),
        n_seeds={"CD-1": 2, "PCD-1 centred": 1},
        n_chains=20,
        n_betas=200,
        light_betas=50,
        every=1,
        n_steps=20,
    ),
    "book": Settings(
        data=("digits",),
        n_hidden=64,
        rules=_rules(
            {"CD-1": 30, "PCD-1": 30, "PCD-1 centred": 30},
            batch_size=20,
            learning_rate=(0.1, 0.001),
        ),
        n_seeds={"CD-1": 1, "PCD-1": 1, "PCD-1 centred": 1},
        n_chains=100,
        n_betas=2000,
        light_betas=500,
        every=5,
        n_steps=1000,
    ),
    # Rates were chosen by short runs on 50 000 of the training images and judged by the other 10 000.
    "paper": Settings(
        data=("mnist",),
        n_hidden=500,
        rules=_rules(
            {
                "CD-1": 100,
                "CD-25": 80,
                "PCD-1": 200,
                "PCD-1 centred": 200,
                "PCD-5 centred": 150,
            },
            batch_size=100,
            learning_rate=(0.1, 0.001),
        ),
        n_seeds={
            "CD-1": 2,
            "CD-25": 1,
            "PCD-1": 3,
            "PCD-1 centred": 3,
            "PCD-5 centred": 2,
        },
        n_chains=200,
        n_betas=20_000,
        light_betas=2000,
        every=20,
        n_steps=1000,
    ),
}


def runs(settings):
    """List the keys: rule and seed."""
    return [
        {"rule": rule, "seed": seed}
        for rule, n_seeds in settings.n_seeds.items()
        for seed in range(n_seeds)
    ]


def run(settings, run, *, data, checkpoint=None):
    """Train one machine and measure it; the state of training is saved after every epoch."""
    (name,) = settings.data
    x_train, x_test = data[name].x_train, data[name].x_test
    test = sample_bernoulli(x_test, generator(what="test bits", data=name))
    machine = RestrictedBoltzmannMachine(
        settings.n_hidden, random_state=generator(**run), **settings.rules[run["rule"]]
    )
    machine, curve = train(
        machine,
        x_train,
        checkpoint,
        every=settings.every,
        look=lambda machine: _light(machine, test, settings, run),
        columns=("log_likelihood", "error"),
    )
    return {**_measure(machine, x_train, test, settings, run), **curve}


def _light(machine, test, settings, run):
    """Estimate the mean log-likelihood of the test images, and its error from log Z, quickly."""
    rng = generator(**run, what="light", epoch=machine.n_iter_)
    result = annealed_importance_sampling(machine, betas=settings.light_betas, random_state=rng)
    return -machine.free_energy(test).mean() - result.log_partition, result.standard_error


def _measure(machine, x_train, test, settings, run):
    """Anneal in both directions; the reverse chains start from training images and long chains."""
    rng, n_chains = generator(**run, what="measure"), settings.n_chains
    seen = sample_bernoulli(x_train[rng.permutation(len(x_train))[: len(test)]], rng)

    def start():
        images = seen[rng.integers(len(seen), size=n_chains)]
        return machine.gibbs(images, settings.n_steps, random_state=rng)

    annealed = anneal_both_ways(machine, start, n_chains=n_chains, betas=settings.n_betas, rng=rng)
    log_z, log_weight = annealed["log_partition"], -machine.free_energy(test)
    dreams = machine.sample(20, settings.n_steps, probabilities=True, random_state=rng)
    return {
        "log_likelihood": log_weight.mean() - log_z,
        "log_likelihood_reverse": log_weight.mean() - annealed["log_partition_reverse"],
        "log_likelihood_train": -machine.free_energy(seen).mean() - log_z,
        "log_likelihood_base": base_log_likelihood(machine.base_bias_, test),
        "error_images": log_weight.std(ddof=1) / np.sqrt(len(test)),
        **annealed,
        "n_epochs": machine.n_iter_,
        "dreams": encode_pictures(dreams),
        "filters": encode_pictures(filters(machine.weights_)),
    }


def summary(records):
    """Average over the repetitions of each rule."""
    groups = defaultdict(list)
    for record in records:
        groups[record["rule"]].append(record)
    quantities = {
        "log-lik. test": "log_likelihood",
        "by reverse": "log_likelihood_reverse",
        "train": "log_likelihood_train",
        "err. log Z": "error_log_partition",
        "err. reverse": "error_reverse",
    }
    return [
        {
            "rule": rule,
            "epochs": group[0]["n_epochs"],
            **mean_row(group, quantities, spread="log_likelihood"),
        }
        for rule, group in groups.items()
    ]
