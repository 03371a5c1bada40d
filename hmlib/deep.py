"""Deep machines made of restricted ones: the deep belief network and the deep Boltzmann machine.

Both stack layers x_0 = v, x_1, ..., x_L of binary units in which only neighbouring layers are
connected. In a deep Boltzmann machine all connections are symmetric. In a deep belief network only
those of the top pair are; below it the layers dream downwards, each given the one above.
"""

import copy
import warnings
from functools import partial
from types import SimpleNamespace

import numpy as np
from scipy.special import entr, logit, logsumexp
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted
from tqdm import trange

from hmlib._blas import one_thread
from hmlib._checks import (
    as_generator,
    check_array,
    check_count,
    check_layer,
    check_number,
    check_sizes,
)
from hmlib._estimator import (
    ROWS_AT_ONCE,
    BinaryDataMixin,
    check_mask,
    check_rates,
    digest,
    in_pieces,
    rate_at,
)
from hmlib.exact import MAX_UNITS, all_states
from hmlib.layers import SigmoidLayer
from hmlib.likelihood import annealed_importance_sampling, importance_log_likelihood
from hmlib.rbm import (
    RestrictedBoltzmannMachine,
    _blocks_of_states,
    _difference_of_products,
    _follow,
    _softplus,
)
from hmlib.units import _bernoulli, _sigmoid

__all__ = ["DeepBeliefNetwork", "DeepBoltzmannMachine"]

MAX_EXACT = 12  # units up to which sums over explanations of a sample are written out: 4096 terms
DEFAULT_DRAWS = 100  # explanations per sample where they are not
TOLERANCE = 1e-3  # of a probability: a sample that moves less in a sweep of the mean field is done
MAX_SWEEPS = 100  # of the mean field, where it should converge
SMALL_CHANGE = 1.0  # of a logit
BURN_IN = 100  # Gibbs steps of the chains after greedy training


class _DeepMachine(
    BinaryDataMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """What both deep machines share: greedy training, features, and likelihoods.

    A subclass has ``_prepare(X)``, which makes it as it is before training; ``_templates()``, new
    restricted machines that are trained on top of each other before anything else, and
    ``_assemble(X)``, which takes their weights over; ``_undirected()``, the
    machine whose Z normalises p(v); ``_log_weights_of(v)``, which returns a function that draws one
    explanation per sample and returns log Z p(v, h) / q(h | v); and for small machines
    ``_is_listable()`` and ``_log_sum(v)``, log Z p(v).
    """

    # --- training ---------------------------------------------------------------------------------

    def fit(self, X, y=None):
        """Train from a fresh start; Ctrl-C keeps what was learnt, and ``partial_fit`` continues.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Data: bits, or grey values, see ``binarize``.
        y : ignored

        Returns
        -------
        self
            The machine itself.
        """
        try:
            return super().fit(X)
        except KeyboardInterrupt:  # before the first epoch of all layers together
            if not self.machines_:
                raise
            warnings.warn(
                f"greedy training was interrupted in layer {len(self.machines_)}; the machine keeps "
                "what it has learnt, and partial_fit continues",
                stacklevel=2,
            )
            return self

    def grow(self, X):
        """Train greedily, layer by layer, and pause after every epoch of every layer.

        It is what :meth:`fit` begins with, for those who want to watch it or to keep its state. It goes
        on from where the machine stands, and does nothing if all layers have been trained.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Data.

        Yields
        ------
        RestrictedBoltzmannMachine
            The one that has just learnt. The deep machine is of use when there is no other.
        """
        first = not hasattr(self, "n_iter_")
        X = self._check_data(X, reset=first)
        if first:
            self._prepare(X)
        yield from self._grow(X)

    def _start(self, X):
        self._prepare(X)
        self._complete_growth(X)

    def _epoch(self, X):
        self._complete_growth(X)  # which may have been interrupted
        super()._epoch(X)

    def _complete_growth(self, X):
        for _ in self._grow(X):
            pass

    def _grow(self, X):
        if self._is_grown:
            return
        try:
            for n_below, template in enumerate(self._templates()):
                if n_below == len(self.machines_):
                    self.machines_.append(self._begin(template, self._rise(X, n_below)))
                machine, name = self.machines_[n_below], f"layer {n_below + 1}"
                epochs = trange(
                    machine.n_iter_, machine.n_epochs, disable=not self.verbose, desc=name
                )
                for _ in epochs:
                    yield machine.partial_fit(self._rise(X, n_below))
            self._is_grown = True
        finally:
            if self.machines_:
                self._assemble(X)

    def _begin(self, machine, X):
        """Let a machine take its biases from the data, and draw from the common generator."""
        n_epochs = machine.n_epochs
        machine.set_params(random_state=self.rng_, n_epochs=0).fit(X)
        return machine.set_params(n_epochs=n_epochs)

    def _rise(self, X, n_layers):
        """Take data up: bits of the data, and probabilities above, which the next machine draws."""
        if n_layers == 0:
            return X

        def rise(X):
            x = self._to_bits(X, self.rng_)
            for machine in self.machines_[:n_layers]:
                x = machine._hidden_mean(x)
            return x

        return in_pieces(rise, X)

    # --- features and likelihoods -----------------------------------------------------------------

    def transform(self, X, layer=-1):
        """Compute probabilities of the units of one layer, the top one by default, as features.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Data.
        layer : int
            Index of the layer: 0 is the data, -1 the top.

        Returns
        -------
        ndarray, shape (n_samples, size of the layer)
            What ``recognize`` or ``mean_field`` computes without drawing bits; deterministic.
        """
        X = self._check_data(X)
        layer = check_layer(layer, len(self._sizes()))
        return in_pieces(lambda x: self._means(x)[layer], self._features(X))

    def log_weights(self, X, rng, log_partition=None):
        """Draw one explanation h per sample and return log p(v, h) - log q(h | v), in nats.

        The mean of its exponential over explanations is p(v); its own mean is a lower bound of
        log p(v). Layers that can be are summed out instead of drawn.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Data; grey pixels become bits, see ``binarize``.
        rng : numpy.random.Generator
            The source of randomness.
        log_partition : float, optional
            As for :meth:`score_samples`.

        Returns
        -------
        ndarray, shape (n_samples,)
            Logarithms of importance weights, for :func:`hmlib.likelihood.importance_log_likelihood`.
        """
        return self.draw_log_weights(X, 1, rng, log_partition)[0]

    @one_thread
    def draw_log_weights(self, X, n_draws, rng, log_partition=None):
        """Do as :meth:`log_weights` for ``n_draws`` explanations of each sample.

        Returns
        -------
        ndarray, shape (n_draws, n_samples)
            Grey pixels become bits once, so that all explanations are of the same bits.
        """
        draw = self._log_weights_of(self._to_bits(self._check_data(X), rng))
        log_w = np.stack([draw(rng) for _ in range(check_count(n_draws, "n_draws"))])
        return log_w - self._log_z(rng, log_partition)

    def score_samples(self, X, n_samples=None, log_partition=None, *, random_state=None):
        """Compute log p(v) for each sample, in nats.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Data; grey pixels become bits once per call, see ``binarize``.
        n_samples : int, optional
            Explanations per sample of an estimate by importance sampling, at least 2; see
            :func:`hmlib.likelihood.importance_log_likelihood`, which also gives the error bar. None
            writes the sum over explanations out where it is short, and else draws 100.
        log_partition : float, optional
            log Z. None computes it exactly where that is feasible, and else estimates it by annealed
            importance sampling with 100 chains and 10 000 inverse temperatures, once for the
            parameters as they are. Such an estimate is itself uncertain: call
            :func:`hmlib.likelihood.annealed_importance_sampling` to see how much.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the machine's own generator.

        Returns
        -------
        ndarray, shape (n_samples,)
            Log-probabilities.
        """
        rng = self._rng(random_state)
        v = self._to_bits(self._check_data(X), rng)
        log_z = self._log_z(rng, log_partition)
        if n_samples is None and self._is_listable():
            return in_pieces(self._log_sum, v) - log_z
        n_samples = DEFAULT_DRAWS if n_samples is None else n_samples
        weights = partial(self.draw_log_weights, log_partition=log_z)
        drawn = SimpleNamespace(draw_log_weights=weights)
        return importance_log_likelihood(drawn, v, n_samples, rng).estimate

    def score(self, X, y=None):
        """Compute the mean of :meth:`score_samples`, in nats per sample: larger is better."""
        return float(self.score_samples(X).mean())

    def _log_z(self, rng, given=None):
        """Return log Z: given, or computed and kept for as long as no parameter changes."""
        if given is not None:
            return check_number(given, "log_partition")
        machine = self._undirected()
        state = digest(machine._parameters())
        if getattr(self, "_known_log_z", (None, None))[0] != state:
            if machine._is_small():
                log_z = machine.log_partition()
            else:  # from a child, so that the draws that follow are the same when it is known
                child = rng.spawn(1)[0]
                log_z = annealed_importance_sampling(machine, random_state=child).log_partition
            self._known_log_z = state, log_z
        return self._known_log_z[1]

    # --- small print ------------------------------------------------------------------------------

    def _features(self, X):
        """Return what the deterministic pass sees of the data."""
        return self._to_bits(X, None) if self.binarize == "threshold" else X

    @property
    def _n_features_out(self):
        return self._sizes()[-1]


class DeepBeliefNetwork(_DeepMachine):
    r"""A deep belief network: a restricted machine on top of layers that dream downwards.

    Trained greedily, layer by layer, and then by the up-down algorithm (Hinton, Osindero and Teh,
    2006). With the hidden layers h_1, ..., h_L,

    .. math:: p(v, h_1, \dots, h_L) = p(v | h_1) \, p(h_1 | h_2) \cdots p(h_{L-1}, h_L),

    where the last factor is a restricted Boltzmann machine and the others are sigmoid layers.

    Parameters
    ----------
    hidden : tuple of int
        Sizes of the hidden layers, from the one above the data to the top.
    rbm : None, RestrictedBoltzmannMachine or sequence of them
        Templates of the machines that are trained greedily, one for all layers or one for each: they
        hold epochs, rates and methods. ``n_hidden`` comes from ``hidden``, randomness from
        ``random_state``, and ``binarize`` of the lowest from ``binarize``. None takes the defaults.
    n_fine_tuning_epochs : int
        Passes of the up-down algorithm after the greedy training.
    fine_tuning_rate : float or (float, float)
        Its learning rate, or the first and the last of rates that fall linearly.
    n_fine_tuning_steps : int
        Gibbs steps of the top machine in each of its updates. Its ``method`` says where they start.
    batch_size : int
        Samples in a mini-batch of the up-down algorithm.
    binarize, random_state, verbose
        As for :class:`hmlib.rbm.RestrictedBoltzmannMachine`.

    Attributes
    ----------
    machines_ : list of RestrictedBoltzmannMachine
        The machines as they were learnt greedily, the lowest first.
    generative_ : list of SigmoidLayer
        ``generative_[l]`` predicts layer l from layer l + 1, for the layers below the top pair; layer
        0 is the data.
    recognition_ : list of SigmoidLayer
        ``recognition_[l]`` predicts layer l + 1 from layer l.
    top_ : RestrictedBoltzmannMachine
        The machine between the layers L - 1 and L.
    n_iter_ : int
        Epochs of the up-down algorithm so far.
    n_features_in_, rng_
        As for :class:`hmlib.rbm.RestrictedBoltzmannMachine`, as are types and errors.

    Notes
    -----
    In the greedy phase every epoch takes the data up anew: bits of the data, and above them
    probabilities, which the next machine draws as bits. Training that was interrupted in this phase
    leaves a network of the layers that were begun.

    References
    ----------
    Hinton, Osindero and Teh (2006), *A fast learning algorithm for deep belief nets*. Salakhutdinov
    and Murray (2008), *On the quantitative analysis of deep belief networks*. The chapter *Deep
    machines*.
    """

    def __init__(
        self,
        hidden=(64, 64),
        *,
        rbm=None,
        n_fine_tuning_epochs=0,
        fine_tuning_rate=0.01,
        n_fine_tuning_steps=1,
        batch_size=100,
        binarize="resample",
        random_state=None,
        verbose=False,
    ):
        self.hidden = hidden
        self.rbm = rbm
        self.n_fine_tuning_epochs = n_fine_tuning_epochs
        self.fine_tuning_rate = fine_tuning_rate
        self.n_fine_tuning_steps = n_fine_tuning_steps
        self.batch_size = batch_size
        self.binarize = binarize
        self.random_state = random_state
        self.verbose = verbose

    # --- training ---------------------------------------------------------------------------------

    @property
    def n_epochs(self):
        """Epochs of all layers together: those of the up-down algorithm."""
        return check_count(self.n_fine_tuning_epochs, "n_fine_tuning_epochs", minimum=0)

    def _prepare(self, X):
        self._templates()
        check_rates(self.fine_tuning_rate, "fine_tuning_rate")
        check_count(self.n_fine_tuning_steps, "n_fine_tuning_steps")
        check_count(self.batch_size, "batch_size")
        self.rng_ = as_generator(self.random_state)
        self.n_iter_, self.machines_, self._is_grown = 0, [], False

    def _templates(self):
        """Return the machines to train, one for each layer."""
        sizes = check_sizes(self.hidden)
        rbm = RestrictedBoltzmannMachine() if self.rbm is None else self.rbm
        templates = list(rbm) if isinstance(rbm, (tuple, list)) else [rbm] * len(sizes)
        if len(templates) != len(sizes):
            raise ValueError(
                f"rbm must be one machine or {len(sizes)}, one for each hidden layer, "
                f"got {len(templates)}"
            )
        for machine in templates:
            if not isinstance(machine, RestrictedBoltzmannMachine):
                raise ValueError(f"rbm must be a RestrictedBoltzmannMachine, got {machine!r}")
            check_count(machine.n_epochs, "n_epochs of rbm", minimum=0)
        templates = [clone(rbm).set_params(n_hidden=n) for rbm, n in zip(templates, sizes)]
        templates[0].set_params(binarize=self.binarize)
        return templates

    def _assemble(self, X=None):
        """Untie the weights of all machines but the top one."""
        *below, top = self.machines_
        self.generative_ = [
            SigmoidLayer(np.ascontiguousarray(rbm.weights_.T), rbm.visible_bias_) for rbm in below
        ]
        self.recognition_ = [SigmoidLayer(rbm.weights_, rbm.hidden_bias_) for rbm in below]
        self.top_ = copy.deepcopy(top, {id(self.rng_): self.rng_})  # one generator for all

    def _learn(self, v):
        """Take one step of the up-down algorithm: wake-sleep, with the top machine in between."""
        rate = rate_at(self.fine_tuning_rate, self.n_iter_, self.n_fine_tuning_epochs)
        layers = self._explain(v, self.rng_)
        for layer, below, above in zip(self.generative_, layers, layers[1:]):
            layer.learn(above, below, rate)
        layers = self._dream(self._learn_top(layers[-1], rate), self.rng_)
        for layer, below, above in zip(self.recognition_, layers, layers[1:]):
            layer.learn(below, above, rate)

    def _learn_top(self, x, rate):
        """Let the top machine learn the states ``x``, and return where its chains are then."""
        self.top_.learning_rate, self.top_.n_steps = rate, self.n_fine_tuning_steps
        return self.top_._learn(x)

    # --- up and down ------------------------------------------------------------------------------

    def _explain(self, v, rng):
        """Draw the layers 1 to L - 1 from the recognition network: bits of the layers 0 to L - 1."""
        layers = [v]
        for layer in self.recognition_:
            layers.append(layer.sample(layers[-1], rng))
        return layers

    def _dream(self, x, rng):
        """Go down from states of layer L - 1: bits of the layers 0 to L - 1."""
        layers = [x]
        for layer in reversed(self.generative_):
            layers.append(layer.sample(layers[-1], rng))
        return layers[::-1]

    def _means(self, X):
        """Pass probabilities up through all layers."""
        layers = [X]
        for mean in [*(layer.mean for layer in self.recognition_), self.top_._hidden_mean]:
            layers.append(mean(layers[-1]))
        return layers

    def recognize(self, X, *, means=False, random_state=None):
        """Explain data: the activations of all layers, from the data up.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Data.
        means : bool
            If true, pass probabilities upwards instead of bits.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the network's own generator.

        Returns
        -------
        list of ndarray
            ``[v, h_1, ..., h_L]``, shapes (n_samples, size of the layer).
        """
        rng, X = self._rng(random_state), self._check_data(X)
        if means:
            return self._means(self._features(X))
        layers = self._explain(self._to_bits(X, rng), rng)
        return [*layers, _bernoulli(self.top_._hidden_mean(layers[-1]), rng)]

    @one_thread
    def sample(
        self, n_samples=1, n_steps=1000, *, start=None, probabilities=False, random_state=None
    ):
        """Dream: run Gibbs chains of the top machine for ``n_steps``, then go down once.

        Parameters
        ----------
        n_samples : int
            Number of chains.
        n_steps : int
            Steps of each between the layers L - 1 and L. After finitely many the samples are only
            approximately those of the model.
        start : array_like, shape (n_samples, size of layer L - 1), optional
            Where the chains start. None draws independent units with the means that layer L - 1 had
            when the top machine was trained.
        probabilities : bool
            If true, return the probabilities of the data units given the layer above instead of
            bits: smoother pictures.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the network's own generator.

        Returns
        -------
        ndarray, shape (n_samples, n_features)
            Bits, or probabilities.
        """
        rng = self._rng(random_state)
        of_top = probabilities and not self.generative_
        x = self.top_.sample(
            n_samples, n_steps, start=start, probabilities=of_top, random_state=rng
        )
        layers = self._dream(x, rng)
        return self.generative_[0].mean(layers[1]) if probabilities and not of_top else layers[0]

    # --- likelihoods ------------------------------------------------------------------------------

    def log_partition(self):
        """Compute log Z of the top machine exactly, in nats; up to 20 units in one of its layers.

        Returns
        -------
        float
            log Z.

        Raises
        ------
        ValueError
            If both layers have more units. Then apply
            :func:`hmlib.likelihood.annealed_importance_sampling` to ``top_``.
        """
        check_is_fitted(self)
        return self.top_.log_partition()

    def free_energy_bound(self, X, n_samples=None, *, random_state=None):
        """Compute <log q(h | v) - log p(v, h)>_q = -log p(v) + KL[q(h | v), p(h | v)], in nats.

        h are the layers 1 to L - 1, drawn from the recognition network q; layer L is summed out.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Bits. Grey pixels become bits once, see ``binarize``: pass bits, or the same
            ``random_state``, to compare two measures.
        n_samples : int or None
            Explanations to average over, per sample. None writes the sum out if the layers 1 to L - 1
            have at most 12 units, and else draws 100.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the network's own generator.

        Returns
        -------
        ndarray, shape (n_samples,)
            The bound: never below -log p(v), up to sampling noise where it is sampled.
        """
        rng = self._rng(random_state)
        v = self._to_bits(self._check_data(X), rng)
        log_z = self._log_z(rng)
        if n_samples is None and self._is_listable():
            return in_pieces(self._sum_of_bound, v) + log_z
        n_samples = DEFAULT_DRAWS if n_samples is None else check_count(n_samples, "n_samples")
        draw = self._log_weights_of(v)
        return log_z - sum(draw(rng) for _ in range(n_samples)) / n_samples

    def _undirected(self):
        return self.top_

    def _is_listable(self):
        return sum(self._sizes()[1:-1]) <= MAX_EXACT

    def _log_weights_of(self, v):
        def draw(rng):
            layers = self._explain(v, rng)
            return self._log_joint(layers) - self._log_recognition(layers)

        return draw

    def _log_joint(self, layers):
        """Compute log Z p of states of a run of layers up to L - 1, with layer L summed out."""
        pairs = zip(reversed(self.generative_), layers[::-1], layers[-2::-1])
        top = -self.top_._free_energy(layers[-1])
        return top + sum(layer.log_prob(above, below) for layer, above, below in pairs)

    def _log_recognition(self, layers):
        """Compute log q of states of a run of layers up to L - 1, given the lowest of them."""
        pairs = zip(reversed(self.recognition_), layers[-2::-1], layers[::-1])
        return sum(layer.log_prob(below, above) for layer, below, above in pairs)

    def _tables(self, v):
        """Compute log Z p(v, h) and log q(h | v) of all h_1, ..., h_{L-1}: (n_samples, 2^n)."""
        if not self.generative_:
            return self._log_joint([v])[:, None], np.zeros((len(v), 1))
        sizes = self._sizes()[1:-1]
        hidden = np.split(all_states(sum(sizes)), np.cumsum(sizes)[:-1], axis=1)
        joint = self.generative_[0].log_prob_table(hidden[0], v).T + self._log_joint(hidden)
        recognition = self.recognition_[0].log_prob_table(v, hidden[0])
        return joint, recognition + self._log_recognition(hidden)

    def _log_sum(self, v):
        return logsumexp(self._tables(v)[0], axis=1)

    def _sum_of_bound(self, v):
        joint, recognition = self._tables(v)
        return (np.exp(recognition) * (recognition - joint)).sum(axis=1)

    # --- small print ------------------------------------------------------------------------------

    @property
    def _dtype(self):
        return self.top_.weights_.dtype

    def _sizes(self):
        """Return the sizes of all layers as fitted, whatever ``hidden`` says by now."""
        return [*(layer.n_in for layer in self.recognition_), *self.top_.weights_.shape]


class DeepBoltzmannMachine(_DeepMachine):
    r"""A deep Boltzmann machine of binary units (Salakhutdinov and Hinton, 2009).

    The layers x_0 = v, x_1, ..., x_L have the energy

    .. math:: E(x_0, \dots, x_L) = - \sum_{l=0}^{L} b_l \cdot x_l
        - \sum_{l=0}^{L-1} x_l W_l x_{l+1} .

    Given the even layers the odd ones are independent, and the other way round, so a Gibbs step draws
    all odd layers and then all even ones. The gradient of the mean of log p(v) is

    .. math:: \partial \langle \log p(v) \rangle / \partial W_l
        = \langle x_l x_{l+1}^T \rangle_{data} - \langle x_l x_{l+1}^T \rangle_{model} .

    In the first average, over p(h | v), the posterior is replaced by its mean field; the second comes
    from persistent Gibbs chains.

    Parameters
    ----------
    hidden : tuple of int
        Sizes of the hidden layers, from the one above the data to the top.
    n_epochs : int
        Passes of :meth:`fit` over the data.
    learning_rate : float or (float, float)
        One number, or the first and the last of rates that fall linearly over ``n_epochs``.
    n_steps : int
        Gibbs steps of the persistent chains at each update.
    n_mean_field : int
        Sweeps of the mean field at each update, at most: samples that have converged stop earlier.
    n_pretraining_epochs : int
        Epochs of greedy training of each layer as a restricted machine that receives its inputs from
        below and above twice where it will later have another neighbour; 0 for none.
    pretraining_rate : float or (float, float)
        Their learning rate.
    centered : bool
        Whether to subtract running means from the units in the statistics of the weights (Montavon
        and Müller, 2012), which makes greedy training unnecessary.
    init_scale : float
        Standard deviation of the weights at the start.
    momentum, weight_decay, n_chains, batch_size, binarize, random_state, verbose
        As for :class:`hmlib.rbm.RestrictedBoltzmannMachine`.

    Attributes
    ----------
    weights_ : list of ndarray
        W_0, ..., W_{L-1}, shapes (size of layer l, size of layer l + 1).
    biases_ : list of ndarray
        b_0, ..., b_L, those of the visible units first, at first the logits of the means of the data.
    base_bias_ : ndarray, shape (n_visible,)
        The logits of the means of the data, with one sample of each value added so that they are
        finite: the best machine without weights.
    offsets_ : list of ndarray
        The running means of all layers, with the rate 0.01; zeros if not ``centered``.
    chains_ : list of ndarray
        Bits of all layers, shapes (n_chains, size of the layer): the states of the persistent chains.
    machines_ : list of RestrictedBoltzmannMachine
        What was trained greedily, the lowest first; empty without.
    n_iter_, n_features_in_, rng_
        As for :class:`hmlib.rbm.RestrictedBoltzmannMachine`, as are types and errors.

    References
    ----------
    Salakhutdinov and Hinton (2009), *Deep Boltzmann machines*. Montavon and Müller (2012), *Deep
    Boltzmann machines and the centering trick*. The chapter *Deep machines*.
    """

    def __init__(
        self,
        hidden=(64, 64),
        *,
        n_epochs=20,
        learning_rate=0.05,
        n_steps=1,
        n_mean_field=10,
        n_pretraining_epochs=0,
        pretraining_rate=0.05,
        centered=True,
        momentum=0.0,
        weight_decay=0.0,
        n_chains=None,
        batch_size=100,
        init_scale=0.01,
        binarize="resample",
        random_state=None,
        verbose=False,
    ):
        self.hidden = hidden
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.n_steps = n_steps
        self.n_mean_field = n_mean_field
        self.n_pretraining_epochs = n_pretraining_epochs
        self.pretraining_rate = pretraining_rate
        self.centered = centered
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.n_chains = n_chains
        self.batch_size = batch_size
        self.init_scale = init_scale
        self.binarize = binarize
        self.random_state = random_state
        self.verbose = verbose

    # --- training ---------------------------------------------------------------------------------

    def _prepare(self, X):
        """Check the parameters, and make a machine of nearly independent units."""
        sizes, dtype = [X.shape[1], *check_sizes(self.hidden)], X.dtype
        n_chains = self.batch_size if self.n_chains is None else self.n_chains
        for name in ("batch_size", "n_steps", "n_mean_field"):
            check_count(getattr(self, name), name)
        check_count(n_chains, "n_chains")
        check_count(self.n_pretraining_epochs, "n_pretraining_epochs", minimum=0)
        check_rates(self.learning_rate, "learning_rate")
        check_rates(self.pretraining_rate, "pretraining_rate")
        if check_number(self.momentum, "momentum", low=0, high=1) == 1:
            raise ValueError("momentum must be below 1: with 1 no step is ever forgotten")
        check_number(self.weight_decay, "weight_decay", low=0)
        scale = check_number(self.init_scale, "init_scale", low=0)
        self.rng_ = rng = as_generator(self.random_state)
        self.n_iter_, self.machines_, self._is_grown = 0, [], False
        seen = self._to_bits(X, rng) if self.binarize == "threshold" else X
        p = (seen.sum(axis=0, dtype=np.float64) + 1) / (len(X) + 2)
        self.base_bias_ = logit(p).astype(dtype)
        self.weights_ = [
            scale * rng.standard_normal(shape, dtype) for shape in zip(sizes, sizes[1:])
        ]
        self.biases_ = [self.base_bias_.copy(), *(np.zeros(n, dtype) for n in sizes[1:])]
        means = [p, *(np.full(n, 0.5) for n in sizes[1:])]
        self.offsets_ = [(mean if self.centered else 0 * mean).astype(dtype) for mean in means]
        self.chains_ = self._base_states(n_chains, rng)
        self._velocities = [np.zeros_like(parameter) for parameter in self._parameters()]

    def _templates(self):
        """Return the machines to train greedily: each counts a neighbour twice if it gets another."""
        sizes = check_sizes(self.hidden) if self.n_pretraining_epochs else []
        machines = [
            _DoublingMachine(
                n,
                learning_rate=self.pretraining_rate,
                n_epochs=self.n_pretraining_epochs,
                batch_size=self.batch_size,
                weight_decay=self.weight_decay,
            )
            for n in sizes
        ]
        for lower, upper in zip(machines, machines[1:]):
            lower.up = upper.down = 2
        for machine in machines[:1]:
            machine.set_params(binarize=self.binarize)
        return machines

    def _assemble(self, X):
        """Take over the machines trained greedily; a layer between two takes the mean of biases.

        The chains move from independent units towards this machine, where they also meet what data
        would never lead to; the offsets of hidden layers become the means of explanations of data.
        """
        for machine, W in zip(self.machines_, self.weights_):
            W[:] = machine.weights_
        below = [None, *(machine.hidden_bias_ for machine in self.machines_)]
        above = [*(machine.visible_bias_ for machine in self.machines_), None]
        for bias, *learnt in zip(self.biases_, below, above):
            bias[:] = np.mean([b for b in learnt if b is not None], axis=0)
        for _ in range(BURN_IN):
            self._draw(self.chains_, 1, self.rng_)
            self._draw(self.chains_, 0, self.rng_)
        if self.centered:
            v = self._to_bits(X[self.rng_.permutation(len(X))[:ROWS_AT_ONCE]], self.rng_)
            means = self._mean_field(v, self.n_mean_field)
            self.offsets_[1:] = [mu.mean(axis=0) for mu in means]

    def _learn(self, v):
        """Take one step up the estimated gradient <.>_data - <.>_model of the log-likelihood."""
        data = [v, *self._mean_field(v, self.n_mean_field)]
        self._ascend(self._gradient(data, self._negative_phase()))

    def _negative_phase(self):
        """Move the persistent chains on; return bits of even layers, and means of odd ones.

        As means the odd layers enter the statistics with less noise.
        """
        for _ in range(self.n_steps):
            self._draw(self.chains_, 0, self.rng_)
            means = self._draw(self.chains_, 1, self.rng_)
        return means

    def _gradient(self, data, model):
        """Compute <.>_data - <.>_model for all W and b, from states or means of all layers.

        It is the gradient in centred parameters, turned back into steps of W and b. Where the offsets
        are 0 it is the plain one.
        """
        if self.centered:
            for offset, x in zip(self.offsets_, data):
                _follow(offset, x)
        x = [layer - offset for layer, offset in zip(data, self.offsets_)]
        y = [layer - offset for layer, offset in zip(model, self.offsets_)]
        steps_W = [_difference_of_products(*pair) for pair in zip(x, x[1:], y, y[1:])]
        steps_b = [a.mean(axis=0) - b.mean(axis=0) for a, b in zip(x, y)]
        for i, W in enumerate(steps_W):
            steps_b[i] -= W @ self.offsets_[i + 1]
            steps_b[i + 1] -= self.offsets_[i] @ W
        return [*steps_W, *steps_b]

    def _ascend(self, gradients):
        """Add the gradient times the learning rate to each parameter, with momentum."""
        rate = rate_at(self.learning_rate, self.n_iter_, self.n_epochs)
        if self.weight_decay:
            for gradient, W in zip(gradients, self.weights_):
                gradient -= self.weight_decay * W
        for parameter, velocity, step in zip(self._parameters(), self._velocities, gradients):
            step *= rate
            if self.momentum:
                velocity *= self.momentum
                velocity += step
                step = velocity
            parameter += step

    def _parameters(self):
        """List the arrays that learn, the weights first."""
        return [*self.weights_, *self.biases_]

    # --- the layers, given their neighbours -------------------------------------------------------

    def _draw(self, x, parity, rng):
        """Draw all even or all odd layers given the others, in place; return x with their means."""
        means = list(x)
        for i in range(parity, len(x), 2):
            means[i] = _sigmoid(_field(self.weights_, self.biases_, x, i))
            x[i] = _bernoulli(means[i], rng)
        return means

    def _mean_field(self, v, n_sweeps):
        """Fit independent hidden units to p(h | v): their means, a list of the layers 1 to L.

        Given v, the hidden layers are a machine of their own, in which v has become part of the
        biases of layer 1. Each sample stops on its own when it has converged.
        """
        from_v, rows = v @ self.weights_[0], np.arange(len(v))
        mu = self._first_guess(from_v)
        odd_then_even = [*range(0, len(mu), 2), *range(1, len(mu), 2)]
        for _ in range(n_sweeps):
            biases = [from_v[rows] + self.biases_[1], *self.biases_[2:]]
            new = [x[rows] for x in mu]
            for i in odd_then_even:
                new[i] = _sigmoid(_field(self.weights_[1:], biases, new, i))
            moved = np.abs(new[0] - mu[0][rows]).max(axis=1)
            for x, new_x in zip(mu, new):
                x[rows] = new_x
            rows = rows[moved > TOLERANCE]
            if len(rows) == 0:
                break
        return mu

    def _first_guess(self, from_v):
        """Go up once; what is missing from above is taken to be what comes from below, once more."""
        mu = []
        for i, (W, offset) in enumerate(zip(self.weights_, self.offsets_)):
            received = mu[-1] @ W if mu else from_v
            from_below = received - offset @ W
            at_rest = _field(self.weights_, self.biases_, self.offsets_, i + 1)
            is_top = i + 1 == len(self.weights_)
            mu.append(_sigmoid(at_rest + (1 if is_top else 2) * from_below))
        return mu

    def _means(self, X):
        return [X, *self._mean_field(X, self.n_mean_field)]

    @one_thread
    def mean_field(self, X, n_sweeps=None, *, random_state=None):
        """Fit independent hidden units q(h | v) = prod mu^h (1 - mu)^(1 - h) to p(h | v).

        Sweeps over the layers, odd ones first, each set to what is best given the others; every one
        raises :meth:`bound`.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Data; grey pixels become bits once per call, see ``binarize``.
        n_sweeps : int, optional
            Sweeps at most, may be 0; a sample in which no probability of layer 1 has moved by more
            than 1e-3 stops earlier. None takes ``n_mean_field``.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the machine's own generator.

        Returns
        -------
        list of ndarray
            ``[mu_1, ..., mu_L]``, shapes (n_samples, size of the layer).
        """
        rng = self._rng(random_state)
        v = self._to_bits(self._check_data(X), rng)
        return self._mean_field(v, self._check_sweeps(n_sweeps, self.n_mean_field))

    # --- samples ----------------------------------------------------------------------------------

    @one_thread
    def gibbs(self, layers, n_steps=1, *, random_state=None):
        """Take ``n_steps`` Gibbs steps: draw all odd layers given the even ones, then all even ones.

        Parameters
        ----------
        layers : list of array_like, shapes (n_chains, size of the layer)
            States of all layers, visible first.
        n_steps : int
            Number of steps, may be 0.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the machine's own generator.

        Returns
        -------
        list of ndarray
            The states after the steps.
        """
        rng, layers = self._rng(random_state), self._check_layers(layers)
        return self._gibbs(layers, check_count(n_steps, "n_steps", minimum=0), rng)

    @one_thread
    def sample(
        self, n_samples=1, n_steps=1000, *, start=None, probabilities=False, random_state=None
    ):
        """Dream: run independent Gibbs chains for ``n_steps`` and return where they end.

        Parameters
        ----------
        n_samples : int
            Number of chains.
        n_steps : int
            Steps of each. After finitely many the samples are only approximately those of the model.
        start : array_like, shape (n_samples, n_visible), optional
            Visible states to start from; hidden ones are drawn from their mean field. None draws
            independent visible units, each distributed as in the data.
        probabilities : bool
            If true, return the probabilities of the visible units given the layer above instead of
            bits: smoother pictures.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the machine's own generator.

        Returns
        -------
        ndarray, shape (n_samples, n_visible)
            Bits, or probabilities.
        """
        rng = self._rng(random_state)
        n_samples = check_count(n_samples, "n_samples")
        n_steps = check_count(n_steps, "n_steps")
        v = self._base_states(n_samples, rng)[0] if start is None else self._check_visible(start)
        if len(v) != n_samples:
            raise ValueError(f"start must have {n_samples} rows, one for each sample, got {len(v)}")
        x = self._gibbs(self._complete(v, rng), n_steps, rng)
        return self._visible_mean(x) if probabilities else x[0]

    @one_thread
    def inpaint(self, X, mask, n_steps=100, *, probabilities=False, random_state=None):
        """Fill in missing units by Gibbs steps with the known ones clamped.

        Parameters and return value as for
        :meth:`hmlib.rbm.RestrictedBoltzmannMachine.inpaint`.
        """
        rng = self._rng(random_state)
        known = self._to_bits(self._check_data(X), rng).astype(self._dtype, copy=False)
        mask, n_steps = check_mask(mask, known.shape), check_count(n_steps, "n_steps")
        x = self._complete(np.where(mask, self._base_states(len(known), rng)[0], known), rng)
        for _ in range(n_steps):
            x = self._gibbs(x, 1, rng)
            x[0] = np.where(mask, x[0], known)
        return np.where(mask, self._visible_mean(x), known) if probabilities else x[0]

    def _gibbs(self, x, n_steps, rng):
        for _ in range(n_steps):
            self._draw(x, 1, rng)
            self._draw(x, 0, rng)
        return x

    def _visible_mean(self, x):
        return _sigmoid(_field(self.weights_, self.biases_, x, 0))

    def _complete(self, v, rng):
        """Draw hidden layers for visible states, from the mean field."""
        return [v, *(_bernoulli(mu, rng) for mu in self._mean_field(v, self.n_mean_field))]

    def _base_states(self, n, rng):
        """Draw all layers of the machine without weights."""
        biases = [self.base_bias_, *(0 * b for b in self.biases_[1:])]
        return [_bernoulli(_sigmoid(np.tile(b, (n, 1))), rng) for b in biases]

    # --- energies and likelihoods -----------------------------------------------------------------

    def energy(self, *layers):
        """Compute E(v, h_1, ..., h_L) of states of all layers, visible first, in nats.

        Parameters
        ----------
        *layers : array_like, shapes (n_samples, size of the layer)
            Bits, or means: the energy is linear in each layer.

        Returns
        -------
        ndarray, shape (n_samples,)
            Energies.
        """
        return -self._log_sum_over((), self._check_layers(layers))

    def _log_sum_over(self, summed, x):
        """Compute log of the sum of exp(-E) over some layers, no two of them neighbours."""
        total = 0.0
        for i, b in enumerate(self.biases_):
            if i in summed:
                u = _field(self.weights_, self.biases_, x, i)
                total = total + _softplus(u).sum(axis=1, dtype=np.float64)
            else:
                total = total + x[i].astype(np.float64) @ b
        for i, W in enumerate(self.weights_):
            if i not in summed and i + 1 not in summed:
                total = total + ((x[i] @ W) * x[i + 1]).sum(axis=1, dtype=np.float64)
        return total

    def free_energy(self, v):
        """Compute F(v) = -log sum_h exp(-E(v, h)) exactly, in nats.

        Half of the hidden layers, the odd ones or the even ones, can be summed over unit by unit. The
        states of the others are listed: up to 20 units in odd layers, or 12 in even ones.

        Parameters
        ----------
        v : array_like, shape (n_samples, n_visible)
            Bits.

        Returns
        -------
        ndarray, shape (n_samples,)
            Free energies.

        Raises
        ------
        ValueError
            If there are more units.
        """
        v = self._check_visible(v)
        if not self._is_listable():
            raise ValueError(
                f"free_energy lists the states of at most {MAX_UNITS} units in odd layers or "
                f"{MAX_EXACT} in even hidden ones, and this machine has the hidden layers "
                f"{self._sizes()[1:]}"
            )
        return -in_pieces(self._log_sum, v)

    def _log_sum(self, v):
        """Compute log sum_h exp(-E(v, h)), with the states of odd or even hidden layers listed."""
        odd, even = self._hidden_of(1), self._hidden_of(0)
        log_sum = np.full(len(v), -np.inf)
        if self._n_units(even) <= MAX_EXACT:
            for state in all_states(self._n_units(even)):
                x = self._with(v, even, state[None])
                log_sum = np.logaddexp(log_sum, self._log_sum_over(odd, x))
            return log_sum
        from_v = v @ self.weights_[0].astype(np.float64)
        for states in _blocks_of_states(self._n_units(odd)):
            x = self._with(np.zeros((1, v.shape[1])), odd, states)
            table = from_v @ x[1].T + self._log_sum_over(even, x)
            log_sum = np.logaddexp(log_sum, logsumexp(table, axis=1))
        return log_sum + v.astype(np.float64) @ self.biases_[0]

    def _with(self, v, layers, states):
        """Put states of some hidden layers, side by side, where they belong; None for the others."""
        ends = np.cumsum([len(self.biases_[i]) for i in layers])
        x = [v, *(None for _ in self.weights_)]
        for i, state in zip(layers, np.split(states, ends[:-1], axis=-1)):
            x[i] = state
        return x

    def log_partition(self):
        """Compute log Z exactly, in nats, listing the odd or the even layers and summing the others.

        Returns
        -------
        float
            log Z.

        Raises
        ------
        ValueError
            If both have more than 20 units. Then
            :func:`hmlib.likelihood.annealed_importance_sampling` gives an estimate.
        """
        check_is_fitted(self)
        if not self._is_small():
            raise ValueError(
                f"log_partition lists the states of at most {MAX_UNITS} units in odd or in even "
                f"layers, and this machine has the layers {self._sizes()}; estimate log Z by "
                "annealed_importance_sampling"
            )
        return self._restricted().log_partition()

    def bound(self, X, log_partition=None, *, n_sweeps=None, random_state=None):
        """Compute <-E(v, h)>_q + H(q) - log Z = log p(v) - KL[q(h | v), p(h | v)], in nats.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Data; grey pixels become bits once per call, see ``binarize``.
        log_partition : float, optional
            As for :meth:`score_samples`.
        n_sweeps : int, optional
            Sweeps of :meth:`mean_field`; None for as many as it takes to converge, up to 100.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the machine's own generator.

        Returns
        -------
        ndarray, shape (n_samples,)
            Lower bounds of log p(v).
        """
        rng = self._rng(random_state)
        v = self._to_bits(self._check_data(X), rng)
        n_sweeps = self._check_sweeps(n_sweeps, MAX_SWEEPS)

        def bound(v):
            mu = self._mean_field(v, n_sweeps)
            entropy = sum((entr(m) + entr(1 - m)).sum(axis=1, dtype=np.float64) for m in mu)
            return self._log_sum_over((), [v, *mu]) + entropy

        return in_pieces(bound, v) - self._log_z(rng, log_partition)

    def _log_weights_of(self, v):
        """Draw the smaller half of the hidden layers from the mean field, sum over the other."""
        drawn, summed = sorted((self._hidden_of(1), self._hidden_of(0)), key=self._n_units)
        mu = [v, *self._mean_field(v, MAX_SWEEPS)]

        def draw(rng):
            x = [_bernoulli(m, rng) if i in drawn else m for i, m in enumerate(mu)]
            log_q = sum(_log_prob(x[i], mu[i]) for i in drawn)
            return self._log_sum_over(summed, x) - log_q

        return draw

    def annealing_path(self, base="data"):
        """Make the path from a machine without weights to this one, for annealed importance sampling.

        Parameters
        ----------
        base : "data", "uniform" or array_like, shape (n_visible,)
            The visible biases of the machine without weights: ``base_bias_``, zero, or these. Its
            hidden units are coins.

        Returns
        -------
        object
            See :func:`hmlib.likelihood.annealed_importance_sampling`. Its states are those of the odd
            layers, side by side; the even layers are summed out.
        """
        check_is_fitted(self)
        if isinstance(base, str):
            if base not in ("data", "uniform"):
                raise ValueError(f'base must be "data", "uniform" or an array, got {base!r}')
            bias = self.base_bias_ if base == "data" else np.zeros_like(self.base_bias_)
        else:
            bias = check_array(base, "base", ndim=1, n_columns=self.n_features_in_)
        return _DeepPath(self, bias)

    def _restricted(self):
        """Return the same machine as a restricted one, between the odd layers and the even ones."""
        layers = range(len(self.biases_))
        rbm = RestrictedBoltzmannMachine()
        rbm.weights_ = np.block([[self._between(i, j) for j in layers[::2]] for i in layers[1::2]])
        rbm.visible_bias_ = np.concatenate(self.biases_[1::2])
        rbm.hidden_bias_ = np.concatenate(self.biases_[::2])
        return rbm

    def _between(self, i, j):
        """Return the weights from layer i to layer j, zero unless they are neighbours."""
        if abs(i - j) != 1:
            return np.zeros((len(self.biases_[i]), len(self.biases_[j])), self._dtype)
        return self.weights_[i] if i < j else self.weights_[j].T

    def _undirected(self):
        return self

    def _is_small(self):
        sizes = self._sizes()
        return min(sum(sizes[::2]), sum(sizes[1::2])) <= MAX_UNITS

    def _is_listable(self):
        odd, even = self._n_units(self._hidden_of(1)), self._n_units(self._hidden_of(0))
        return odd <= MAX_UNITS or even <= MAX_EXACT

    # --- small print ------------------------------------------------------------------------------

    @property
    def _dtype(self):
        return self.biases_[0].dtype

    def _sizes(self):
        return [len(b) for b in self.biases_]

    def _hidden_of(self, parity):
        """List the hidden layers of one parity."""
        return range(2 - parity, len(self.biases_), 2)

    def _n_units(self, layers):
        return sum(len(self.biases_[i]) for i in layers)

    def _check_sweeps(self, n_sweeps, default):
        return default if n_sweeps is None else check_count(n_sweeps, "n_sweeps", minimum=0)

    def _check_visible(self, v):
        check_is_fitted(self)
        n_visible = len(self.biases_[0])
        return check_array(v, "v", ndim=2, n_columns=n_visible, low=0, high=1).astype(self._dtype)

    def _check_layers(self, layers):
        """Return states of all layers as new arrays of the type of the parameters."""
        check_is_fitted(self)
        if len(layers) != len(self.biases_):
            raise ValueError(
                f"layers must be the states of {len(self.biases_)} layers, got {len(layers)}"
            )
        checked = [
            check_array(x, f"layer {i}", ndim=2, n_columns=n, low=0, high=1).astype(self._dtype)
            for i, (x, n) in enumerate(zip(layers, self._sizes()))
        ]
        if len({len(x) for x in checked}) > 1:
            raise ValueError(f"layers must have as many rows each, got {[len(x) for x in checked]}")
        return checked


class _DoublingMachine(RestrictedBoltzmannMachine):
    """A restricted machine whose layers count ``up`` and ``down`` times for each other.

    It is what a layer of a deep Boltzmann machine is trained as before the rest is there: a unit that
    will receive from two neighbours receives from one of them twice.
    """

    up = down = 1

    def _hidden_logits(self, v):
        return self.up * (v @ self.weights_) + self.hidden_bias_

    def _visible_logits(self, h):
        return self.down * (h @ self.weights_.T) + self.visible_bias_


class _DeepPath:
    """States of the odd layers; the even ones have the biases (1 - beta) base + beta b.

    All else is multiplied by beta. Hidden units of the base are coins.
    """

    def __init__(self, machine, base_bias):
        self.machine, self.rbm = machine, machine._restricted()
        n_odd, n_even = self.rbm.weights_.shape
        self.base = np.zeros(n_even, self.rbm.weights_.dtype)
        self.base[: len(base_bias)] = base_bias
        self.log_partition = float(_softplus(self.base.astype(float)).sum() + n_odd * np.log(2))

    def check(self, x):
        """Return states of the odd layers that are valid, or say what is wrong with them."""
        n_odd, dtype = len(self.rbm.weights_), self.rbm.weights_.dtype
        return check_array(x, "start", ndim=2, n_columns=n_odd, low=0, high=1).astype(dtype)

    def start(self, n, rng):
        return _bernoulli(np.full((n, len(self.rbm.weights_)), 0.5, self.base.dtype), rng)

    def step(self, x, beta_from, beta_to, rng):
        """Return log f_to(x) - log f_from(x), and the states after a Gibbs step at ``beta_to``."""
        rbm, beta, difference = self.rbm, float(beta_to), float(beta_to - beta_from)
        u = rbm._hidden_logits(x) - self.base
        z = self.base + beta * u
        p = _sigmoid(z.copy())
        change = _softplus_change(z, p, difference * u)
        change += difference * (x.astype(np.float64) @ rbm.visible_bias_)
        logits = rbm._visible_logits(_bernoulli(p, rng))
        return change, _bernoulli(_sigmoid(beta * logits), rng)

    def finish(self, n, rng):
        """Draw samples of the machine: exactly, or from chains of 1000 steps."""
        machine = self.machine
        if machine._is_small():
            return self.rbm._exact_states(n, rng)
        index = rng.integers(len(machine.chains_[0]), size=n)
        x = machine._gibbs([chain[index] for chain in machine.chains_], 1000, rng)
        return np.hstack(x[1::2])


def _field(weights, biases, x, i):
    """Compute what layer i receives: b_i + x_{i-1} W_{i-1} + x_{i+1} W_i^T."""
    u = biases[i].copy()
    if i > 0:
        u = u + x[i - 1] @ weights[i - 1]
    if i < len(weights):
        u = u + x[i + 1] @ weights[i].T
    return u


def _log_prob(x, p):
    """Compute log q(x) of bits x that are independent, and on with probability p."""
    return np.log(np.where(x == 1, p, 1 - p)).sum(axis=1, dtype=np.float64)


def _softplus_change(z, p, change):
    """Sum log(1 + exp(z)) - log(1 + exp(z - change)) over units, where p = sigmoid(z).

    Small changes lose no digits.
    """
    if np.abs(change).max() > SMALL_CHANGE:
        terms = _softplus(z) - _softplus(z - change)
    else:
        terms = -np.log1p(p * np.expm1(-change))
    return terms.sum(axis=1, dtype=np.float64)
