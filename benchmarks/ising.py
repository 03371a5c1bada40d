"""Sweeps of a 256 x 256 Ising model: hmlib, NumPy as one writes it first, and plain Python.

All three do one sweep of Glauber dynamics at the critical temperature, every site once. Plain Python is
timed over few sweeps, since it needs so long; all times are seconds per sweep.
"""

import math
import platform
import random

import numpy as np
from harness import Comparison, compare, record

from hmlib.ising import T_CRITICAL, IsingModel, onsager_energy

SIDE = 256
# In one timed call:
N_SWEEPS = {"hmlib": 1000, "NumPy with np.roll": 50, "plain Python": 5, "plain Python, tuned": 5}


class PlainPython:
    """Nested loops over lists, a table of probabilities, and random.random()."""

    def __init__(self, temperature, seed):
        self.random = random.Random(seed).random
        self.up = {s: 1 / (1 + math.exp(-2 * s / temperature)) for s in (-4, -2, 0, 2, 4)}
        self.spins = [[1 if self.random() < 0.5 else -1 for _ in range(SIDE)] for _ in range(SIDE)]

    def sweep(self, n_sweeps):
        spins, up = self.spins, self.up
        for _ in range(n_sweeps):
            for i in range(SIDE):
                for j in range(SIDE):
                    neighbours = (
                        spins[i - 1][j]
                        + spins[(i + 1) % SIDE][j]
                        + spins[i][j - 1]
                        + spins[i][(j + 1) % SIDE]
                    )
                    spins[i][j] = 1 if self.random() < up[neighbours] else -1


class TunedPython(PlainPython):
    """The same with everything looked up once that can be."""

    def sweep(self, n_sweeps):
        spins, up, uniform = self.spins, self.up, self.random
        for _ in range(n_sweeps):
            for i in range(SIDE):
                above, row, below = spins[i - 1], spins[i], spins[(i + 1) % SIDE]
                for j in range(SIDE):
                    neighbours = above[j] + below[j] + row[j - 1] + row[(j + 1) % SIDE]
                    row[j] = 1 if uniform() < up[neighbours] else -1


class NumPyRoll:
    """A mask for each colour, np.roll for the neighbours, np.exp for the probabilities."""

    def __init__(self, temperature, seed):
        self.beta, self.rng = 1 / temperature, np.random.default_rng(seed)
        self.spins = self.rng.choice([-1, 1], (SIDE, SIDE))
        black = np.indices((SIDE, SIDE)).sum(axis=0) % 2 == 0
        self.colours = black, ~black

    def sweep(self, n_sweeps):
        for _ in range(n_sweeps):
            for colour in self.colours:
                s = self.spins
                field = sum(np.roll(s, step, axis) for axis in (0, 1) for step in (1, -1))
                up = self.rng.random(s.shape) < 1 / (1 + np.exp(-2 * self.beta * field))
                self.spins = np.where(colour, np.where(up, 1, -1), s)


class Hmlib:
    """The library, from states to states."""

    def __init__(self, temperature, seed, dynamics="glauber"):
        self.model = IsingModel(
            (SIDE, SIDE), temperature=temperature, dynamics=dynamics, random_state=seed
        )
        self.spins = self.model.start()

    def sweep(self, n_sweeps):
        self.spins = self.model.sweep(self.spins, n_sweeps)


SAMPLERS = {
    "hmlib": Hmlib,
    "NumPy with np.roll": NumPyRoll,
    "plain Python": PlainPython,
    "plain Python, tuned": TunedPython,
}


def check_that_they_sample(temperature=3.0, n_sweeps=40):
    """Hold the energy of each against Onsager's, in standard deviations of one lattice."""
    model, d = IsingModel((SIDE, SIDE)), 1e-3
    slope = (onsager_energy(temperature + d) - onsager_energy(temperature - d)) / (2 * d)
    deviation = temperature * math.sqrt(slope / SIDE**2)  # the variance is T^2 C / N
    for name, sampler in SAMPLERS.items():
        lattice = sampler(temperature, seed=1)
        lattice.sweep(n_sweeps)
        energy = model.energy(np.reshape(lattice.spins, (1, SIDE, SIDE)))[0] / SIDE**2
        error = (energy - onsager_energy(temperature)) / deviation
        assert abs(error) < 4, f"{name} is {error:.1f} standard deviations off"


def measure(repeats=7):
    """Time the samplers; return seconds per sweep."""
    lattices = {name: sampler(T_CRITICAL, seed=0) for name, sampler in SAMPLERS.items()}
    calls = {name: lambda n=name: lattices[n].sweep(N_SWEEPS[n]) for name in lattices}
    timed = compare(calls, baseline="hmlib", repeats=repeats)
    per_sweep = {name: seconds / N_SWEEPS[name] for name, seconds in timed.seconds.items()}
    return Comparison(per_sweep, "hmlib")


def main():
    check_that_they_sample()
    record(
        "Ising model, one sweep of 256 x 256",
        measure(),
        side=SIDE,
        temperature=T_CRITICAL,
        dynamics="glauber",
        sweeps_per_timed_call=N_SWEEPS,
        numpy=np.__version__,
        python=platform.python_version(),
    )


if __name__ == "__main__":
    main()
