"""The Ising model on a square lattice, and a spin glass: magnets that can be checked exactly.

A spin +1 or -1 sits on each site of a lattice and pulls on its four neighbours. The energy is
E(s) = -J sum_<ij> s_i s_j - h sum_i s_i; the first sum meets every bond once. States are int8 arrays
(n_samples, rows, cols). The Boltzmann constant is 1: temperatures are in units of energy.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import ellipkm1

from hmlib._checks import as_generator, check_array, check_count, check_number
from hmlib.spins import flip_probability

__all__ = [
    "T_CRITICAL",
    "IsingModel",
    "Measurement",
    "onsager_energy",
    "onsager_magnetization",
    "sherrington_kirkpatrick",
]

T_CRITICAL = float(2 / np.log(1 + np.sqrt(2)))  # 2.269..., in units of J, from sinh(2 J / T) = 1


class Measurement(NamedTuple):
    """What :meth:`IsingModel.measure` saw after each sweep.

    Attributes
    ----------
    energy, magnetization : ndarray, shape (n_sweeps, n_chains)
        Energy per spin and magnetisation per spin, the latter with its sign.
    """

    energy: np.ndarray
    magnetization: np.ndarray


class IsingModel:
    """The two-dimensional Ising model and its Monte Carlo dynamics.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns. On a periodic lattice the last row is a neighbour of the first, and the last
        column of the first; a side of 2 then joins its two sites twice.
    beta, temperature : float, optional
        Inverse temperature, at least 0, or temperature, above 0: one of the two. The default is the
        critical temperature 2.269... of the infinite lattice with J = 1.
    coupling : float
        J; positive couplings align neighbours.
    field : float
        The external field h, equal on all sites.
    periodic : bool
        Whether the lattice closes to a torus. Otherwise the sites at the edges have fewer neighbours.
    dynamics : {"glauber", "metropolis"}
        What a spin s_i in the field h_i = J sum_j s_j + h does: become +1 with probability
        1 / (1 + exp(-2 beta h_i)), or flip with probability min(1, exp(-2 beta s_i h_i)).
    order : {"checkerboard", "random"}
        Which spins move when. "checkerboard" updates all black sites at once and then all white ones:
        sites of one colour are not neighbours, so that is the same as one after another, and fast.
        A periodic side must be even for it. "random" visits the sites one after another, in a new
        random order in each sweep, the same for all samples.
    random_state : None, int or numpy.random.Generator
        The source of randomness.

    Attributes
    ----------
    shape, beta, coupling, field, periodic, dynamics, order
        As given, with beta = 1 / temperature.
    n_sites : int
        Number of spins.
    rng_ : numpy.random.Generator
        The generator of all draws.

    Raises
    ------
    ValueError
        If a parameter is out of range, or both ``beta`` and ``temperature`` are given.

    Notes
    -----
    Both dynamics keep the Boltzmann distribution exp(-beta E) / Z in both orders. Each single update
    fulfils detailed balance; a checkerboard sweep as a whole does not. The probabilities are those of
    :meth:`up_probability`, to the precision of a float64.

    Metropolis always accepts a flip that costs nothing. In a checkerboard without field this can lock a
    state in a cycle, apart from all others: on a lattice with a side of 2 averages come out wrong. On
    larger ones some special states are out of reach, such as diagonal stripes, with weights that
    vanish beside those of the rest. At beta = 0 every spin flips in every sweep. Glauber
    dynamics has no such trouble.

    Examples
    --------
    >>> model = IsingModel((64, 64), temperature=2.0, random_state=0)
    >>> states = model.sweep(model.start(kind="up"), n_sweeps=100)
    >>> states.shape
    (1, 64, 64)

    References
    ----------
    R. J. Glauber (1963), *Time-dependent statistics of the Ising model*. N. Metropolis et al. (1953),
    *Equation of state calculations by fast computing machines*. The chapter *Spins, temperature, annealing*.
    """

    def __init__(
        self,
        shape=(64, 64),
        *,
        beta=None,
        temperature=None,
        coupling=1.0,
        field=0.0,
        periodic=True,
        dynamics="glauber",
        order="checkerboard",
        random_state=None,
    ):
        self.dynamics = _check_choice(dynamics, "dynamics", ("glauber", "metropolis"))
        self.order = _check_choice(order, "order", ("checkerboard", "random"))
        self.periodic = bool(periodic)
        self.shape = self._check_shape(shape)
        self.n_sites = self.shape[0] * self.shape[1]
        self.beta = _check_beta(beta, temperature)
        self.coupling = check_number(coupling, "coupling")
        self.field = check_number(field, "field")
        self.rng_ = as_generator(random_state)

    @property
    def temperature(self):
        """T = 1 / beta, infinite for beta = 0."""
        return 1 / self.beta if self.beta > 0 else np.inf

    # --- states and what is measured on them ------------------------------------------------------

    def start(self, n_samples=1, kind="random"):
        """Make states: independent fair coins ("random"), all spins +1 ("up") or all -1 ("down").

        Returns
        -------
        ndarray of int8, shape (n_samples, rows, cols)
        """
        size = (check_count(n_samples, "n_samples"), *self.shape)
        if _check_choice(kind, "kind", ("random", "up", "down")) == "random":
            return 2 * self.rng_.integers(0, 2, size, dtype=np.int8) - 1
        return np.full(size, 1 if kind == "up" else -1, dtype=np.int8)

    def energy(self, states):
        """Compute E(s) = -J sum_<ij> s_i s_j - h sum_i s_i of the whole lattice, each bond once.

        Parameters
        ----------
        states : array_like, shape (n_samples, rows, cols)
            Spins +1 and -1.

        Returns
        -------
        ndarray, shape (n_samples,)
            Energies, not divided by the number of spins.
        """
        torus = self._to_torus(self._check_states(states))
        bonds = torus * (np.roll(torus, 1, axis=0) + np.roll(torus, 1, axis=1))
        return self._energy(_total(bonds), _total(torus))

    def magnetization(self, states):
        """Compute m = (1 / N) sum_i s_i, between -1 and 1; parameters as for :meth:`energy`.

        Returns
        -------
        ndarray, shape (n_samples,)
        """
        return self._check_states(states).mean(axis=(1, 2), dtype=np.float64)

    def weights(self):
        """Write the couplings as a matrix W, with E(s) = -1/2 s W s - h sum_i s_i.

        Sites are numbered row by row, as ``states.reshape(n_samples, -1)`` does it. The functions of
        :mod:`hmlib.spins` and :mod:`hmlib.annealing` take the field h as a threshold of -h.

        Returns
        -------
        ndarray, shape (n_sites, n_sites)
            J times the number of bonds between two sites.
        """
        single = np.eye(self.n_sites, dtype=np.int8).reshape(-1, *self.shape)
        bonds = self._from_torus(_neighbour_sums(self._to_torus(single)))
        return self.coupling * bonds.reshape(self.n_sites, self.n_sites)

    def flip_probabilities(self, states):
        """Compute, for every site, the probability that its spin flips if it is updated next.

        Parameters
        ----------
        states : array_like, shape (n_samples, rows, cols)
            Spins +1 and -1.

        Returns
        -------
        ndarray, shape (n_samples, rows, cols)
        """
        states = self._check_states(states)
        sums = self._from_torus(_neighbour_sums(self._to_torus(states)))
        up = self.up_probability(states, sums)
        return np.where(states > 0, 1 - up, up)

    def up_probability(self, spin, neighbours):
        """Compute the probability that an updated spin ends at +1: the rule of the dynamics.

        Parameters
        ----------
        spin : array_like
            What the spin is now, +1 or -1. Glauber dynamics forgets it.
        neighbours : array_like
            The sum of the neighbouring spins, from -4 to 4.

        Returns
        -------
        ndarray
            1 / (1 + exp(-2 beta h)) with h = J neighbours + field, or for Metropolis
            1 - min(1, exp(-2 beta h)) for a spin that is up and min(1, exp(2 beta h)) for one that is
            down.
        """
        spin, local_field = np.broadcast_arrays(
            spin, self.coupling * np.asarray(neighbours, dtype=np.float64) + self.field
        )
        if self.dynamics == "glauber":
            return flip_probability(local_field, self.beta)
        cost = 2 * self.beta * np.maximum(spin * local_field, 0)
        return np.where(spin > 0, -np.expm1(-cost), np.exp(-cost))

    # --- dynamics ---------------------------------------------------------------------------------

    def sweep(self, states, n_sweeps=1):
        """Update every spin of every sample once, ``n_sweeps`` times over.

        Parameters
        ----------
        states : array_like, shape (n_samples, rows, cols)
            Spins +1 and -1; left unchanged.
        n_sweeps : int
            Number of sweeps, at least 0.

        Returns
        -------
        ndarray of int8, shape (n_samples, rows, cols)
            The states afterwards.
        """
        walk = self._walk(self._check_states(states))
        for _ in range(check_count(n_sweeps, "n_sweeps", minimum=0)):
            walk.sweep()
        return walk.states()

    def sample(self, n_samples, *, n_chains=1, burn_in=100, thin=1, start="random"):
        """Run chains and keep a state of each after every ``thin`` sweeps.

        Parameters
        ----------
        n_samples : int
            States to keep of each chain.
        n_chains : int
            Independent chains to run at once.
        burn_in : int
            Sweeps before the first state counts. Near the critical temperature, and from a random
            start below it, a lattice of side L needs of the order of L^2 and more.
        thin : int
            Sweeps from one kept state to the next.
        start : {"random", "up", "down"} or array_like, shape (n_chains, rows, cols)
            Where to start.

        Returns
        -------
        ndarray of int8, shape (n_samples, n_chains, rows, cols)
            The states in order of time; consecutive ones are correlated.
        """
        n_samples, thin = check_count(n_samples, "n_samples"), check_count(thin, "thin")
        walk = self._burnt_in_walk(start, n_chains, burn_in)
        samples = np.empty((n_samples, n_chains, *self.shape), dtype=np.int8)
        for sample in samples:
            for _ in range(thin):
                walk.sweep()
            sample[:] = walk.states()
        return samples

    def measure(self, n_sweeps, *, n_chains=1, burn_in=100, start="up"):
        """Run chains and measure energy and magnetisation per spin after every sweep.

        Parameters
        ----------
        n_sweeps : int
            Sweeps to measure, after ``burn_in`` sweeps that do not count.
        n_chains, burn_in, start
            As for :meth:`sample`.

        Returns
        -------
        Measurement
            ``energy`` and ``magnetization``, each of shape (n_sweeps, n_chains), made for
            :func:`hmlib.chains.mean_and_error`.
        """
        n_sweeps = check_count(n_sweeps, "n_sweeps")
        walk = self._burnt_in_walk(start, n_chains, burn_in)
        bonds, spins = np.empty((2, n_sweeps, n_chains))
        for t in range(n_sweeps):
            walk.sweep()
            bonds[t], spins[t] = walk.bonds_and_spins()
        return Measurement(self._energy(bonds, spins) / self.n_sites, spins / self.n_sites)

    def _walk(self, states):
        return (_CheckerboardWalk if self.order == "checkerboard" else _RandomWalk)(self, states)

    def _burnt_in_walk(self, start, n_chains, burn_in):
        n_chains = check_count(n_chains, "n_chains")
        states = self.start(n_chains, start) if isinstance(start, str) else start
        states = self._check_states(states, "start")
        if len(states) != n_chains:
            raise ValueError(
                f"start must hold one state for each of {n_chains} chains (n_chains), "
                f"got {len(states)}"
            )
        walk = self._walk(states)
        for _ in range(check_count(burn_in, "burn_in", minimum=0)):
            walk.sweep()
        return walk

    # --- the lattice ------------------------------------------------------------------------------

    def _energy(self, bonds, spins):
        """Compute E from the sums of s_i s_j over bonds and of s_i over sites."""
        return -self.coupling * bonds - self.field * spins

    def _to_torus(self, states):
        """Put samples last; close an open lattice to an even torus by a seam of zeros.

        A zero has no influence on its neighbours, just like nothing. With the samples last, one
        operation of NumPy runs over long stretches of memory, be it one large lattice or many small.
        """
        seam = [(0, 0 if self.periodic else 2 - side % 2) for side in self.shape]
        return np.ascontiguousarray(np.pad(np.moveaxis(states, 0, -1), [*seam, (0, 0)]))

    def _from_torus(self, torus):
        rows, cols = self.shape
        return np.ascontiguousarray(np.moveaxis(torus[:rows, :cols], -1, 0))

    def _check_states(self, states, name="states"):
        states = np.asarray(states)
        if states.ndim != 3 or states.shape[1:] != self.shape:
            rows, cols = self.shape
            raise ValueError(
                f"{name} must have shape (n_samples, {rows}, {cols}), got {states.shape}"
            )
        if not len(states):
            raise ValueError(f"{name} must hold at least one sample, got none")
        if states.dtype.kind not in "iuf" or not (np.abs(states) == 1).all():
            raise ValueError(f"{name} must hold only the spins +1 and -1")
        return states.astype(np.int8, copy=False)

    def _check_shape(self, shape):
        try:
            rows, cols = shape
        except (TypeError, ValueError):
            raise ValueError(f"shape must be a pair (rows, cols), got {shape!r}") from None
        minimum = 2 if self.periodic else 1
        sides = tuple(
            check_count(side, "each side of shape", minimum=minimum) for side in (rows, cols)
        )
        if self.periodic and self.order == "checkerboard" and (rows % 2 or cols % 2):
            raise ValueError(
                "shape: a periodic checkerboard needs an even side; use order='random' or "
                f"periodic=False for a side that is odd, got {sides}"
            )
        return sides

    def __repr__(self):
        return (
            f"IsingModel({self.shape}, temperature={self.temperature:.6g}, coupling={self.coupling:g}, "
            f"field={self.field:g}, periodic={self.periodic}, dynamics={self.dynamics!r}, "
            f"order={self.order!r})"
        )


class _RandomWalk:
    """Samples whose sites are updated one after another, in a new random order in each sweep."""

    def __init__(self, model, states):
        self.model = model
        self.torus = model._to_torus(states)
        self.sites = self.torus.reshape(-1, self.torus.shape[-1])  # a view: one row for each site
        numbers = np.arange(len(self.sites)).reshape(self.torus.shape[:2])
        rows, cols = model.shape
        self.numbers = numbers[:rows, :cols].ravel()
        self.neighbours = np.stack(
            [np.roll(numbers, step, axis).ravel() for axis in (0, 1) for step in (1, -1)], axis=1
        )
        # up[s, k]: probability of +1 for a spin s and a sum k of neighbours; index -1 is the last.
        self.up = np.array(
            [model.up_probability(s, [0, 1, 2, 3, 4, -4, -3, -2, -1]) for s in (0, 1, -1)]
        )

    def sweep(self):
        rng, sites = self.model.rng_, self.sites
        order = rng.permutation(self.numbers)
        for i, coin in zip(order, rng.random((len(order), sites.shape[1]))):
            sums = sites[self.neighbours[i]].sum(axis=0)
            sites[i] = np.where(coin < self.up[sites[i], sums], 1, -1)

    def states(self):
        return self.model._from_torus(self.torus)

    def bonds_and_spins(self):
        bonds = self.torus * (np.roll(self.torus, 1, axis=0) + np.roll(self.torus, 1, axis=1))
        return _total(bonds), _total(self.torus)


class _CheckerboardWalk:
    """Samples of which all black sites are updated at once, then all white ones."""

    def __init__(self, model, states):
        self.model = model
        self.torus = model._to_torus(states)
        self.colours = black, white = [_Sublattice(c, self.torus.shape) for c in (0, 1)]
        for colour in self.colours:
            colour.load(self.torus != 0)
        self.exists = np.stack([colour.sites() for colour in self.colours])
        self.missing = 4 - np.stack([white.count_neighbours(), black.count_neighbours()])
        for colour in self.colours:
            colour.load(self.torus > 0)
        # A site's level is the sum of its neighbours + 4, which is even on a torus and halved there.
        sums = np.arange(-4, 5, 2 if model.periodic else 1) * (1 if model.coupling >= 0 else -1)
        self.if_up, self.if_down = (
            _Demand(model.up_probability(s, sums), self.exists.shape) for s in (1, -1)
        )

    def sweep(self):
        rng, metropolis = self.model.rng_, self.model.dynamics == "metropolis"
        coins = _random_bytes(self.exists.shape, rng)
        demand = self.if_up.draw(coins, rng)
        demand_if_down = self.if_down.draw(coins, rng) if metropolis else demand
        for c, colour in enumerate(self.colours):
            levels, up = self._levels(c), colour.up.view(bool)
            if metropolis:
                stays = up & (levels >= demand[c])
                turns = ~up & (levels >= demand_if_down[c])
                np.logical_or(stays, turns, out=up)
            else:
                np.greater_equal(levels, demand[c], out=up)
            if not self.model.periodic:
                colour.up &= self.exists[c]
            colour.wrap()

    def _levels(self, c):
        """Rank the sums of neighbours by the probability to go up that they give."""
        levels = self.colours[1 - c].count_neighbours()
        if not self.model.periodic:
            levels = 2 * levels + self.missing[c]
        return levels if self.model.coupling >= 0 else self.if_up.highest - levels

    def states(self):
        for colour in self.colours:
            colour.store(self.torus)
        return self.model._from_torus(self.torus)

    def bonds_and_spins(self):
        black, white = self.colours
        spins = (2 * np.stack([black.up, white.up]).view(np.int8) - 1) * self.exists.view(np.int8)
        sums = (2 * black.count_neighbours() + self.missing[1]).view(np.int8) - 4
        n_samples = self.torus.shape[-1]
        return [_total(x.reshape(-1, n_samples)) for x in (spins[1] * sums, spins)]


class _Sublattice:
    """The sites of one colour of a checkerboard on an even torus: black is 0, white is 1.

    A site is black if row + column is even. The sites in the even rows are moved together to an array
    (rows / 2, cols / 2, n_samples), and so are those in the odd rows (parity 1). Among them are all
    neighbours of a site (i, j) of the *other* colour, namely even[i, j] and odd[i, j]; odd[i - 1, j],
    above it, if its row is even, else even[i + 1, j], below it; and one more in its own row, at
    (i, j + 1) if the parity of the row is the number of this colour, else at (i, j - 1).

    The arrays have room for copies of what lies across the edges: a row at either end, and a column,
    which follows the last site of its own row and precedes the first of the next. So neighbours
    have the same distance in memory everywhere, and to count them takes six additions of long
    arrays. What is computed for the column of copies means nothing and is overwritten.

    Attributes
    ----------
    up : ndarray of uint8, shape (2, (rows / 2) (cols / 2 + 1) n_samples)
        Which spins are up, even rows first, with the column of copies but without the two rows.
    """

    def __init__(self, colour, shape):
        rows, cols, n_samples = shape
        parts = np.zeros((2, rows // 2 + 2, cols // 2 + 1, n_samples), dtype=np.uint8)
        memory, row = parts.reshape(2, -1), parts[0, 0].size
        start, stop = row, memory.shape[1] - row
        self.up = memory[:, start:stop]
        self.inner_shape = parts[:, 1:-1].shape
        self.above = memory[1, start - row : stop - row]
        self.below = memory[0, start + row : stop + row]
        steps = [n_samples if parity == colour else -n_samples for parity in (0, 1)]
        self.beside = [part[start + step : stop + step] for part, step in zip(memory, steps)]

        self.counts = np.empty_like(self.up)
        self.in_both_rows = np.empty_like(self.up[0])

        (even, odd), right, left = parts, parts[colour], parts[1 - colour]
        self.copies = [
            (odd[0], odd[-2]),
            (even[-1], even[1]),
            (right[1:-1, -1], right[1:-1, 0]),
            (left[:-2, -1], left[1:-1, -2]),
        ]
        self.places = [
            (parts[parity, 1:-1, :-1], np.s_[parity::2, (colour + parity) % 2 :: 2])
            for parity in (0, 1)
        ]

    def load(self, torus):
        """Copy all spins from an array on the torus."""
        for part, place in self.places:
            part[:] = torus[place]
        self.wrap()

    def sites(self):
        """Return ``up`` without the copies."""
        sites = self.up.copy()
        sites.reshape(self.inner_shape)[:, :, -1] = 0
        return sites

    def store(self, torus):
        """Write all spins, as +1 and -1, to an array on the torus."""
        for part, place in self.places:
            torus[place] = 2 * part.view(np.int8) - 1

    def wrap(self):
        """Renew the copies, after ``up`` was changed."""
        for copy, original in self.copies:
            copy[:] = original

    def count_neighbours(self):
        """Count the neighbours that are up, for all sites of the other colour.

        The next call overwrites the counts.
        """
        np.add(self.up[0], self.up[1], out=self.in_both_rows)
        for count, vertical, beside in zip(self.counts, (self.above, self.below), self.beside):
            np.add(self.in_both_rows, vertical, out=count)
            count += beside
        return self.counts


class _Demand:
    """Random numbers D with P(D <= k) = p_k: a spin on level k goes up if k >= D, so with p_k.

    A draw costs a byte and seldom more. The 256 bytes are dealt out to the values d of D, c_d bytes to
    each, about in proportion to P(D = d). What the rounding leaves over comes by marks: each site
    is marked with probability e, and if it is, D is drawn anew, from the distribution that makes
    (1 - e) c_d / 256 + e P(D = d | marked) equal to P(D = d). So the probabilities are as exact as
    numbers in float64 are. The marks are thrown, a Poisson number of them, each at any site: one may be
    hit twice, and that is what makes the hits of different sites independent.
    """

    def __init__(self, p, shape):
        self.highest = len(p) - 1
        # P(D = d) for d = 0 ... highest, and for a demand that no level meets.
        chances = np.diff(np.maximum.accumulate(p), prepend=0, append=1)
        extra = 0
        while np.floor((256 + extra) * chances).sum() < 256:
            extra += 1
        expected = (256 + extra) * chances
        dealt = np.floor(expected)
        dealt[dealt.argmax()] -= dealt.sum() - 256
        firsts = np.cumsum(dealt)[:-1]  # the first byte that stands for D > k
        self.least = np.count_nonzero(firsts == 0)
        self.firsts = firsts[(firsts > 0) & (firsts < 256)].astype(np.uint8)
        self.marks_per_site = np.log1p(extra / 256)  # no mark at all: 256 / (256 + extra)
        self.cumulative = np.cumsum(expected - dealt)[:-1] / max(extra, 1)  # P(D <= k | marked)

        # Written anew in every draw: to reuse memory that is in the cache saves a tenth of a sweep.
        self.demand, self.above = np.empty(shape, np.uint8), np.empty(shape, bool)

    def draw(self, coins, rng):
        """Turn random bytes into demands; the next draw overwrites them."""
        self.demand.fill(self.least)
        for first in self.firsts:
            np.greater_equal(coins, first, out=self.above)
            self.demand += self.above.view(np.uint8)
        n_marks = rng.poisson(self.marks_per_site * coins.size)
        where, chance = rng.random((2, n_marks))
        marked = (where * coins.size).astype(np.intp)
        exceeded = (chance >= self.cumulative[:, None]).view(np.uint8)
        self.demand.reshape(-1)[marked] = np.add.reduce(exceeded, axis=0, dtype=np.uint8)
        return self.demand


def onsager_energy(temperature):
    r"""Compute the energy per spin of the infinite square lattice without field, J = 1.

    u(T) = -coth(2 beta) [1 + (2 / pi) x K(m)], x = 2 tanh(2 beta)^2 - 1, with the complete elliptic
    integral K of the parameter m = k^2 = 1 - x^2. At the critical temperature x = 0: K diverges, but
    slowly enough for x K to vanish, and u = -sqrt(2).

    Parameters
    ----------
    temperature : array_like
        T > 0 in units of J.

    Returns
    -------
    ndarray
        Energies per spin of the same shape, between -2 and 0, each bond counted once. The relative
        error is about 1e-16 (1 + T^2): terms of order 1 cancel in a result of order 2 / T.

    Raises
    ------
    ValueError
        If a temperature is not positive and finite.

    References
    ----------
    L. Onsager (1944), *Crystal statistics. I. A two-dimensional model with an order-disorder
    transition*. The chapter *Spins, temperature, annealing*.
    """
    beta = 1 / _check_temperatures(temperature)
    x = 2 * np.tanh(2 * beta) ** 2 - 1
    # No number in float64 has the square 1/2, so x is never 0 and K never infinite.
    return -(1 + 2 / np.pi * x * ellipkm1(x**2)) / np.tanh(2 * beta)


def onsager_magnetization(temperature):
    """Compute the spontaneous magnetisation of the infinite square lattice, J = 1.

    m(T) = (1 - sinh(2 beta)^-4)^(1/8) below the critical temperature, and 0 from there on.

    Parameters
    ----------
    temperature : array_like
        T > 0 in units of J.

    Returns
    -------
    ndarray
        Magnetisations per spin of the same shape, from 0 to 1.

    Raises
    ------
    ValueError
        If a temperature is not positive and finite.

    References
    ----------
    C. N. Yang (1952), *The spontaneous magnetization of a two-dimensional Ising model*; the formula
    is Onsager's. The chapter *Spins, temperature, annealing*.
    """
    beta = 1 / _check_temperatures(temperature)
    inverse_sinh = 2 * np.exp(-2 * beta) / -np.expm1(-4 * beta)  # does not overflow when it is cold
    return np.maximum(1 - inverse_sinh**4, 0) ** (1 / 8)


def sherrington_kirkpatrick(n_units, random_state=None):
    """Draw the couplings of a spin glass: symmetric, J_ij ~ N(0, 1 / N) for i < j, J_ii = 0.

    Parameters
    ----------
    n_units : int
        N, at least 2.
    random_state : None, int or numpy.random.Generator
        The source of randomness.

    Returns
    -------
    ndarray, shape (n_units, n_units)
        Weights for :mod:`hmlib.spins` and :mod:`hmlib.annealing`. For large N the glass freezes at
        T = 1, and the energy of its ground state is about -0.76 N.

    Raises
    ------
    ValueError
        If ``n_units`` is not an int of at least 2.

    References
    ----------
    D. Sherrington and S. Kirkpatrick (1975), *Solvable model of a spin-glass*. The chapter
    *Spins, temperature, annealing*.
    """
    n_units = check_count(n_units, "n_units", minimum=2)
    draws = as_generator(random_state).normal(scale=n_units**-0.5, size=(n_units, n_units))
    upper = np.triu(draws, k=1)
    return upper + upper.T


def _neighbour_sums(torus):
    """Add up the four neighbours of every site of a torus (rows, cols, n_samples)."""
    return sum(np.roll(torus, step, axis) for axis in (0, 1) for step in (1, -1))


def _random_bytes(shape, rng):
    """Draw independent uniform integers from 0 to 255, from all bits of the generator's raw numbers."""
    n_bytes = 4 if isinstance(rng.bit_generator, np.random.MT19937) else 8  # in a raw number
    count = math.prod(shape)
    raw = rng.bit_generator.random_raw(-(-count // n_bytes))
    # Little-endian, so that the same seed gives the same bytes on every machine.
    return raw.astype(f"<u{n_bytes}", copy=False).view(np.uint8)[:count].reshape(shape)


def _total(array):
    """Sum over all axes but the last, the samples."""
    one_row_each = np.ascontiguousarray(array.reshape(-1, array.shape[-1]).T)
    return one_row_each.sum(axis=1, dtype=np.int32)  # int64 would take twice as long


def _check_choice(value, name, choices):
    if not isinstance(value, str) or value not in choices:
        options = " or ".join(f'"{choice}"' for choice in choices)
        raise ValueError(f"{name} must be {options}, got {value!r}")
    return value


def _check_beta(beta, temperature):
    """Return beta, given as such or as a temperature."""
    if beta is not None and temperature is not None:
        raise ValueError(f"give beta or temperature, not both, got {beta!r} and {temperature!r}")
    if beta is not None:
        return check_number(beta, "beta", low=0)
    temperature = T_CRITICAL if temperature is None else temperature
    # The reciprocal of a smaller number is infinite.
    return 1 / check_number(temperature, "temperature", low=np.finfo(float).tiny)


def _check_temperatures(temperature):
    temperature = check_array(temperature, "temperature").astype(np.float64)
    if not (temperature > 0).all():
        raise ValueError(f"temperature must be above 0, got values from {temperature.min():g}")
    return temperature
