"""Boltzmann machines: binary units, all of them connected, learning what they see when awake."""

import numpy as np
from scipy.special import expit, logit, logsumexp
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from hmlib._blas import one_thread
from hmlib._checks import as_generator, check_array, check_count, check_number
from hmlib._estimator import BinaryDataMixin, check_mask, check_rates, in_pieces, rate_at
from hmlib.exact import MAX_UNITS, all_states
from hmlib.units import _bernoulli

__all__ = ["BoltzmannMachine"]

MAX_HIDDEN = 12  # hidden units up to which sums over them are written out for every sample


class BoltzmannMachine(
    BinaryDataMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    r"""A Boltzmann machine of visible and hidden binary units (Ackley, Hinton and Sejnowski, 1985).

    The state s = (v, h) of all units has the probability p(s) = exp(-E(s)) / Z with E(s) =
    -1/2 s W s - b . s = -sum_{i<j} s_i W_ij s_j - sum_i b_i s_i. Learning goes up the gradient of
    the mean of log p(v),

    .. math:: \partial \langle \log p(v) \rangle / \partial W_{ij}
        = \langle s_i s_j \rangle_{clamped} - \langle s_i s_j \rangle_{free},

    the difference of two averages: with the visible units clamped to the data and the hidden units
    following p(h | v), and with all units running freely. For b it is the same with s_i alone. The
    second average is what Z contributes; without it, weights grow for ever.

    Parameters
    ----------
    n_hidden : int
        Number of hidden units, may be 0.
    method : {"exact", "gibbs"}
        How the two averages are computed: by listing all states, for up to 20 units of which up to 12
        are hidden, or by Gibbs sampling.
    learning_rate : float or (float, float)
        One number, or the first and the last of rates that fall linearly over ``n_epochs``.
    weight_decay : float
        Strength of the penalty weight_decay / 2 sum_{i<j} W_ij^2.
    batch_size : int
        Samples in a mini-batch.
    n_epochs : int
        Passes of :meth:`fit` over the data.
    temperatures : sequence of float
        One Gibbs sweep at each of these temperatures makes a phase of ``method="gibbs"``; the last
        must be 1. Several ones are longer chains; a falling schedule, such as
        ``hmlib.annealing.geometric_schedule(10, 1, 20)``, is simulated annealing.
    n_chains : int
        Free-running chains of ``method="gibbs"``. They go on where the last step left them.
    connections : array_like of bool, shape (n_units, n_units), optional
        Which pairs of units are connected, visible units first: symmetric, with a false diagonal.
        None connects all pairs.
    init_scale : float
        Standard deviation of the weights at the start.
    binarize : {"resample", "threshold", "none"}
        What to do with grey pixels, see :class:`hmlib.helmholtz.HelmholtzMachine`.
    random_state : None, int or numpy.random.Generator
        The source of all randomness.
    verbose : bool
        Whether to show a progress bar.

    Attributes
    ----------
    weights_ : ndarray, shape (n_units, n_units)
        W, symmetric with a zero diagonal, visible units first; at first normal random numbers.
    bias_ : ndarray, shape (n_units,)
        b, at first the logits of the means of the data for visible units, and 0 for hidden ones.
    chains_ : ndarray, shape (n_chains, n_units)
        States of the free-running chains (only ``method="gibbs"``).
    n_iter_ : int
        Epochs trained so far.
    n_features_in_ : int
        Number of visible units.
    rng_ : numpy.random.Generator
        The generator that training draws from. Everything else draws from its children, unless it
        gets a ``random_state``: looking at a machine does not change how it goes on learning.

    References
    ----------
    Ackley, Hinton and Sejnowski (1985), *A learning algorithm for Boltzmann machines*. Hinton and
    Sejnowski (1986), *Learning and relearning in Boltzmann machines*. The chapter *Boltzmann
    machines*.
    """

    def __init__(
        self,
        n_hidden=0,
        *,
        method="exact",
        learning_rate=0.1,
        weight_decay=0.0,
        batch_size=100,
        n_epochs=100,
        temperatures=(1.0,),
        n_chains=100,
        connections=None,
        init_scale=0.1,
        binarize="resample",
        random_state=None,
        verbose=False,
    ):
        self.n_hidden = n_hidden
        self.method = method
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.n_epochs = n_epochs
        self.temperatures = temperatures
        self.n_chains = n_chains
        self.connections = connections
        self.init_scale = init_scale
        self.binarize = binarize
        self.random_state = random_state
        self.verbose = verbose

    # --- training ---------------------------------------------------------------------------------

    def _start(self, X):
        """Check the parameters and make a machine whose units hardly know of each other."""
        n_visible, n_hidden = X.shape[1], check_count(self.n_hidden, "n_hidden", minimum=0)
        n_units = n_visible + n_hidden
        self._check_method(n_units, n_hidden)
        check_count(self.batch_size, "batch_size")
        check_number(self.weight_decay, "weight_decay", low=0)
        check_rates(self.learning_rate, "learning_rate")
        _check_temperatures(self.temperatures)
        scale = check_number(self.init_scale, "init_scale", low=0)
        n_chains = check_count(self.n_chains, "n_chains")
        self._connected = _check_connections(self.connections, n_units)
        self.rng_ = as_generator(self.random_state)
        self.n_iter_ = 0
        W = scale * self.rng_.standard_normal((n_units, n_units), X.dtype)
        self.weights_ = np.triu(W, 1) + np.triu(W, 1).T
        self.weights_ *= self._connected
        seen = self._to_bits(X, self.rng_) if self.binarize == "threshold" else X
        p = (seen.sum(axis=0, dtype=np.float64) + 1) / (len(X) + 2)  # never 0 or 1
        self.bias_ = np.append(logit(p), np.zeros(n_hidden)).astype(X.dtype)
        if self.method == "gibbs":
            self.chains_ = self._coins(n_chains, self.rng_)

    def _learn(self, v):
        """Take one step up the gradient: what is seen together binds, what is dreamt together parts."""
        clamped, free = self._clamped_phase(v), self._free_phase()
        rate = rate_at(self.learning_rate, self.n_iter_, self.n_epochs)
        step = (clamped - free).astype(self.weights_.dtype)
        self.bias_ += rate * np.diag(step)  # s_i s_i = s_i
        self.weights_ += rate * self._connected * (step - self.weight_decay * self.weights_)

    def _clamped_phase(self, v):
        """Average s_i s_j with the visible units clamped to ``v``; the diagonal holds <s_i>."""
        if self.method == "gibbs":
            s = np.hstack([v, self._coins(len(v), self.rng_)[:, v.shape[1] :]])
            return _correlations(self._sweeps(s, self._hidden_units, self.rng_, self.temperatures))
        h = all_states(self._n_hidden)
        p = self._posterior(v) / len(v)
        vh, hh = v.T @ (p @ h), (h.T * p.sum(axis=0)) @ h
        clamped = np.block([[v.T @ v / len(v), vh], [vh.T, hh]])
        np.fill_diagonal(
            clamped, np.append(v.mean(axis=0), np.diag(hh))
        )  # for grey v: v_i, not v_i^2
        return clamped

    def _free_phase(self):
        """Average s_i s_j over the machine running freely; the diagonal holds <s_i>."""
        if self.method == "gibbs":
            units = np.arange(len(self.bias_))
            self.chains_ = self._sweeps(self.chains_, units, self.rng_, self.temperatures)
            return _correlations(self.chains_)
        s = all_states(len(self.bias_))
        p = np.exp(-self._energy(s) - self.log_partition())
        return (s.T * p) @ s

    # --- dynamics ---------------------------------------------------------------------------------

    def _sweeps(self, s, units, rng, temperatures, free=True):
        """Update units one after another, in random order, at each of the temperatures.

        ``free``, of the shape of the states, says which of them may change.
        """
        s, free = s.copy(), np.broadcast_to(free, s.shape)
        for T in temperatures:
            for i in rng.permutation(units):
                p = expit((s @ self.weights_[:, i] + self.bias_[i]) / T)
                s[:, i] = np.where(free[:, i], _bernoulli(p, rng), s[:, i])
        return s

    @one_thread
    def gibbs(self, states, n_sweeps=1, *, temperatures=None, random_state=None):
        """Let all units run freely: sweeps in which each is drawn from p(s_i = 1 | the others).

        Parameters
        ----------
        states : array_like, shape (n_chains, n_units)
            Bits of visible and hidden units.
        n_sweeps : int
            Sweeps at temperature 1, may be 0.
        temperatures : array_like, shape (n_sweeps,), optional
            Takes the place of ``n_sweeps``: one sweep at each of these temperatures.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the machine's own generator.

        Returns
        -------
        ndarray, shape (n_chains, n_units)
            The states after the sweeps.
        """
        rng, s = self._rng(random_state), self._check_states(states)
        schedule = np.ones(check_count(n_sweeps, "n_sweeps", minimum=0))
        if temperatures is not None:
            schedule = check_array(temperatures, "temperatures", ndim=1, low=0)
            if (schedule == 0).any():
                raise ValueError("temperatures must be positive, got 0")
        return self._sweeps(s, np.arange(len(self.bias_)), rng, schedule)

    @one_thread
    def sample(self, n_samples=1, n_sweeps=None, *, random_state=None):
        """Dream: draw visible states from p(v).

        Parameters
        ----------
        n_samples : int
            Number of dreams.
        n_sweeps : int, optional
            Gibbs sweeps from random states; the ends are only approximately samples of the machine.
            None draws independent exact samples from a machine of up to 20 units, and else takes
            1000 sweeps.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the machine's own generator.

        Returns
        -------
        ndarray, shape (n_samples, n_visible)
            Bits.
        """
        rng = self._rng(random_state)
        n_samples, n_units = check_count(n_samples, "n_samples"), len(self.bias_)
        if n_sweeps is None and self._is_small():
            s = all_states(n_units)
            p = np.exp(-self._energy(s) - self.log_partition())
            index = rng.choice(len(s), size=n_samples, p=p / p.sum())
            return s[index, : self.n_features_in_].astype(self.bias_.dtype)
        n_sweeps = 1000 if n_sweeps is None else check_count(n_sweeps, "n_sweeps")
        s = self._sweeps(self._coins(n_samples, rng), np.arange(n_units), rng, np.ones(n_sweeps))
        return s[:, : self.n_features_in_]

    @one_thread
    def inpaint(self, X, mask, n_sweeps=100, *, random_state=None):
        """Fill in missing visible units by Gibbs sweeps with the known ones clamped.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_visible)
            Data; what stands in missing places does not matter, as long as it is valid.
        mask : array_like of bool, shape (n_visible,) or (n_samples, n_visible)
            True where a unit is missing.
        n_sweeps : int
            Sweeps, from random states of the missing and the hidden units.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the machine's own generator.

        Returns
        -------
        ndarray, shape (n_samples, n_visible)
            The completed data, as bits.
        """
        rng = self._rng(random_state)
        v = self._to_bits(self._check_data(X), rng).astype(self.bias_.dtype)
        missing = np.broadcast_to(check_mask(mask, v.shape), v.shape)
        coins, sweeps = self._coins(len(v), rng), np.ones(check_count(n_sweeps, "n_sweeps"))
        free = np.hstack([missing, np.ones((len(v), self._n_hidden), bool)])
        s = np.where(free, coins, np.hstack([v, coins[:, v.shape[1] :]]))
        units = np.flatnonzero(free.any(axis=0))
        return self._sweeps(s, units, rng, sweeps, free)[:, : v.shape[1]]

    def transform(self, X):
        """Compute p(h_j = 1 | v) as features, shape (n_samples, n_hidden); up to 12 hidden units."""
        X = self._check_data(X)
        v = (X > 0.5).astype(X.dtype) if self.binarize == "threshold" else X
        self._need(
            self._n_hidden <= MAX_HIDDEN, f"transform needs at most {MAX_HIDDEN} hidden units"
        )
        h = all_states(self._n_hidden)
        return in_pieces(lambda v: self._posterior(v) @ h, v).astype(v.dtype)

    # --- energies and likelihoods -----------------------------------------------------------------

    def energy(self, states):
        """Compute E(s) = -1/2 s W s - b . s of states of all units, visible first, in nats.

        Parameters
        ----------
        states : array_like, shape (n_samples, n_units)
            Bits.

        Returns
        -------
        ndarray, shape (n_samples,)
            Energies; every pair of units counts once.
        """
        return self._energy(self._check_states(states).astype(np.float64))

    def _energy(self, s):
        return -((s @ self.weights_) * s).sum(axis=1) / 2 - s @ self.bias_

    def free_energy(self, v):
        """Compute F(v) = -log sum_h exp(-E(v, h)) in nats; up to 12 hidden units.

        Parameters
        ----------
        v : array_like, shape (n_samples, n_visible)
            States of the visible units.

        Returns
        -------
        ndarray, shape (n_samples,)
            Free energies.
        """
        check_is_fitted(self)
        v = check_array(v, "v", ndim=2, n_columns=self.n_features_in_, low=0, high=1)
        self._need(
            self._n_hidden <= MAX_HIDDEN, f"free_energy needs at most {MAX_HIDDEN} hidden units"
        )
        return in_pieces(lambda v: -logsumexp(-self._energy_table(v), axis=1), v)

    def log_partition(self):
        """Compute log Z = log sum_s exp(-E(s)) exactly, in nats; up to 20 units.

        Returns
        -------
        float
            log Z.

        Raises
        ------
        ValueError
            If the machine has more than 20 units.
        """
        check_is_fitted(self)
        self._need(self._is_small(), f"log_partition needs at most {MAX_UNITS} units")
        return float(logsumexp(-self._energy(all_states(len(self.bias_)))))

    def score_samples(self, X, *, random_state=None):
        """Compute log p(v) = -F(v) - log Z of each sample exactly, in nats.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Data; grey pixels become bits once per call, see ``binarize``.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the machine's own generator.

        Returns
        -------
        ndarray, shape (n_samples,)
            Log-probabilities.

        Raises
        ------
        ValueError
            If the machine has more than 20 units, or more than 12 hidden ones.
        """
        rng = self._rng(random_state)
        v = self._to_bits(self._check_data(X), rng)
        return -self.free_energy(v) - self.log_partition()

    def score(self, X, y=None):
        """Compute the mean of :meth:`score_samples`, in nats per sample: larger is better."""
        return float(self.score_samples(X).mean())

    def _energy_table(self, v):
        """Compute E(v, h) for every row of ``v`` with every hidden state, shape (n_samples, 2^H)."""
        n, h = self.n_features_in_, all_states(self._n_hidden)
        W, b = self.weights_.astype(np.float64), self.bias_.astype(np.float64)
        v = v.astype(np.float64)
        own_v = -((v @ W[:n, :n]) * v).sum(axis=1) / 2 - v @ b[:n]
        own_h = -((h @ W[n:, n:]) * h).sum(axis=1) / 2 - h @ b[n:]
        return own_v[:, None] + own_h - v @ W[:n, n:] @ h.T

    def _posterior(self, v):
        """Compute p(h | v) for every row of ``v`` and every hidden state, shape (n_samples, 2^H)."""
        log_p = -self._energy_table(v)
        return np.exp(log_p - logsumexp(log_p, axis=1, keepdims=True))

    # --- small print ------------------------------------------------------------------------------

    @property
    def _n_hidden(self):
        return len(self.bias_) - self.n_features_in_

    @property
    def _n_features_out(self):
        return self._n_hidden

    @property
    def _hidden_units(self):
        return np.arange(self.n_features_in_, len(self.bias_))

    def _is_small(self):
        return len(self.bias_) <= MAX_UNITS

    def _need(self, condition, what):
        """Complain about sums that are too long."""
        if not condition:
            raise ValueError(
                f"{what}, because it lists all their states; this machine has "
                f"{self.n_features_in_} visible and {self._n_hidden} hidden units"
            )

    def _coins(self, n, rng):
        """Toss a fair coin for every unit of ``n`` chains."""
        return _bernoulli(np.full((n, len(self.bias_)), 0.5, self.bias_.dtype), rng)

    def _check_method(self, n_units, n_hidden):
        if self.method not in ("exact", "gibbs"):
            raise ValueError(f'method must be "exact" or "gibbs", got {self.method!r}')
        if self.method == "exact" and (n_units > MAX_UNITS or n_hidden > MAX_HIDDEN):
            raise ValueError(
                f'method="exact" lists all states of at most {MAX_UNITS} units, of which at most '
                f"{MAX_HIDDEN} hidden, but there are {n_units} units, {n_hidden} hidden; use "
                'method="gibbs"'
            )

    def _check_states(self, states):
        check_is_fitted(self)
        s = check_array(states, "states", ndim=2, n_columns=len(self.bias_), bits=True)
        return s.astype(self.bias_.dtype)


def _correlations(s):
    """Average s_i s_j over rows, and s_i on the diagonal."""
    average = s.T @ s / len(s)
    np.fill_diagonal(average, s.mean(axis=0))
    return average


def _check_temperatures(temperatures):
    """Complain unless the temperatures are positive and end at 1."""
    schedule = check_array(temperatures, "temperatures", ndim=1)
    if len(schedule) == 0 or (schedule <= 0).any() or schedule[-1] != 1:
        raise ValueError(
            "temperatures must be positive and end at 1, the temperature of the machine, "
            f"got {temperatures!r}"
        )


def _check_connections(connections, n_units):
    """Return which pairs are connected, as a symmetric array of bool with a false diagonal."""
    if connections is None:
        return ~np.eye(n_units, dtype=bool)
    connected = np.asarray(connections)
    shape = (n_units, n_units)
    if connected.dtype != bool or connected.shape != shape:
        raise ValueError(
            f"connections must be an array of bool of shape {shape}, got {connected.dtype} of "
            f"shape {connected.shape}"
        )
    if (connected != connected.T).any() or np.diag(connected).any():
        raise ValueError("connections must be symmetric with a false diagonal")
    return connected.copy()
