"""Hopfield networks: memories that are the attractors of a network of symmetric couplings.

A pattern is a row of N spins, +1 and -1. Learning turns p patterns into couplings; recall lets the
spins follow their fields until none of them wants to turn. The *load* is alpha = p / N.
"""

import copy
from itertools import islice, product

import numpy as np
from scipy.linalg import orth
from scipy.optimize import brentq
from scipy.special import erf, erfc, erfcinv, expit, logsumexp
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from hmlib._checks import as_generator, check_array, check_count, check_number, check_spins
from hmlib.spins import (
    ROUNDING,
    _check_beta,
    _check_threshold,
    _check_weights,
    _energy,
    _fields,
    _heat_bath_sweep,
    _resolution,
    _sign_sweep,
)

__all__ = [
    "ContinuousHopfieldNetwork",
    "DenseAssociativeMemory",
    "HopfieldNetwork",
    "critical_load",
    "crosstalk",
    "error_probability",
    "load_for_error",
    "overlap",
    "retrieval_overlap",
]

MAX_UNITS = 8  # for a list of all fixed points: 3^8 = 6561 linear systems


# The machines -------------------------------------------------------------------------------------


class _SpinMachine(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """What all memories of spins share: how data become spins, and where chance comes from."""

    def _check_spins(self, X, reset=False):
        """Return data as spins, float32 kept."""
        X = self._check_numbers(X, reset)
        return _signs(X) if self.binarize == "sign" else check_spins(X, "X")

    def _check_numbers(self, X, reset=False):
        """Return data as finite floats of the right width, float32 kept."""
        if self.binarize not in (None, "sign"):
            raise ValueError(f'binarize must be None or "sign", got {self.binarize!r}')
        if not reset:
            check_is_fitted(self)
        return validate_data(self, X, dtype=[np.float64, np.float32], reset=reset)

    def _rng(self, random_state):
        """Return a child of the machine's generator, so that a recall leaves the machine alone."""
        return self.rng_.spawn(1)[0] if random_state is None else as_generator(random_state)

    def _sweeps(self, max_sweeps):
        """Return how many sweeps a recall may take."""
        value = self.max_sweeps if max_sweeps is None else max_sweeps
        return check_count(value, "max_sweeps", minimum=0)

    def transform(self, X):
        """Recall from each row of ``X`` with the defaults, in the same random order every time.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_units)
            Where to start.

        Returns
        -------
        ndarray, shape (n_samples, n_units)
            Where the states come to rest.
        """
        check_is_fitted(self)
        return self.recall(X, random_state=copy.deepcopy(self.rng_))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class HopfieldNetwork(_SpinMachine):
    r"""A Hopfield network: N spins with symmetric couplings that remember patterns.

    Its energy is E(s) = -1/2 sum_ij s_i w_ij s_j + sum_i theta_i s_i. Unit i feels the field
    h_i = sum_j w_ij s_j - theta_i and turns towards it; one at a time, with symmetric couplings and
    no negative w_ii, that never raises the energy. The couplings come from p patterns xi^mu::

        hebb             w_ij = (1/N) sum_mu xi_i^mu xi_j^mu
        pseudo-inverse   w    = the projector onto the span of the patterns
        storkey          w_ij grows by (xi_i xi_j - xi_i h_ji - h_ij xi_j) / N for each pattern,
                         with h_ij = sum_{k != i, j} w_ik xi_k of the couplings so far

    Parameters
    ----------
    rule : {"hebb", "pseudo-inverse", "storkey"}
        How patterns become couplings. For "storkey" the order of the patterns matters.
    threshold : float or array_like, shape (n_units,)
        Thresholds theta_i.
    zero_diagonal : bool
        Whether to set w_ii = 0 after learning. The theory of errors and of capacity assumes it.
    binarize : {None, "sign"}
        None wants spins. "sign" takes any numbers: positive ones are +1, all others -1.
    max_sweeps : int
        After how many sweeps a recall ends, at rest or not.
    random_state : None, int or numpy.random.Generator
        The source of all randomness: the order of the units, and the coins at finite temperature.

    Attributes
    ----------
    weights_ : ndarray, shape (n_units, n_units)
        Couplings w_ij; float32 if the patterns are.
    threshold_ : ndarray, shape (n_units,)
        Thresholds theta_i.
    n_patterns_ : int
        Patterns learnt so far.
    patterns_ : ndarray, shape (n_patterns, n_units)
        The patterns, which only the pseudo-inverse has to keep.
    n_features_in_ : int
        Number of units N.
    rng_ : numpy.random.Generator
        The generator whose children give each recall its randomness, unless it gets a
        ``random_state``.

    Notes
    -----
    Methods that take states want an array (n_samples, n_units). They raise ``ValueError`` for
    anything but spins (see ``binarize``), a wrong number of columns, no rows, NaN, and a parameter
    that makes no sense. A field that is zero up to rounding counts as zero: a tie keeps its state.

    References
    ----------
    J. J. Hopfield, PNAS 79:2554-2558, 1982. L. Personnaz, I. Guyon, G. Dreyfus, Physical Review A
    34:4217-4228, 1986. A. Storkey, *Increasing the capacity of a Hopfield network without
    sacrificing functionality*, ICANN 1997. The chapters *Hopfield networks*, *Attractors and energy* and
    *How much fits?*.
    """

    def __init__(
        self,
        rule="hebb",
        *,
        threshold=0.0,
        zero_diagonal=True,
        binarize=None,
        max_sweeps=100,
        random_state=None,
    ):
        self.rule = rule
        self.threshold = threshold
        self.zero_diagonal = zero_diagonal
        self.binarize = binarize
        self.max_sweeps = max_sweeps
        self.random_state = random_state

    @classmethod
    def from_weights(
        cls, weights, threshold=0.0, *, binarize=None, max_sweeps=100, random_state=None
    ):
        """Make a network of given couplings, symmetric or not, with or without a diagonal.

        Parameters
        ----------
        weights : array_like, shape (n_units, n_units)
            Couplings w_ij, from unit j to unit i; copied as they are. :meth:`partial_fit` would add
            patterns by Hebb's rule, and leave the diagonal as it comes out.
        threshold, binarize, max_sweeps, random_state
            As for the class.

        Returns
        -------
        HopfieldNetwork
            The network, ready to recall.

        Raises
        ------
        ValueError
            If ``weights`` is not a square matrix of finite numbers, or a threshold does not fit.
        """
        weights = _check_weights(weights)
        network = cls(
            threshold=threshold,
            zero_diagonal=False,
            binarize=binarize,
            max_sweeps=max_sweeps,
            random_state=random_state,
        )
        network._initialize(weights.copy())
        network.n_features_in_ = len(weights)
        return network

    # --- learning ---------------------------------------------------------------------------------

    def fit(self, X, y=None):
        """Forget everything and learn the patterns in the rows of ``X``.

        Parameters
        ----------
        X : array_like, shape (n_patterns, n_units)
            Patterns.
        y : ignored

        Returns
        -------
        HopfieldNetwork
            The network itself.
        """
        return self._learn(self._check_spins(X, reset=True), first=True)

    def partial_fit(self, X, y=None):
        """Learn more patterns, on top of those that the network knows.

        Parameters and return value as for :meth:`fit`.
        """
        first = not hasattr(self, "weights_")
        return self._learn(self._check_spins(X, reset=first), first)

    def _learn(self, patterns, first):
        """Add patterns to the couplings."""
        learn = {"hebb": _hebb, "pseudo-inverse": _pseudo_inverse, "storkey": _storkey}
        if self.rule not in learn:
            raise ValueError(
                f"rule must be one of {', '.join(map(repr, learn))}, got {self.rule!r}"
            )
        if first:
            n_units = patterns.shape[1]
            self._initialize(np.zeros((n_units, n_units), dtype=patterns.dtype))
        patterns = new = patterns.astype(self.weights_.dtype, copy=False)
        if self.rule == "pseudo-inverse":
            self.patterns_ = patterns = np.vstack([self.patterns_, new])
        learn[self.rule](self.weights_, patterns)
        if self.zero_diagonal:
            np.fill_diagonal(self.weights_, 0)
        self.n_patterns_ += len(new)
        return self

    def _initialize(self, weights):
        """Start from these couplings and no patterns."""
        threshold = _check_threshold(self.threshold, len(weights))
        self.rng_ = as_generator(self.random_state)
        self.weights_ = weights
        self.threshold_ = threshold.astype(weights.dtype)
        self.n_patterns_ = 0
        vars(self).pop("patterns_", None)
        if self.rule == "pseudo-inverse":
            self.patterns_ = np.empty((0, len(weights)), dtype=weights.dtype)

    # --- recall -----------------------------------------------------------------------------------

    def field(self, X):
        """Compute the fields h_i = sum_j w_ij s_j - theta_i.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_units)
            States s.

        Returns
        -------
        ndarray, shape (n_samples, n_units)
            Fields.
        """
        return _fields(self._check_states(X), self.weights_, self.threshold_)

    def energy(self, X):
        """Compute the energies E(s) = -1/2 sum_ij s_i w_ij s_j + sum_i theta_i s_i.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_units)
            States s.

        Returns
        -------
        ndarray, shape (n_samples,)
            Energies.
        """
        return _energy(self._check_states(X), self.weights_, self.threshold_)

    def is_stable(self, X):
        """Say of each state whether it is a fixed point: no unit would turn, s_i h_i >= 0 for all i.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_units)
            States s.

        Returns
        -------
        ndarray of bool, shape (n_samples,)
            True for fixed points.
        """
        states = self._check_states(X)
        fields = _fields(states, self.weights_, self.threshold_)
        return ~self._turning(states, fields).any(axis=1)

    def recall(
        self,
        X,
        *,
        update="asynchronous",
        beta=np.inf,
        max_sweeps=None,
        return_trajectory=False,
        random_state=None,
    ):
        """Let the network run from each row of ``X``.

        At ``beta=np.inf`` a unit takes the sign of its field, s_i = sgn(h_i), and keeps its state if
        h_i = 0; the recall ends as soon as no unit would turn. At a finite beta a unit becomes +1
        with probability 1 / (1 + exp(-2 beta h_i)), and the recall takes all of its sweeps.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_units)
            Where to start.
        update : {"asynchronous", "synchronous"}
            One unit after another, in a new random order in each sweep, the same for all samples;
            or all units at once, which can end in a cycle of two states: the recall then ends when
            it comes round.
        beta : float
            Inverse temperature, at least 0.
        max_sweeps : int, optional
            How many sweeps at most; None takes the network's. A sweep updates every unit once.
        return_trajectory : bool
            Whether to return the states after each sweep as well.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the network's own generator.

        Returns
        -------
        states : ndarray, shape (n_samples, n_units)
            The final states; see :meth:`is_stable`.
        trajectory : ndarray, shape (n_sweeps + 1, n_samples, n_units)
            The states at the start and after each sweep, if ``return_trajectory``.
        """
        states = self._check_states(X).copy()
        runs = {"asynchronous": self._one_by_one, "synchronous": self._all_at_once}
        if update not in runs:
            raise ValueError(f'update must be "asynchronous" or "synchronous", got {update!r}')
        run = runs[update](states.copy(), _check_beta(beta), self._rng(random_state))
        trajectory = [states]
        for states in islice(run, self._sweeps(max_sweeps)):
            if return_trajectory:
                trajectory.append(states.copy())
        return (states, np.stack(trajectory)) if return_trajectory else states

    def _one_by_one(self, states, beta, rng):
        """Yield the states after each asynchronous sweep, updated in place."""
        W, theta = self.weights_, self.threshold_
        if beta < np.inf:
            while True:
                _heat_bath_sweep(states, W, theta, beta, rng, rng.permutation(len(W)))
                yield states
        fields, resolution = _fields(states, W, theta), _resolution(W, theta)
        W = np.asfortranarray(W)  # what a sweep needs are columns
        while (states * fields < -resolution).any():
            _sign_sweep(states, fields, W, resolution, rng.permutation(len(W)))
            yield states

    def _all_at_once(self, states, beta, rng):
        """Yield the states after each synchronous sweep."""
        before = states
        while True:
            fields = _fields(states, self.weights_, self.threshold_)
            if beta < np.inf:
                coins = rng.random(states.shape, dtype=states.dtype)
                yield (states := _signs(expit(2 * beta * fields) - coins))
                continue
            new = np.where(self._turning(states, fields), -states, states)
            if (new == states).all():
                return
            yield new
            if (new == before).all():
                return
            before, states = states, new

    def _turning(self, states, fields):
        """Say which units of which samples point against their fields."""
        return states * fields < -_resolution(self.weights_, self.threshold_)

    def _check_states(self, X):
        """Return data as spins of the type of the couplings."""
        return self._check_spins(X).astype(self.weights_.dtype, copy=False)


class ContinuousHopfieldNetwork(_SpinMachine):
    r"""A Hopfield network of saturating linear units, x(t + 1) = satlins(W x(t) + b).

    satlins(u) cuts u off at -1 and +1: a linear system in a box, whose corners are the memories.
    Li, Michel and Porod choose W and b so that the state is driven away from the middle of the affine
    space through the patterns, and held to that space. With P the projector onto its directions::

        W = exp(step T),   T = P - tau (I - P)
        b = (integral of exp(u T) du from 0 to step) (t - T t)

    where t is any of the patterns. Along P the state grows by e^step in a step; across it the state
    decays by e^(-tau step). The Neural Network Toolbox of MATLAB calls this ``newhop``.

    Parameters
    ----------
    tau : float
        How fast the decay across the patterns is, compared with the growth along them; positive.
    step : float
        Length of a time step, positive.
    max_iter : int
        After how many steps a recall ends, at rest or not.
    tol : float
        A recall is at rest if no unit moves by more in one step.
    binarize : {None, "sign"}
        None wants patterns of spins. "sign" takes any numbers: positive ones are +1, others -1.

    Attributes
    ----------
    weights_ : ndarray, shape (n_units, n_units)
        W, symmetric; float32 if the patterns are.
    bias_ : ndarray, shape (n_units,)
        b.
    n_features_in_ : int
        Number of units.
    n_iter_ : int
        1: learning takes no iterations, but scikit-learn asks when there is a ``max_iter``.

    Notes
    -----
    The patterns are spins, but a state may start at any finite numbers. Whether all patterns became
    fixed points can be seen from :meth:`fixed_points`, or from :meth:`step_once`.

    References
    ----------
    J.-H. Li, A. N. Michel, W. Porod, *Analysis and synthesis of a class of neural networks: linear
    systems operating on a closed hypercube*, IEEE Transactions on Circuits and Systems
    36:1405-1422, 1989. The chapter *Attractors and energy*.
    """

    def __init__(self, tau=10.0, step=0.15, *, max_iter=1000, tol=1e-9, binarize=None):
        self.tau = tau
        self.step = step
        self.max_iter = max_iter
        self.tol = tol
        self.binarize = binarize

    def fit(self, X, y=None):
        """Choose W and b such that the rows of ``X`` become corners where the state stays.

        Parameters
        ----------
        X : array_like, shape (n_patterns, n_units)
            Patterns.
        y : ignored

        Returns
        -------
        ContinuousHopfieldNetwork
            The network itself.
        """
        tau = check_number(self.tau, "tau", low=0, low_open=True)
        step = check_number(self.step, "step", low=0, low_open=True)
        patterns = self._check_spins(X, reset=True)
        along = _projector(patterns[:-1] - patterns[-1])
        across = np.eye(patterns.shape[1]) - along
        # P and I - P are projectors: exp(u T) = e^u P + e^(-tau u) (I - P). The integral along P
        # meets nothing, because t - T t = (1 + tau) (I - P) t.
        W = np.exp(step) * along + np.exp(-tau * step) * across
        b = -np.expm1(-tau * step) / tau * (1 + tau) * across @ patterns[-1]
        self.weights_, self.bias_ = W.astype(patterns.dtype), b.astype(patterns.dtype)
        self.n_iter_ = 1
        return self

    def step_once(self, X):
        """Compute satlins(W x + b) for each row x of ``X``.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_units)
            States.

        Returns
        -------
        ndarray, shape (n_samples, n_units)
            The next states, in [-1, 1].
        """
        return self._next(self._check_numbers(X))

    def recall(self, X, *, max_iter=None, return_trajectory=False):
        """Let the network run from each row of ``X`` until it is at rest.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_units)
            Where to start: any finite numbers.
        max_iter : int, optional
            How many steps at most; None takes the network's.
        return_trajectory : bool
            Whether to return the states after each step as well.

        Returns
        -------
        states : ndarray, shape (n_samples, n_units)
            The final states.
        trajectory : ndarray, shape (n_steps + 1, n_samples, n_units)
            The states at the start and after each step, if ``return_trajectory``.
        """
        states = self._check_numbers(X).astype(self.weights_.dtype)
        max_iter = self.max_iter if max_iter is None else max_iter
        tol = check_number(self.tol, "tol", low=0)
        trajectory = [states]
        for _ in range(check_count(max_iter, "max_iter", minimum=0)):
            before, states = states, self._next(states)
            if return_trajectory:
                trajectory.append(states)
            if (np.abs(states - before) <= tol).all():
                break
        return (states, np.stack(trajectory)) if return_trajectory else states

    def transform(self, X):
        """Compute :meth:`recall` with the defaults."""
        return self.recall(X)

    def fixed_points(self):
        """Find all x = satlins(W x + b) by trying every way to hold units at -1 or +1.

        The units that are not held obey linear equations, and of the held ones |W x + b| >= 1. For
        each of the 3^N choices the equations are solved and the conditions checked. A state next to a
        fixed point is multiplied, in one step, by the couplings among the free units: the point is
        an attractor if all their eigenvalues are below 1 in size (or all units are held), a
        repeller if no unit is held and all are above 1, and else a saddle.

        Returns
        -------
        points : ndarray, shape (n_points, n_units)
            The fixed points, corners first.
        kinds : list of str
            "attractor", "saddle" or "repeller", for each of them.

        Raises
        ------
        ValueError
            If there are more than 8 units, or the fixed points fill a line, because the free units
            have an eigenvalue 1.
        """
        check_is_fitted(self)
        W, b = self.weights_.astype(float), self.bias_.astype(float)
        n_units = len(b)
        if n_units > MAX_UNITS:
            raise ValueError(
                f"fixed_points goes through 3^N cases and takes up to {MAX_UNITS} units, "
                f"the network has {n_units}"
            )
        points, kinds = [], []
        for held in product((-1.0, 1.0, 0.0), repeat=n_units):
            x = np.array(held)
            free = x == 0
            coupling = W[np.ix_(free, free)]
            eigenvalues = np.linalg.eigvalsh(coupling)
            if np.isclose(eigenvalues, 1).any():
                raise ValueError(
                    f"the free units of {held} have an eigenvalue 1: no isolated points"
                )
            x[free] = np.linalg.solve(np.eye(free.sum()) - coupling, (W @ x + b)[free])
            if np.allclose(self._next(x), x) and (np.abs(x[free]) < 1).all():
                points.append(x + 0.0)  # no -0.
                kinds.append(_kind(np.abs(eigenvalues), n_units))
        order = sorted(range(len(points)), key=lambda k: -np.abs(points[k]).sum())
        return np.array([points[k] for k in order]), [kinds[k] for k in order]

    def _next(self, x):
        return np.clip(x @ self.weights_.T + self.bias_, -1, 1)


class DenseAssociativeMemory(_SpinMachine):
    r"""A dense associative memory: E(s) = -sum_mu F(xi^mu . s) with a steep F.

    Each pattern xi^mu digs a well of its own; the steeper F, the less the wells disturb each other.
    F(x) = x^2 is the Hopfield network with Hebb's rule, whose capacity is of the order of N
    patterns; F(x) = x^n stores of the order of N^(n-1), and F(x) = exp(x) exponentially many. A unit
    takes the sign for which the energy is lower, and keeps its state if they are equal.

    Parameters
    ----------
    interaction : {"polynomial", "exponential"}
        F(x) = x^degree or exp(x).
    degree : int
        The power, at least 2; plays no part if exponential. With an odd power a pattern's negative
        is no memory.
    binarize : {None, "sign"}
        None wants spins. "sign" takes any numbers: positive ones are +1, all others -1.
    max_sweeps : int
        After how many sweeps a recall ends, at rest or not.
    random_state : None, int or numpy.random.Generator
        The source of all randomness: the order of the units.

    Attributes
    ----------
    patterns_ : ndarray, shape (n_patterns, n_units)
        The patterns; float32 kept.
    n_patterns_ : int
        Their number.
    n_features_in_ : int
        Number of units N.
    rng_ : numpy.random.Generator
        The generator whose children give each recall its order.

    References
    ----------
    D. Krotov, J. J. Hopfield, *Dense associative memory for pattern recognition*, NIPS 2016.
    M. Demircigil, J. Heusel, M. Loewe, S. Upgang, F. Vermet, *On a model of associative memory with
    huge storage capacity*, Journal of Statistical Physics 168:288-299, 2017. The chapter *How much fits?*.
    """

    def __init__(
        self,
        interaction="polynomial",
        *,
        degree=3,
        binarize=None,
        max_sweeps=100,
        random_state=None,
    ):
        self.interaction = interaction
        self.degree = degree
        self.binarize = binarize
        self.max_sweeps = max_sweeps
        self.random_state = random_state

    def fit(self, X, y=None):
        """Store the rows of ``X``.

        Parameters
        ----------
        X : array_like, shape (n_patterns, n_units)
            Patterns.
        y : ignored

        Returns
        -------
        DenseAssociativeMemory
            The memory itself.
        """
        if self.interaction not in ("polynomial", "exponential"):
            raise ValueError(
                f'interaction must be "polynomial" or "exponential", got {self.interaction!r}'
            )
        check_count(self.degree, "degree", minimum=2)
        self.patterns_ = self._check_spins(X, reset=True).copy()
        self.n_patterns_ = len(self.patterns_)
        self.rng_ = as_generator(self.random_state)
        return self

    def energy(self, X):
        """Compute the energies E(s) = -sum_mu F(xi^mu . s).

        Parameters
        ----------
        X : array_like, shape (n_samples, n_units)
            States s.

        Returns
        -------
        ndarray, shape (n_samples,), float64
            Energies; minus infinity where they leave the range of the type, which exp(x) does from
            N = 710 on: see :meth:`log_energy`.
        """
        overlaps = self._overlaps(X)
        with np.errstate(over="ignore"):
            if self.interaction == "exponential":
                return -np.exp(logsumexp(overlaps, axis=1))
            return -(overlaps**self.degree).sum(axis=1)

    def log_energy(self, X):
        """Compute log(-E(s)) = log sum_mu exp(xi^mu . s) of the exponential interaction.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_units)
            States s.

        Returns
        -------
        ndarray, shape (n_samples,), float64
            Logarithms of minus the energies, always finite: larger is lower.

        Raises
        ------
        ValueError
            If the interaction is polynomial, whose energy can have either sign.
        """
        overlaps = self._overlaps(X)
        if self.interaction != "exponential":
            raise ValueError('log_energy needs interaction="exponential"')
        return logsumexp(overlaps, axis=1)

    def is_stable(self, X):
        """Say of each state whether it is a fixed point: no unit would lower the energy by turning.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_units)
            States s.

        Returns
        -------
        ndarray of bool, shape (n_samples,)
            True for fixed points.
        """
        states, overlaps = self._check_spins(X), self._overlaps(X)
        units = range(self.n_features_in_)
        return ~np.any([self._turning(states, overlaps, i) for i in units], axis=0)

    def recall(self, X, *, max_sweeps=None, return_trajectory=False, random_state=None):
        """Update one unit after another from each row of ``X``, until none would turn.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_units)
            Where to start.
        max_sweeps : int, optional
            How many sweeps at most; None takes the memory's. A sweep updates every unit once, in a
            new random order, the same for all samples.
        return_trajectory : bool
            Whether to return the states after each sweep as well.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the memory's own generator.

        Returns
        -------
        states : ndarray, shape (n_samples, n_units)
            The final states.
        trajectory : ndarray, shape (n_sweeps + 1, n_samples, n_units)
            The states at the start and after each sweep, if ``return_trajectory``.
        """
        states, overlaps = self._check_spins(X).copy(), self._overlaps(X)
        rng = self._rng(random_state)
        trajectory = [states.copy()]
        moving = np.arange(len(states))  # the others are at rest
        for _ in range(self._sweeps(max_sweeps)):
            s, m = states[moving], overlaps[moving]
            turned = self._sweep(s, m, rng.permutation(self.n_features_in_))
            states[moving], overlaps[moving] = s, m
            moving = moving[turned]
            if not moving.size:
                break
            if return_trajectory:
                trajectory.append(states.copy())
        return (states, np.stack(trajectory)) if return_trajectory else states

    def _sweep(self, states, overlaps, order):
        """Turn each unit in turn if that lowers the energy, in place; say where any has turned."""
        turned = np.zeros(len(states), dtype=bool)
        for i in order:
            turning = self._turning(states, overlaps, i)
            states[turning, i] *= -1
            overlaps[turning] += np.outer(2 * states[turning, i], self.patterns_[:, i])
            turned |= turning
        return turned

    def _turning(self, states, overlaps, i):
        """Say in which samples the energy would be lower with unit i the other way round."""
        turned = overlaps - np.outer(2 * states[:, i], self.patterns_[:, i])
        now, then = self._wells(overlaps, turned)
        steepness = self.degree if self.interaction == "polynomial" else 1  # it magnifies rounding
        relative = ROUNDING * np.finfo(float).eps * steepness
        return (then - now).sum(axis=1) > relative * (np.abs(now) + np.abs(then)).sum(axis=1)

    def _wells(self, *overlaps):
        """Compute F(xi^mu . s) for several states of each sample, but for a common factor.

        The factor makes the largest well 1, so that none overflows.
        """
        if self.interaction == "exponential":
            largest = np.max(overlaps, axis=(0, 2))[:, None]
            return [np.exp(x - largest) for x in overlaps]
        largest = np.abs(overlaps).max(axis=(0, 2))[:, None]
        return [_power(x / largest, self.degree) for x in overlaps]

    def _overlaps(self, X):
        """Compute xi^mu . s for each state and pattern, in float64: these whole numbers are exact."""
        return self._check_spins(X).astype(float) @ self.patterns_.T.astype(float)


# The theory ---------------------------------------------------------------------------------------


def overlap(states, patterns):
    """Compute the overlaps m^mu = (1/N) sum_i s_i xi_i^mu of states with patterns.

    Parameters
    ----------
    states : array_like, shape (n_samples, n_units)
        States, or averages of states.
    patterns : array_like, shape (n_patterns, n_units)
        Patterns of +1 and -1.

    Returns
    -------
    ndarray, shape (n_samples, n_patterns)
        1 for a state that is the pattern, -1 for its negative, about 0 +- 1/sqrt(N) by chance.

    Raises
    ------
    ValueError
        If ``patterns`` holds anything but -1 and +1, or the numbers of units differ.

    References
    ----------
    The chapter *Hopfield networks*.
    """
    patterns = _check_patterns(patterns)
    n_units = patterns.shape[1]
    return check_array(states, "states", ndim=2, n_columns=n_units) @ patterns.T / n_units


def crosstalk(patterns):
    """Compute C_i^nu = -xi_i^nu (1/N) sum_{j != i} sum_{mu != nu} xi_i^mu xi_j^mu xi_j^nu.

    It is how hard the other patterns push bit i of pattern nu the wrong way, in a network with
    Hebb's rule, no diagonal and no thresholds. There xi_i^nu h_i = (N - 1) / N - C_i^nu: started from
    pattern nu, bit i turns in the first step if and only if C_i^nu > (N - 1) / N, which for a large
    network is 1. The condition has one side: a large negative C makes the bit more stable.

    Parameters
    ----------
    patterns : array_like, shape (n_patterns, n_units)
        Patterns of +1 and -1.

    Returns
    -------
    ndarray, shape (n_patterns, n_units)
        Multiples of 1/N, rounded only in the division: comparing them with (N - 1) / N is exact.

    Raises
    ------
    ValueError
        If ``patterns`` holds anything but -1 and +1, or no pattern.

    References
    ----------
    J. Hertz, A. Krogh, R. G. Palmer, *Introduction to the Theory of Neural Computation*, 1991,
    section 2.2. The chapter *How much fits?*.
    """
    X = _check_patterns(patterns).astype(float)
    n_patterns, n_units = X.shape
    # The full sum over j and mu is X X^T X. Of it, mu = nu gives N, and j = i with mu != nu p - 1.
    return (n_units + n_patterns - 1 - X * ((X @ X.T) @ X)) / n_units


def error_probability(load):
    """Compute P = 1/2 erfc(sqrt(1 / (2 load))), the probability that a bit of a pattern is unstable.

    That is the first step from a stored pattern, with Hebb's rule, no diagonal and random patterns:
    the crosstalk is then a sum of many coins, normal with variance load = p / N, and the bit turns
    if it exceeds 1. Exact as N and p grow together. What happens after the first step is another
    matter: see :func:`retrieval_overlap`.

    Parameters
    ----------
    load : array_like
        alpha = p / N, at least 0.

    Returns
    -------
    ndarray or float
        Probabilities below 1/2, same shape.

    Raises
    ------
    ValueError
        If a load is negative or not finite.

    References
    ----------
    J. Hertz, A. Krogh, R. G. Palmer, *Introduction to the Theory of Neural Computation*, 1991,
    section 2.2. The chapter *How much fits?*.
    """
    load = check_array(load, "load", low=0)
    with np.errstate(divide="ignore"):  # no load, no error
        return erfc(np.sqrt(0.5 / load)) / 2


def load_for_error(probability):
    """Compute the load at which a bit of a pattern is unstable with this probability.

    The inverse of :func:`error_probability`: load = 1 / (2 erfcinv(2 P)^2).

    Parameters
    ----------
    probability : array_like
        P, from 0 to 1/2.

    Returns
    -------
    ndarray or float
        Loads alpha = p / N, same shape; infinite for P = 1/2.

    Raises
    ------
    ValueError
        If a probability lies outside [0, 1/2].
    """
    probability = check_array(probability, "probability", low=0, high=0.5)
    with np.errstate(divide="ignore"):  # a coin is what no finite load gives
        return 0.5 / erfcinv(2 * probability) ** 2


def retrieval_overlap(load):
    """Compute the overlap m with a pattern after recall, for an infinite network at zero temperature.

    With Hebb's rule and p = load N random patterns, the mean-field theory of Amit, Gutfreund and
    Sompolinsky (replica symmetric) asks for m = erf(y), where::

        y (sqrt(2 load) + (2 / sqrt(pi)) exp(-y^2)) = erf(y)

    The solution with the largest m is the state near the pattern. Above :func:`critical_load`
    there is none but m = 0: the memory breaks down all at once.

    Parameters
    ----------
    load : array_like
        alpha = p / N, at least 0.

    Returns
    -------
    ndarray or float
        Overlaps m, same shape: 1 at load 0, m_c at the critical load, 0 above.

    Raises
    ------
    ValueError
        If a load is negative or not finite.

    References
    ----------
    D. J. Amit, H. Gutfreund, H. Sompolinsky, *Storing infinite numbers of patterns in a spin-glass
    model of neural networks*, Physical Review Letters 55:1530-1533, 1985. The chapter *How much fits?*.
    """
    load = check_array(load, "load", low=0)
    return np.vectorize(_retrieval_overlap, otypes=[float])(load)[()]


def critical_load():
    """Compute the largest load alpha_c at which patterns can be retrieved, and the overlap m_c there.

    Returns
    -------
    alpha_c : float
        About 0.138 patterns per unit: the maximum of the load over y, see :func:`retrieval_overlap`.
    m_c : float
        The overlap erf(y) at that y; about one bit in sixty is wrong.

    References
    ----------
    As for :func:`retrieval_overlap`.
    """
    y = _critical_y()
    return _load_of(y), float(erf(y))


def _load_of(y):
    """Solve the equation of Amit, Gutfreund and Sompolinsky for the load."""
    return float((erf(y) / y - 2 / np.sqrt(np.pi) * np.exp(-y * y)) ** 2 / 2)


def _critical_y():
    """Find where the load stops growing with y: the derivative of its square root is zero."""
    return brentq(lambda y: 2 / np.sqrt(np.pi) * (y + 2 * y**3) * np.exp(-y * y) - erf(y), 1, 2)


def _retrieval_overlap(load):
    """Solve for the overlap at one load, on the branch of large y, where the load falls with y."""
    lowest = _critical_y()
    if load == 0 or load > _load_of(lowest):
        return float(load == 0)
    return erf(brentq(lambda y: _load_of(y) - load, lowest, 2 / np.sqrt(load)))


# Small parts --------------------------------------------------------------------------------------


def _hebb(weights, patterns):
    """Add (1/N) sum_mu xi_i^mu xi_j^mu, in place."""
    counts = patterns.T @ patterns
    counts /= len(weights)
    weights += counts


def _pseudo_inverse(weights, patterns):
    """Set the couplings to the projector onto the span of all patterns."""
    weights[:] = _projector(patterns)


def _storkey(weights, patterns):
    """Learn one pattern after another, in place.

    With h_i = sum_{k != i} w_ik xi_k, the field of pattern xi with the unit itself left out, and
    h_ij xi_j = h_i xi_j - w_ij, the rule adds, away from the diagonal,

        (xi_i xi_j - h_i xi_j - xi_i h_j + 2 w_ij) / N
            = ((xi_i - h_i) (xi_j - h_j) - h_i h_j + 2 w_ij) / N,

    and on it the same without w. Two outer products keep the couplings exactly symmetric.
    """
    n_units = len(weights)
    for xi in patterns:
        diagonal = weights.diagonal().copy()
        np.fill_diagonal(weights, 0)
        h = weights @ xi
        weights *= n_units + 2
        weights += np.outer(xi - h, xi - h)
        weights -= np.outer(h, h)
        weights /= n_units
        np.fill_diagonal(weights, diagonal + weights.diagonal())


def _projector(rows):
    """Compute the projector onto the span of the rows: X^T (X X^T)^-1 X if they are independent."""
    if not len(rows):
        return np.zeros((rows.shape[1], rows.shape[1]))
    basis = orth(rows.T.astype(float))
    projector = basis @ basis.T
    # Rounding noise must not decide where the exact coupling, and with it a field, is zero.
    for row in projector:  # row by row, so that no second matrix is needed
        row[np.abs(row) < len(projector) * np.finfo(float).eps] = 0
    return projector


def _power(x, degree):
    """Compute x^degree by squaring, many times faster than ``**`` with floats."""
    result = 1.0
    while degree:
        if degree % 2:
            result = result * x
        x, degree = x * x, degree // 2
    return result


def _kind(growth, n_units):
    """Name a fixed point by the absolute eigenvalues that belong to its free units."""
    if (growth < 1).all():
        return "attractor"
    return "repeller" if len(growth) == n_units and (growth > 1).all() else "saddle"


def _signs(x):
    """Turn positive numbers into +1 and all others into -1."""
    return np.where(x > 0, 1, -1).astype(x.dtype)


def _check_patterns(patterns):
    """Return ``patterns`` as spins, at least one row of at least one."""
    patterns = check_spins(patterns, "patterns")
    if not patterns.size:
        raise ValueError(f"patterns must hold at least one pattern, got shape {patterns.shape}")
    return patterns
