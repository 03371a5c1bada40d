"""Restricted Boltzmann machines: no connections within a layer, so each layer is drawn at once.

Visible units v and hidden units h have the energy E(v, h) = E(v, 0) - h . u(v), where u_j(v) =
c_j + sum_i v_i W_ij is what hidden unit j receives. Given v, the hidden units are therefore
independent, p(h_j = 1 | v) = sigmoid(u_j(v)), and their sum can be carried out, which leaves the free
energy F(v) = -log sum_h exp(-E(v, h)) = E(v, 0) - sum_j log(1 + exp(u_j(v))).
"""

import numpy as np
from scipy.special import logit, logsumexp
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from hmlib._blas import add_product, one_thread
from hmlib._checks import as_generator, check_array, check_count, check_number
from hmlib._estimator import (
    BinaryDataMixin,
    EpochsMixin,
    check_mask,
    check_rates,
    digest,
    in_pieces,
    rate_at,
)
from hmlib.exact import MAX_UNITS, all_states
from hmlib.likelihood import annealed_importance_sampling
from hmlib.units import _bernoulli, _sigmoid

__all__ = ["GaussianRestrictedBoltzmannMachine", "RestrictedBoltzmannMachine"]

OFFSET_RATE = 0.01  # of the running means of a centred machine
UNITS_AT_ONCE = 12  # of an enumeration: tables of 4096 states
MAX_SHIFT, MAX_CHANGE = 10.0, 2.0  # of a Gaussian machine in one step: beyond, it has diverged


class _RestrictedMachine(
    EpochsMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """What all restricted machines share: learning, sampling, likelihoods.

    A subclass says what its visible units are: ``_check_data``, ``_present``, ``_initialize``,
    ``_visible_energy``, ``_hidden_logits``, ``_visible_mean``, ``_draw_visible``, ``_gradient`` and
    ``_log_hidden_table``.
    """

    # --- training ---------------------------------------------------------------------------------

    def _start(self, X):
        """Check the parameters, and make a machine of nearly independent units."""
        n_hidden = check_count(self.n_hidden, "n_hidden")
        n_chains = self.batch_size if self.n_chains is None else self.n_chains
        if self.method not in ("cd", "pcd"):
            raise ValueError(f'method must be "cd" or "pcd", got {self.method!r}')
        check_count(self.batch_size, "batch_size")
        check_count(self.n_steps, "n_steps")
        check_count(n_chains, "n_chains")
        if check_number(self.momentum, "momentum", low=0, high=1) == 1:
            raise ValueError("momentum must be below 1: with 1 no step is ever forgotten")
        check_number(self.weight_decay, "weight_decay", low=0)
        check_rates(self.learning_rate, "learning_rate")
        self.rng_ = as_generator(self.random_state)
        self.n_iter_ = 0
        self.weights_ = 0.01 * self.rng_.standard_normal((X.shape[1], n_hidden), X.dtype)
        self.hidden_bias_ = np.zeros(n_hidden, X.dtype)
        self._initialize(X)
        self._velocities = [np.zeros_like(parameter) for parameter in self._parameters()]
        if self.method == "pcd":
            self.chains_ = self._base_states(n_chains, self.rng_)
            self._chain_means = self._hidden_mean(self.chains_)

    def _learn(self, v):
        """Take one step up the estimated gradient <.>_data - <.>_model of the log-likelihood.

        Returns where the chains of the second average are then.
        """
        h = self._hidden_mean(v)
        if self.method == "cd":  # start the model's chains at the data
            v_model, h_model = self._negative_phase(h, self.n_steps, self.rng_)
        else:  # or where they stood after the last step
            v_model, h_model = self._negative_phase(self._chain_means, self.n_steps, self.rng_)
            self.chains_, self._chain_means = v_model, h_model
        self._ascend(self._gradient(v, h, v_model, h_model))
        return v_model

    def _negative_phase(self, h_mean, n_steps, rng):
        """Draw hidden bits, then visible units, ``n_steps`` times: v and p(h = 1 | v) at the end.

        Bits drive the chain. The last hidden probabilities stay probabilities: they enter the
        statistics, where bits would only add noise.
        """
        for _ in range(n_steps):
            v = self._draw_visible(_bernoulli(h_mean, rng), rng)
            h_mean = self._hidden_mean(v)
        return v, h_mean

    def _ascend(self, gradients):
        """Add the gradient times the learning rate to each parameter, with momentum."""
        if self.weight_decay:
            gradients[0] -= self.weight_decay * self.weights_
        steps = zip(self._parameters(), self._velocities, gradients, self._rates())
        for parameter, velocity, gradient, rate in steps:
            gradient *= rate
            if self.momentum:
                velocity *= self.momentum
                velocity += gradient
                gradient = velocity
            parameter += gradient

    def _parameters(self):
        """List the arrays that learn, the weights first."""
        return [self.weights_, self.visible_bias_, self.hidden_bias_]

    def _rates(self):
        """List their learning rates in this epoch."""
        return [rate_at(self.learning_rate, self.n_iter_, self.n_epochs)] * 3

    # --- the two conditionals ---------------------------------------------------------------------

    def _hidden_mean(self, v):
        return _sigmoid(self._hidden_logits(v))

    def hidden_mean(self, v):
        """Compute p(h_j = 1 | v) for visible states v, shape (n_samples, n_hidden)."""
        return self._hidden_mean(self._check_visible(v))

    def visible_mean(self, h):
        """Compute E[v_i | h] for hidden states h, shape (n_samples, n_visible)."""
        return self._visible_mean(self._check_hidden(h))

    def transform(self, X):
        """Compute p(h_j = 1 | v) as features, shape (n_samples, n_hidden); deterministic."""
        return self._hidden_mean(self._features(self._check_data(X)))

    # --- samples ----------------------------------------------------------------------------------

    @one_thread
    def gibbs(self, v, n_steps=1, *, random_state=None):
        """Take chains ``n_steps`` times up and down: draw h from p(h | v), then v from p(v | h).

        Parameters
        ----------
        v : array_like, shape (n_chains, n_visible)
            Where the chains are.
        n_steps : int
            Number of steps, may be 0.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the machine's own generator.

        Returns
        -------
        ndarray, shape (n_chains, n_visible)
            Where they are then.
        """
        rng, v = self._rng(random_state), self._check_visible(v)
        return self._gibbs(v, check_count(n_steps, "n_steps", minimum=0), rng)

    @one_thread
    def sample(
        self, n_samples=1, n_steps=1000, *, start=None, probabilities=False, random_state=None
    ):
        """Dream: run independent Gibbs chains for ``n_steps`` and return where they end.

        After finitely many steps these are only approximately samples of the model. Chains of a
        well-trained machine can take very many steps from one mode to another.

        Parameters
        ----------
        n_samples : int
            Number of chains.
        n_steps : int
            Steps of each.
        start : array_like, shape (n_samples, n_visible), optional
            Where the chains start: data, say, or ``chains_``. None draws independent visible units,
            each distributed as in the data.
        probabilities : bool
            If true, return E[v | h] for the last h of each chain instead of v: smoother pictures.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the machine's own generator.

        Returns
        -------
        ndarray, shape (n_samples, n_visible)
            Visible states, or their means.
        """
        rng = self._rng(random_state)
        n_samples = check_count(n_samples, "n_samples")
        n_steps = check_count(n_steps, "n_steps")
        v = self._base_states(n_samples, rng) if start is None else self._check_visible(start)
        if len(v) != n_samples:
            raise ValueError(f"start must have {n_samples} rows, one for each sample, got {len(v)}")
        h = _bernoulli(self._hidden_mean(self._gibbs(v, n_steps - 1, rng)), rng)
        return self._visible_mean(h) if probabilities else self._draw_visible(h, rng)

    @one_thread
    def inpaint(self, X, mask, n_steps=100, *, probabilities=False, random_state=None):
        """Fill in missing units by Gibbs steps with the known ones clamped.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_visible)
            Data; what stands in missing places does not matter, as long as it is valid.
        mask : array_like of bool, shape (n_visible,) or (n_samples, n_visible)
            True where a unit is missing.
        n_steps : int
            Gibbs steps, from a random start in the missing places.
        probabilities : bool
            If true, put E[v | h] of the last step into the missing places instead of a sample.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the machine's own generator.

        Returns
        -------
        ndarray, shape (n_samples, n_visible)
            The completed data; grey pixels of ``X`` become bits first.
        """
        rng = self._rng(random_state)
        known = self._present(self._check_data(X), rng)
        mask, n_steps = check_mask(mask, known.shape), check_count(n_steps, "n_steps")
        v = np.where(mask, self._base_states(len(known), rng), known)
        for _ in range(n_steps):
            h = _bernoulli(self._hidden_mean(v), rng)
            v = np.where(mask, self._draw_visible(h, rng), known)
        return np.where(mask, self._visible_mean(h), known) if probabilities else v

    def _gibbs(self, v, n_steps, rng):
        return self._negative_phase(self._hidden_mean(v), n_steps, rng)[0] if n_steps else v

    # --- energies and likelihoods -----------------------------------------------------------------

    def energy(self, v, h):
        """Compute E(v, h) of visible and hidden states, in nats, shape (n_samples,)."""
        v, h = self._check_visible(v), self._check_hidden(h)
        if len(v) != len(h):
            raise ValueError(f"v and h must have as many rows each, got {len(v)} and {len(h)}")
        interaction = (self._hidden_logits(v) * h).sum(axis=1, dtype=np.float64)
        return self._visible_energy(v) - interaction

    def free_energy(self, v):
        """Compute F(v) = -log sum_h exp(-E(v, h)) of visible states, in nats, shape (n_samples,)."""
        return in_pieces(self._free_energy, self._check_visible(v))

    def _free_energy(self, v):
        hidden = _softplus(self._hidden_logits(v)).sum(axis=1, dtype=np.float64)
        return self._visible_energy(v) - hidden

    def log_partition(self):
        """Compute log Z exactly, in nats, by listing the states of one layer and summing the other.

        Returns
        -------
        float
            log Z.

        Raises
        ------
        ValueError
            If that layer has more than 20 units. Then
            :func:`hmlib.likelihood.annealed_importance_sampling` gives an estimate.
        """
        check_is_fitted(self)
        if not self._is_small():
            raise ValueError(
                f"log_partition lists the states of a layer of at most {MAX_UNITS} units, and this "
                f"machine has {self.weights_.shape}; estimate log Z by "
                "annealed_importance_sampling"
            )
        return float(logsumexp(self._log_table()))

    def score_samples(self, X, log_partition=None, *, random_state=None):
        """Compute log p(v) = -F(v) - log Z for each sample, in nats.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Data; grey pixels become bits once per call, see ``binarize``.
        log_partition : float, optional
            log Z. None computes it exactly if a layer has at most 20 units, and else estimates it by
            annealed importance sampling with 100 chains and 10 000 inverse temperatures, once for
            the parameters as they are. Such an estimate is itself uncertain: call
            :func:`hmlib.likelihood.annealed_importance_sampling` to see how much.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the machine's own generator.

        Returns
        -------
        ndarray, shape (n_samples,)
            Log-probabilities.
        """
        rng = self._rng(random_state)
        v = self._present(self._check_data(X), rng)
        if log_partition is None:
            log_partition = self.log_partition() if self._is_small() else self._estimate(rng)
        else:
            log_partition = check_number(log_partition, "log_partition")
        return -in_pieces(self._free_energy, v) - log_partition

    def score(self, X, y=None):
        """Compute the mean of :meth:`score_samples`, in nats per sample: larger is better."""
        return float(self.score_samples(X).mean())

    def _estimate(self, rng):
        """Estimate log Z, and keep the estimate for as long as no parameter changes."""
        state = digest(self._parameters())
        if getattr(self, "_log_partition", (None, None))[0] != state:
            estimate = annealed_importance_sampling(self, random_state=rng).log_partition
            self._log_partition = state, estimate
        return self._log_partition[1]

    def _log_table(self):
        """List log sum_v exp(-E(v, h)) of all hidden states, or -F(v) of all visible ones."""
        n, table = self._listed_layer()
        return np.concatenate([table(states) for states in _blocks_of_states(n)])

    def _listed_layer(self):
        """Say which layer to list: its size, and the function of its states."""
        return self.weights_.shape[1], self._log_hidden_table

    def _is_small(self):
        return self._listed_layer()[0] <= MAX_UNITS

    def _exact_states(self, n, rng):
        """Draw independent visible states from p(v) by enumeration."""
        n_units, table = self._listed_layer()
        log_p = self._log_table()
        index = rng.choice(len(log_p), size=n, p=np.exp(log_p - logsumexp(log_p)))
        states = (index[:, None] >> np.arange(n_units)[::-1]) & 1
        states = states.astype(self.weights_.dtype)
        return self._draw_visible(states, rng) if table == self._log_hidden_table else states

    # --- small print ------------------------------------------------------------------------------

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self):
        return self.weights_.shape[1]

    def _check_hidden(self, h):
        check_is_fitted(self)
        n_hidden, dtype = self.weights_.shape[1], self.weights_.dtype
        return check_array(h, "h", ndim=2, n_columns=n_hidden, low=0, high=1).astype(dtype)


class RestrictedBoltzmannMachine(BinaryDataMixin, _RestrictedMachine):
    r"""A restricted Boltzmann machine of binary units (Smolensky, 1986), trained by CD or PCD.

    p(v, h) = exp(-E(v, h)) / Z with E(v, h) = -b . v - c . h - v W h and units 0 and 1. The gradient
    of the mean log-likelihood is a difference of two averages,

    .. math:: \partial \langle \log p(v) \rangle / \partial W_{ij}
        = \langle v_i\, p(h_j = 1 | v) \rangle_{data} - \langle v_i\, p(h_j = 1 | v) \rangle_{model},

    and likewise without the other factor for b and c. The second average is estimated by short Gibbs
    chains: contrastive divergence (CD) starts them at the data each time, persistent contrastive
    divergence (PCD) lets the same chains run on from step to step.

    Parameters
    ----------
    n_hidden : int
        Number of hidden units.
    method : {"cd", "pcd"}
        Where the chains of the second average start.
    n_steps : int
        Gibbs steps of these chains at each update: the k of CD-k.
    learning_rate : float or (float, float)
        One number, or the first and the last of rates that fall linearly over ``n_epochs``.
    momentum : float
        Share of the last step that is added to the next, in [0, 1).
    weight_decay : float
        Strength of the penalty weight_decay / 2 sum W_ij^2.
    centered : bool
        Whether to subtract running means mu and lambda from v and h in the statistics of the
        weights. The machine is the same; the gradient, taken in parameters for which the energy is
        -(v - mu) . b - c . (h - lambda) - (v - mu) W (h - lambda), is better conditioned and no
        longer depends on which of its two values a unit calls 1.
    batch_size : int
        Samples in a mini-batch.
    n_epochs : int
        Passes of :meth:`fit` over the data.
    n_chains : int or None
        Number of persistent chains; None for as many as ``batch_size``. CD has one for each sample.
    binarize : {"resample", "threshold", "none"}
        What to do with grey pixels: draw them anew as bits at each presentation, take "above one
        half" as on, or feed them as they are. All but "threshold" want values in [0, 1].
    random_state : None, int or numpy.random.Generator
        The source of all randomness.
    verbose : bool
        Whether to show a progress bar.

    Attributes
    ----------
    weights_ : ndarray, shape (n_visible, n_hidden)
        W, at first normal random numbers of standard deviation 0.01.
    visible_bias_ : ndarray, shape (n_visible,)
        b, at first the logits of the means of the data.
    hidden_bias_ : ndarray, shape (n_hidden,)
        c, at first 0.
    base_bias_ : ndarray, shape (n_visible,)
        The logits of the means of the data, with one sample of each value added so that they are
        finite: the best machine without weights.
    chains_ : ndarray, shape (n_chains, n_visible)
        Bits: the states of the persistent chains (only PCD).
    visible_offset_, hidden_offset_ : ndarray
        The running means mu and lambda, with the rate 0.01 (only if ``centered``).
    n_iter_ : int
        Epochs trained so far.
    n_features_in_ : int
        Number of visible units.
    rng_ : numpy.random.Generator
        The generator that training draws from. Everything else draws from its children, unless it
        gets a ``random_state``: looking at a machine does not change how it goes on learning.

    Notes
    -----
    Bits drive the chains. Where they only enter an average, hidden units are replaced by their
    probabilities, which leaves the expectation as it is and removes noise (Hinton, 2012, section 3);
    visible units of the chains remain bits.

    The parameters have the type of the data: float32 for float32 data, which makes large layers up
    to twice as fast, and float64 otherwise. Methods that take data raise ``ValueError`` for NaN, for
    a wrong number of columns and, unless ``binarize="threshold"``, for values outside [0, 1].

    References
    ----------
    Smolensky (1986), *Information processing in dynamical systems: foundations of harmony theory*.
    Hinton (2002), *Training products of experts by minimizing contrastive divergence*. Tieleman
    (2008), *Training restricted Boltzmann machines using approximations to the likelihood gradient*.
    Hinton (2012), *A practical guide to training restricted Boltzmann machines*. Melchior, Fischer
    and Wiskott (2016), *How to center deep Boltzmann machines*, which has the centred gradient. The
    chapter *Restricted Boltzmann machines*.
    """

    def __init__(
        self,
        n_hidden=64,
        *,
        method="cd",
        n_steps=1,
        learning_rate=0.05,
        momentum=0.0,
        weight_decay=0.0,
        centered=False,
        batch_size=100,
        n_epochs=20,
        n_chains=None,
        binarize="resample",
        random_state=None,
        verbose=False,
    ):
        self.n_hidden = n_hidden
        self.method = method
        self.n_steps = n_steps
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.centered = centered
        self.batch_size = batch_size
        self.n_epochs = n_epochs
        self.n_chains = n_chains
        self.binarize = binarize
        self.random_state = random_state
        self.verbose = verbose

    def _initialize(self, X):
        """Let every visible unit on its own be right, and the offsets be the means."""
        seen = self._to_bits(X, self.rng_) if self.binarize == "threshold" else X
        p = (seen.sum(axis=0, dtype=np.float64) + 1) / (len(X) + 2)
        self.base_bias_ = logit(p).astype(X.dtype)
        self.visible_bias_ = self.base_bias_.copy()
        if self.centered:
            self.visible_offset_ = p.astype(X.dtype)
            self.hidden_offset_ = np.full_like(self.hidden_bias_, 0.5)

    def _gradient(self, v, h, v_model, h_model):
        """Compute <.>_data - <.>_model for W, b and c, from means h of the hidden units."""
        if self.centered:
            return self._centered_gradient(v, h, v_model, h_model)
        return _differences(v, h, v_model, h_model)

    def _centered_gradient(self, v, h, v_model, h_model):
        """Compute the gradient in centred parameters, turned back into steps of W, b and c."""
        _follow(self.visible_offset_, v)
        _follow(self.hidden_offset_, h)
        mu, lam = self.visible_offset_, self.hidden_offset_
        W, b, c = _differences(v - mu, h - lam, v_model - mu, h_model - lam)
        return [W, b - W @ lam, c - mu @ W]

    def _features(self, X):
        return (X > 0.5).astype(X.dtype) if self.binarize == "threshold" else X

    def _check_visible(self, v):
        check_is_fitted(self)
        n_visible, dtype = len(self.weights_), self.weights_.dtype
        return check_array(v, "v", ndim=2, n_columns=n_visible, low=0, high=1).astype(dtype)

    # E(v, h) = -b . v - h . (c + v W)

    def _visible_energy(self, v):
        return -(v.astype(np.float64) @ self.visible_bias_)

    def _hidden_logits(self, v):
        u = v @ self.weights_
        u += self.hidden_bias_
        return u

    def _visible_logits(self, h):
        u = h @ self.weights_.T
        u += self.visible_bias_
        return u

    def _visible_mean(self, h):
        return _sigmoid(self._visible_logits(h))

    def _draw_visible(self, h, rng):
        return _bernoulli(self._visible_mean(h), rng)

    def _base_states(self, n, rng):
        """Draw visible units that are independent, with the means of the data."""
        return _bernoulli(_sigmoid(np.tile(self.base_bias_, (n, 1))), rng)

    def _log_hidden_table(self, h):
        """Compute log sum_v exp(-E(v, h)) of hidden states h."""
        return h @ self.hidden_bias_ + _softplus(self._visible_logits(h)).sum(axis=1)

    def _listed_layer(self):
        n_visible, n_hidden = self.weights_.shape
        if n_visible < n_hidden:
            return n_visible, lambda v: -self._free_energy(v)
        return n_hidden, self._log_hidden_table

    def pseudo_likelihood(self, X, *, random_state=None):
        """Compute the log-pseudo-likelihood sum_i log p(v_i | all other v) of each sample, in nats.

        Every unit is left out in turn, none is sampled. Divide by ``n_features_in_`` to compare
        machines of different widths. It needs no Z, but it is no estimate of log p(v): only for
        independent units are the two the same.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Data; grey pixels become bits once per call, see ``binarize``.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the machine's own generator.

        Returns
        -------
        ndarray, shape (n_samples,)
            Sums over the visible units.
        """
        rng = self._rng(random_state)
        return in_pieces(self._log_pseudo_likelihood, self._present(self._check_data(X), rng))

    def _log_pseudo_likelihood(self, v):
        """Sum -log(1 + exp(F(v) - F(v with unit i flipped))) over i."""
        u, log_p = self._hidden_logits(v), np.zeros(len(v))
        here = _softplus(u).sum(axis=1, dtype=np.float64)
        for v_i, W_i, b_i in zip(v.T, self.weights_, self.visible_bias_):
            flip = 1 - 2 * v_i
            there = _softplus(u + np.outer(flip, W_i)).sum(axis=1, dtype=np.float64)
            log_p -= _softplus(flip * b_i + there - here)
        return log_p

    def annealing_path(self, base="data"):
        """Make the path from a machine without weights to this one, for annealed importance sampling.

        Parameters
        ----------
        base : "data", "uniform" or array_like, shape (n_visible,)
            The visible biases of the machine without weights: ``base_bias_``, zero, or these.

        Returns
        -------
        object
            See :func:`hmlib.likelihood.annealed_importance_sampling`.
        """
        check_is_fitted(self)
        if isinstance(base, str):
            if base not in ("data", "uniform"):
                raise ValueError(f'base must be "data", "uniform" or an array, got {base!r}')
            bias = self.base_bias_ if base == "data" else np.zeros_like(self.base_bias_)
        else:
            bias = check_array(base, "base", ndim=1, n_columns=len(self.weights_))
        return _BernoulliPath(self, bias.astype(self.weights_.dtype))


class _Path:
    """The machines p_beta in which hidden unit j receives beta u_j(v): at beta = 0 they are coins."""

    def __init__(self, machine):
        self.machine = machine

    def check(self, v):
        """Return visible states that are valid, or say what is wrong with them."""
        return self.machine._check_visible(v)

    def step(self, v, beta_from, beta_to, rng):
        """Return log f_to(v) - log f_from(v), and the states after a Gibbs step at ``beta_to``."""
        u = self.machine._hidden_logits(v)
        change = _softplus_change(u, beta_from, beta_to) + self.visible_change(
            v, beta_to - beta_from
        )
        u *= beta_to
        return change, self.draw_visible(_bernoulli(_sigmoid(u), rng), beta_to, rng)

    def finish(self, n, rng):
        """Draw samples of the machine: exactly, or from chains of 1000 steps."""
        machine = self.machine
        if machine._is_small():
            return machine._exact_states(n, rng)
        chains = getattr(machine, "chains_", None)
        start = None if chains is None else chains[rng.integers(len(chains), size=n)]
        return machine.sample(n, start=start, random_state=rng)


class _BernoulliPath(_Path):
    """Visible biases (1 - beta) b_base + beta b, weights beta W and hidden biases beta c."""

    def __init__(self, machine, base_bias):
        super().__init__(machine)
        self.base_bias = base_bias
        coins = machine.weights_.shape[1] * np.log(2)
        self.log_partition = float(_softplus(base_bias.astype(np.float64)).sum() + coins)

    def start(self, n, rng):
        return _bernoulli(_sigmoid(np.tile(self.base_bias, (n, 1))), rng)

    def visible_change(self, v, difference):
        bias = self.machine.visible_bias_.astype(np.float64) - self.base_bias
        return difference * (v.astype(np.float64) @ bias)

    def draw_visible(self, h, beta, rng):
        logits = self.machine._visible_logits(h)
        logits *= beta
        logits += (1 - beta) * self.base_bias
        return _bernoulli(_sigmoid(logits), rng)


class GaussianRestrictedBoltzmannMachine(_RestrictedMachine):
    r"""A restricted Boltzmann machine with real visible units, one Gaussian for each hidden state.

    E(v, h) = sum_i (v_i - b_i)^2 / (2 sigma_i^2) - c . h - sum_ij (v_i / sigma_i^2) W_ij h_j, so that
    given h the visible units are independent Gaussians of mean b + W h and standard deviation sigma,
    and given v the hidden units have the probabilities sigmoid(c + (v / sigma^2) W). The marginal
    p(v) is a mixture of 2^n_hidden Gaussians that share their widths and whose centres are sums of
    columns of W. This is the parametrisation of Cho, Ilin and Raiko (2011); in others W or sigma^2
    mean something else.

    Parameters
    ----------
    n_hidden : int
        Number of hidden units.
    sigma : None, float or array_like, shape (n_visible,)
        The standard deviations to start with, positive; None takes half of those of the data. With
        all of them one broad Gaussian explains the data as well as it can, and it takes the weights
        long to leave that plateau.
    sigma_learning_rate : float or (float, float)
        Learning rate of the logarithms log sigma_i^2; 0 keeps the widths fixed. They should learn
        more slowly than the weights: otherwise they widen first, which is the same plateau.
    method, n_steps, momentum, weight_decay, batch_size, n_epochs, n_chains, random_state, verbose
        As for :class:`RestrictedBoltzmannMachine`.
    learning_rate : float or (float, float)
        Of weights and biases. Gradients are proportional to 1 / sigma^2: standardise the data, and
        stay well below what a binary machine can take.

    Attributes
    ----------
    weights_, hidden_bias_, chains_, n_iter_, n_features_in_, rng_
        As for :class:`RestrictedBoltzmannMachine`.
    visible_bias_ : ndarray, shape (n_visible,)
        b, at first the means of the data.
    log_variance_ : ndarray, shape (n_visible,)
        log sigma^2; learnt in this form, so sigma stays positive.

    Raises
    ------
    ValueError
        If ``sigma`` is not positive, or another argument is invalid.
    FloatingPointError
        If the learning diverges; the message says which rate to lower.

    References
    ----------
    Cho, Ilin and Raiko (2011), *Improved learning of Gaussian-Bernoulli restricted Boltzmann
    machines*. The chapter *Restricted Boltzmann machines*.
    """

    def __init__(
        self,
        n_hidden=64,
        *,
        sigma=None,
        method="cd",
        n_steps=1,
        learning_rate=0.01,
        sigma_learning_rate=0.001,
        momentum=0.0,
        weight_decay=0.0,
        batch_size=100,
        n_epochs=20,
        n_chains=None,
        random_state=None,
        verbose=False,
    ):
        self.n_hidden = n_hidden
        self.sigma = sigma
        self.method = method
        self.n_steps = n_steps
        self.learning_rate = learning_rate
        self.sigma_learning_rate = sigma_learning_rate
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.n_epochs = n_epochs
        self.n_chains = n_chains
        self.random_state = random_state
        self.verbose = verbose

    def _initialize(self, X):
        """Let every visible unit on its own have the mean of the data and the width asked for."""
        check_rates(self.sigma_learning_rate, "sigma_learning_rate", low_open=False)
        X = X.astype(np.float64)
        spread = X.std(axis=0)
        spread[spread == 0] = 1
        sigma = spread / 2 if self.sigma is None else check_array(self.sigma, "sigma")
        if sigma.shape not in ((), spread.shape) or (sigma <= 0).any():
            raise ValueError(
                f"sigma must be positive, one number or one for each of {len(spread)} visible "
                f"units, got {self.sigma!r}"
            )
        dtype = self.weights_.dtype
        self._spread = spread.astype(dtype)
        self.visible_bias_ = X.mean(axis=0).astype(dtype)
        self.log_variance_ = np.broadcast_to(2 * np.log(sigma), spread.shape).astype(dtype)
        self._base_mean = self.visible_bias_.copy()

    def _parameters(self):
        return [*super()._parameters(), self.log_variance_]

    def _rates(self):
        return [*super()._rates(), rate_at(self.sigma_learning_rate, self.n_iter_, self.n_epochs)]

    def _gradient(self, v, h, v_model, h_model):
        """Compute <.>_data - <.>_model for W, b, c and log sigma^2."""
        variance, W = self._variance, self.weights_
        x, x_model = v / variance, v_model / variance
        step_W = x.T @ (h / len(h)) - x_model.T @ (h_model / len(h_model))
        step_b = x.mean(axis=0) - x_model.mean(axis=0)
        step_c = h.mean(axis=0) - h_model.mean(axis=0)
        own, own_model = (
            ((state - self.visible_bias_) ** 2 / (2 * variance)).mean(axis=0)
            for state in (v, v_model)
        )
        step_z = own - own_model - (step_W * W).sum(axis=1)
        return [step_W, step_b, step_c, step_z]

    def _ascend(self, gradients):
        """Take a step, unless it would leave the data behind; then say which rate to lower."""
        rate, *_, sigma_rate = self._rates()
        shift = max(np.abs(gradient.T / self._spread).max() for gradient in gradients[:2])
        epoch = f"training diverged in epoch {self.n_iter_ + 1}"
        if not rate * shift < MAX_SHIFT:
            raise FloatingPointError(
                f"{epoch}: one step would move a mean by {rate * shift:.3g} standard deviations of "
                f"the data; lower learning_rate, now {self.learning_rate!r}, or standardise the data"
            )
        change = sigma_rate * np.abs(gradients[-1]).max()
        if not change < MAX_CHANGE:
            raise FloatingPointError(
                f"{epoch}: one step would change a log sigma^2 by {change:.3g}; lower "
                f"sigma_learning_rate, now {self.sigma_learning_rate!r}"
            )
        super()._ascend(gradients)

    @property
    def sigma_(self):
        """The standard deviations of the visible units given the hidden ones."""
        return np.exp(self.log_variance_ / 2)

    @property
    def _variance(self):
        return np.exp(self.log_variance_)

    def _check_data(self, X, reset=False):
        if not reset:
            check_is_fitted(self)
        return validate_data(self, X, dtype=[np.float64, np.float32], reset=reset)

    def _present(self, X, rng):
        return X

    def _features(self, X):
        return X

    def _check_visible(self, v):
        check_is_fitted(self)
        v = check_array(v, "v", ndim=2, n_columns=len(self.weights_))
        return v.astype(self.weights_.dtype)

    # E(v, h) = sum (v - b)^2 / (2 sigma^2) - h . (c + (v / sigma^2) W)

    def _visible_energy(self, v):
        z = (v - self.visible_bias_).astype(np.float64) / self.sigma_
        return (z**2).sum(axis=1) / 2

    def _hidden_logits(self, v):
        return (v / self._variance) @ self.weights_ + self.hidden_bias_

    def _visible_mean(self, h):
        return h @ self.weights_.T + self.visible_bias_

    def _draw_visible(self, h, rng):
        return self._add_noise(self._visible_mean(h), rng)

    def _add_noise(self, mean, rng):
        return mean + self.sigma_ * rng.standard_normal(mean.shape, mean.dtype)

    def _base_states(self, n, rng):
        noise = rng.standard_normal((n, len(self._spread)), self._spread.dtype)
        return self._base_mean + self._spread * noise

    def _log_hidden_table(self, h):
        """Compute log of the integral of exp(-E(v, h)) over v, a product of Gaussian integrals."""
        variance = self._variance.astype(np.float64)
        bias = self.visible_bias_.astype(np.float64)
        centre = h @ self.weights_.T + bias
        shift = ((centre**2 - bias**2) / (2 * variance)).sum(axis=1)
        return h @ self.hidden_bias_ + shift + np.log(2 * np.pi * variance).sum() / 2

    def annealing_path(self, base="data"):
        """Make the path from this machine without weights to this machine.

        Parameters
        ----------
        base : "data"
            The only choice: Gaussians of mean b and width sigma.

        Returns
        -------
        object
            See :func:`hmlib.likelihood.annealed_importance_sampling`.
        """
        check_is_fitted(self)
        if not isinstance(base, str) or base != "data":
            raise ValueError(f'base of a Gaussian machine must be "data", got {base!r}')
        return _GaussianPath(self)


class _GaussianPath(_Path):
    """Weights beta W and hidden biases beta c; b and sigma are those of the machine throughout."""

    def __init__(self, machine):
        super().__init__(machine)
        coins = machine.weights_.shape[1] * np.log(2)
        log_variance = machine.log_variance_.astype(np.float64)
        self.log_partition = float((log_variance + np.log(2 * np.pi)).sum() / 2 + coins)

    def start(self, n, rng):
        return self.machine._add_noise(np.tile(self.machine.visible_bias_, (n, 1)), rng)

    def visible_change(self, v, difference):
        return 0.0

    def draw_visible(self, h, beta, rng):
        machine = self.machine
        return machine._add_noise(beta * (h @ machine.weights_.T) + machine.visible_bias_, rng)


def _differences(v, h, v_model, h_model):
    """Compute <v h> - <v h>_model, <v> - <v>_model and <h> - <h>_model."""
    W = _difference_of_products(v, h, v_model, h_model)
    return [W, _mean(v) - _mean(v_model), _mean(h) - _mean(h_model)]


def _difference_of_products(v, h, v_model, h_model):
    return add_product(v.T @ (h / len(h)), v_model, h_model, -1 / len(h_model))


def _mean(x):
    """Average over samples: what ``np.mean`` does, in half the time for small batches."""
    return x.sum(axis=0) / len(x)


def _follow(offset, x):
    """Move the running mean of a layer towards the mean of its states, in place.

    The offset of a pixel that is never on shrinks with every update. Before it gets among the
    denormal numbers of its type, with which products take many times as long, it becomes zero.
    """
    offset += OFFSET_RATE * (_mean(x) - offset)
    offset[np.abs(offset) < np.finfo(offset.dtype).eps ** 2] = 0


def _softplus(u):
    """Compute log(1 + exp(u)) = max(u, 0) + log(1 + exp(-|u|)), without overflow."""
    return np.maximum(u, 0) + np.log1p(np.exp(-np.abs(u)))


def _softplus_change(u, beta_from, beta_to):
    """Sum log(1 + exp(beta_to u)) - log(1 + exp(beta_from u)) over units.

    The parts of :func:`_softplus` are subtracted one by one, so that close betas lose no digits.
    """
    size = np.abs(u)
    rest = np.log1p(np.exp(-beta_to * size)) - np.log1p(np.exp(-beta_from * size))
    linear = np.maximum(u, 0).sum(axis=1, dtype=np.float64)
    return rest.sum(axis=1, dtype=np.float64) + (beta_to - beta_from) * linear


def _blocks_of_states(n_units):
    """List all states of ``n_units`` in counting order, a block of at most 4096 at a time."""
    low = all_states(min(n_units, UNITS_AT_ONCE))
    for high in all_states(max(n_units - UNITS_AT_ONCE, 0)):
        yield np.hstack([np.tile(high, (len(low), 1)), low])
