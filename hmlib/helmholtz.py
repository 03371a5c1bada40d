"""The Helmholtz machine: a network that dreams, and a network that explains."""

import warnings

import numpy as np
from joblib import Parallel, delayed
from scipy.special import log_softmax, logit, logsumexp
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    clone,
)
from sklearn.utils import get_tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from hmlib._blas import one_thread
from hmlib._checks import (
    as_generator,
    check_array,
    check_count,
    check_layer,
    check_number,
    check_sizes,
)
from hmlib._estimator import BinaryDataMixin, in_pieces, rate_at
from hmlib.exact import all_states
from hmlib.layers import SigmoidLayer
from hmlib.likelihood import _portions, importance_log_likelihood
from hmlib.wake_sleep import WakeSleep

__all__ = ["ClasswiseGenerator", "HelmholtzMachine"]

MAX_EXACT = 12  # hidden units up to which sums over explanations are written out: 4096 terms
DEFAULT_DRAWS = 100  # explanations per sample where they are not
STATES_AT_ONCE = 1000  # explanations that are drawn together: a few MB for large layers
DREAMS_AT_ONCE = 100  # of one class: sets of dreams are nested because they come in whole blocks


class HelmholtzMachine(
    BinaryDataMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    r"""A Helmholtz machine of binary units, trained by wake-sleep (Dayan et al., 1995).

    Two stacks of sigmoid layers share the same units. With two hidden layers x (top) and y, and
    data d, the generative network G dreams from the top down and the recognition network R explains
    from the bottom up::

        p_G(xyd) = p_G(x) p_G(y|x) p_G(d|y)        p_R(xy|d) = p_R(y|d) p_R(x|y)

    Parameters
    ----------
    hidden : tuple of int
        Sizes of the hidden layers, from the one above the data to the top.
    rule : None or a learning rule
        Such as :class:`hmlib.wake_sleep.ReweightedWakeSleep`, with learning rates of its own. None
        is wake-sleep with ``learning_rate``.
    learning_rate : float or sequence of float
        One number, or one for each pair of neighbouring layers, data side first.
    decay : float
        Share of the learning rates that is left in the last of ``n_epochs``, in (0, 1]; they fall
        linearly, and stay there if training goes on.
    n_epochs : int
        Passes of :meth:`fit` over the data.
    batch_size : int
        Samples in a mini-batch; each is one step of the rule, for wake-sleep a wake step and a
        sleep step of as many dreams. 1 is the on-line algorithm as it was published.
    init : {"zero", "random"} or an initializer
        Start all parameters at zero, or the weights at normal random numbers. Zero works, because
        sampling tells the units apart. An initializer such as
        :class:`hmlib.pyramid.PyramidInitializer` has a method ``initialize(machine, X)``, which
        trains a machine at zero before the first epoch.
    init_scale : float
        Standard deviation of the random start.
    init_bias : {"zero", "data"}
        Where the generative biases of the data units start: at zero, or at the logits of the means
        of the data, with one sample of each value added so that they are finite.
    hidden_bias : float
        Where the generative biases of the hidden units start; below zero the units begin mostly off.
        An initializer may put its own in their place.
    binarize : {"resample", "threshold", "none"}
        What to do with grey pixels: draw them anew as bits at each presentation, take "above one
        half" as on, or feed them as they are. All but "threshold" want values in [0, 1]. Measures
        such as :meth:`score_samples` turn grey pixels into bits once per call and are about those
        bits; with "none" they get a cross-entropy instead of a log-probability.
    random_state : None, int or numpy.random.Generator
        The source of all randomness.
    verbose : bool
        Whether to show a progress bar.

    Attributes
    ----------
    generative_ : list of SigmoidLayer
        ``generative_[l]`` predicts layer l from layer l + 1; layer 0 is the data.
    recognition_ : list of SigmoidLayer
        ``recognition_[l]`` predicts layer l + 1 from layer l.
    prior_ : SigmoidLayer
        The distribution of the top layer, a layer with no inputs.
    prior_bias_ : ndarray
        Its bias.
    n_iter_ : int
        Epochs trained so far.
    n_features_in_ : int
        Number of data units.
    rng_ : numpy.random.Generator
        The generator that training draws from. Everything else draws from its children, unless it
        gets a ``random_state``: looking at a machine does not change how it goes on learning.

    Notes
    -----
    The parameters have the type of the data: float32 for float32 data, which makes large layers up
    to twice as fast, and float64 otherwise. Methods that take data check it, and raise
    ``ValueError`` for NaN, for a wrong number of columns and, unless ``binarize="threshold"``, for
    values outside [0, 1].

    References
    ----------
    Dayan, Hinton, Neal and Zemel (1995), *The Helmholtz machine*. Hinton, Dayan, Frey and Neal
    (1995), *The wake-sleep algorithm for unsupervised neural networks*. The chapters *The Helmholtz
    machine* and *Wake-sleep*.
    """

    def __init__(
        self,
        hidden=(64, 16),
        *,
        rule=None,
        learning_rate=0.1,
        decay=1.0,
        n_epochs=50,
        batch_size=20,
        init="random",
        init_scale=0.1,
        init_bias="zero",
        hidden_bias=0.0,
        binarize="resample",
        random_state=None,
        verbose=False,
    ):
        self.hidden = hidden
        self.rule = rule
        self.learning_rate = learning_rate
        self.decay = decay
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.init = init
        self.init_scale = init_scale
        self.init_bias = init_bias
        self.hidden_bias = hidden_bias
        self.binarize = binarize
        self.random_state = random_state
        self.verbose = verbose

    # --- training ---------------------------------------------------------------------------------

    def fit(self, X, y=None):
        """Train from a fresh start for ``n_epochs`` passes over ``X``; Ctrl-C keeps what was learnt.

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
        except KeyboardInterrupt:  # before the first epoch: only an initializer takes long
            if not hasattr(self, "n_iter_"):
                raise
            warnings.warn(
                "the initialization was interrupted; the machine keeps what it has learnt, and "
                "partial_fit continues with ordinary training",
                stacklevel=2,
            )
            return self

    def _start(self, X):
        """Make both networks; both start alike, as two stacks over the same units."""
        sizes, dtype = [X.shape[1], *check_sizes(self.hidden)], X.dtype
        check_number(self.init_scale, "init_scale", low=0)
        check_number(self.hidden_bias, "hidden_bias")
        check_number(self.decay, "decay", low=0, high=1, low_open=True)
        if self.init not in ("zero", "random") and not hasattr(self.init, "initialize"):
            raise ValueError(
                f'init must be "zero" or "random" or have a method initialize, got {self.init!r}'
            )
        if self.init_bias not in ("zero", "data"):
            raise ValueError(f'init_bias must be "zero" or "data", got {self.init_bias!r}')
        scale = self.init_scale if self.init == "random" else 0.0
        self._rule().rates(len(sizes) - 1)  # complain now, not in the first step
        self.rng_ = as_generator(self.random_state)
        pairs = list(zip(sizes, sizes[1:]))
        self.generative_ = [SigmoidLayer.random(a, b, scale, self.rng_, dtype) for b, a in pairs]
        self.recognition_ = [SigmoidLayer.random(b, a, scale, self.rng_, dtype) for b, a in pairs]
        self.prior_ = SigmoidLayer.zeros(0, sizes[-1], dtype)
        self.n_iter_ = 0
        for layer in (*self.generative_[1:], self.prior_):
            layer.bias[:] = self.hidden_bias
        self._take_bias(0, X)
        if hasattr(self.init, "initialize"):
            self.init.initialize(self, X)

    def _take_bias(self, level, X):
        """Let the generative biases of a layer that is shown ``X`` start as ``init_bias`` says."""
        if self.init_bias == "data":
            seen = self._to_bits(X, self.rng_) if self.binarize == "threshold" else X
            p = (seen.sum(axis=0, dtype=np.float64) + 1) / (len(X) + 2)
            self.generative_[level].bias[:] = logit(p)

    def _learn(self, d):
        """Take one step of the rule on a batch, with the rates of this epoch."""
        share = rate_at((1.0, self.decay), self.n_iter_, self.n_epochs)
        self._rule().scaled(share).step(self, d, self.rng_)

    def _rule(self):
        if self.rule is None:
            return WakeSleep(self.learning_rate)
        if not isinstance(self.rule, WakeSleep):
            raise ValueError(
                f"rule must be None or a rule such as ReweightedWakeSleep(), got {self.rule!r}"
            )
        return self.rule

    # --- the two networks -------------------------------------------------------------------------

    def explain(self, d, rng, n_draws=None):
        """Draw y, x, ... from p_R(xy...|d): bits of all layers, data first, for checked data.

        With ``n_draws`` so many explanations of each sample: then the hidden layers have the shape
        (n_draws, n_samples, size of the layer).
        """
        layers = [d, self.recognition_[0].sample(d, rng, n_draws)]
        for layer in self.recognition_[1:]:
            layers.append(layer.sample(layers[-1], rng))
        return layers

    def dream(self, n_dreams, rng):
        """Draw from p_G(xyd): bits of all layers, data first, ``n_dreams`` rows each."""
        layers = [self.prior_.sample(self._nothing(n_dreams), rng)]
        for layer in reversed(self.generative_):
            layers.append(layer.sample(layers[-1], rng))
        return layers[::-1]

    def recognize(self, X, *, means=False, random_state=None):
        """Explain data: the activations of all layers, from the data up.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Data.
        means : bool
            If true, pass probabilities upwards instead of bits (the mean-field pass). They are
            exact for the first hidden layer, given bits, and an approximation above it.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the machine's own generator.

        Returns
        -------
        list of ndarray
            ``[d, y, x, ...]``, shapes (n_samples, size of the layer).
        """
        rng = self._rng(random_state)
        X = self._check_data(X)
        if not means:
            return self.explain(self._to_bits(X, rng), rng)
        layers = [X if self.binarize != "threshold" else self._to_bits(X, rng)]
        for layer in self.recognition_:
            layers.append(layer.mean(layers[-1]))
        return layers

    def reconstruct(self, X, *, random_state=None):
        """Explain data up to the top, then dream back down: probabilities of the data units.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Data.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the machine's own generator.

        Returns
        -------
        ndarray, shape (n_samples, n_features)
            p_G(d_i = 1 | y) for the last y that was drawn.
        """
        rng = self._rng(random_state)
        state = self.recognize(X, random_state=rng)[-1]
        for layer in reversed(self.generative_[1:]):
            state = layer.sample(state, rng)
        return self.generative_[0].mean(state)

    def sample(self, n_samples=1, *, probabilities=False, random_state=None):
        """Dream: draw data from p_G(d).

        Parameters
        ----------
        n_samples : int
            Number of dreams.
        probabilities : bool
            If true, return p_G(d_i = 1 | y) for the y of each dream instead of bits: smoother
            pictures of the same dreams.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the machine's own generator.

        Returns
        -------
        ndarray, shape (n_samples, n_features)
            Bits, or probabilities.
        """
        rng = self._rng(random_state)
        d, y, *_ = self.dream(check_count(n_samples, "n_samples"), rng)
        return self.generative_[0].mean(y) if probabilities else d

    def transform(self, X, layer=-1):
        """Compute the recognition means of one layer, the top one by default, as features.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Data.
        layer : int
            Index of the layer: 0 is the data, -1 the top.

        Returns
        -------
        ndarray, shape (n_samples, size of the layer)
            The mean-field pass of :meth:`recognize`; deterministic.
        """
        layers = self.recognize(X, means=True)
        return layers[check_layer(layer, len(layers))]

    # --- energies and likelihoods -----------------------------------------------------------------

    def energy(self, *layers):
        """Compute E_G(xyd) = -log p_G(xyd) in nats, from the states of all layers, top first.

        Parameters
        ----------
        *layers : array_like, shape (n_samples, size of the layer)
            x, y, ..., d: the top layer first and the data last. Bits; d may be grey.

        Returns
        -------
        ndarray, shape (n_samples,)
            Energies.
        """
        check_is_fitted(self)
        sizes = [*self._hidden_sizes()[::-1], self.n_features_in_]
        if len(layers) != len(sizes):
            raise ValueError(f"energy needs the states of {len(sizes)} layers, got {len(layers)}")
        states = [
            check_array(state, f"layer {level}", ndim=2, n_columns=n, low=0, high=1, bits=level > 0)
            for level, state, n in zip(range(len(sizes))[::-1], layers, sizes)
        ]
        if len({len(state) for state in states}) > 1:
            raise ValueError(f"layers must have as many rows each, got {[len(s) for s in states]}")
        return -self._log_joint(states[::-1])

    def log_weights(self, X, rng):
        """Draw one explanation per sample and return log p_G(xyd) - log p_R(xy|d), in nats.

        Its mean over explanations is minus the free-energy bound; the mean of its exponential is
        p_G(d).
        """
        return self.draw_log_weights(X, 1, rng)[0]

    @one_thread
    def draw_log_weights(self, X, n_draws, rng):
        """Do as :meth:`log_weights` for ``n_draws`` explanations of each sample.

        Returns
        -------
        ndarray, shape (n_draws, n_samples)
            Grey pixels become bits once, so that all explanations are of the same bits.
        """
        d = self._to_bits(self._check_data(X), rng)
        size = max(1, STATES_AT_ONCE // n_draws)
        pieces = [
            self._log_weights(self.explain(d[i : i + size], rng, n_draws))
            for i in range(0, len(d), size)
        ]
        return np.hstack(pieces)

    def free_energy_bound(self, X, n_samples=None, *, random_state=None):
        """Compute F_G^R(d) = <E_G(xyd)>_R - H_R(xy|d) = F_G(d) + KL[p_R(xy|d), p_G(xy|d)], in nats.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Bits. Grey pixels become bits once, see ``binarize``: pass bits, or the same
            ``random_state``, to compare two measures.
        n_samples : int or None
            Explanations to average over, per sample. None writes the sum out for a machine of up to
            12 hidden units, and else draws 100.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the machine's own generator.

        Returns
        -------
        ndarray, shape (n_samples,)
            The bound: never below -log p_G(d), up to sampling noise where it is sampled.
        """
        rng = self._rng(random_state)
        d = self._to_bits(self._check_data(X), rng)
        if n_samples is None and self._is_small():
            return in_pieces(self._exact_bound, d)
        n_samples = DEFAULT_DRAWS if n_samples is None else check_count(n_samples, "n_samples")
        draws = (self.draw_log_weights(d, k, rng) for k in _portions(n_samples))
        return -sum(log_w.sum(axis=0) for log_w in draws) / n_samples

    def score_samples(self, X, n_samples=None, *, random_state=None):
        """Compute log p_G(d) for each sample, in nats.

        Parameters and defaults as for :meth:`free_energy_bound`: exact for up to 12 hidden units if
        ``n_samples`` is None, else estimated by
        :func:`hmlib.likelihood.importance_log_likelihood`, which also gives the error bar and wants
        at least 2 samples.

        Returns
        -------
        ndarray, shape (n_samples,)
            Log-probabilities.
        """
        rng = self._rng(random_state)
        d = self._to_bits(self._check_data(X), rng)
        if n_samples is None and self._is_small():
            return in_pieces(self._exact_log_p, d)
        n_samples = DEFAULT_DRAWS if n_samples is None else n_samples
        return importance_log_likelihood(self, d, n_samples, rng).estimate

    def score(self, X, y=None):
        """Compute the mean of :meth:`score_samples`, in nats per sample: larger is better."""
        return float(self.score_samples(X).mean())

    def _log_weights(self, layers):
        """Compute log p_G(xyd) - log p_R(xy|d) for states of all layers, data first."""
        return self._log_joint(layers) - self._log_recognition(layers)

    def _log_joint(self, layers):
        """Compute log p_G(xyd) for states of all layers, data first."""
        return self.generative_[0].log_prob(layers[1], layers[0]) + self._log_prior(layers[1:])

    def _log_prior(self, hidden):
        """Compute log p_G(xy) for states of the hidden layers, lowest first."""
        pairs = zip(self.generative_[1:], hidden[1:], hidden)
        top = self.prior_.log_prob(self._nothing(1), hidden[-1])
        return top + sum(layer.log_prob(above, below) for layer, above, below in pairs)

    def _log_recognition(self, layers):
        """Compute the sum of log p_R(layer above | layer) for states of a run of layers."""
        pairs = zip(self.recognition_[-len(layers) + 1 :], layers, layers[1:])
        return sum(layer.log_prob(below, above) for layer, below, above in pairs)

    def _exact_log_p(self, d):
        """Compute log p_G(d) by summing over all explanations."""
        return logsumexp(self._joint_table(d), axis=1)

    def _exact_bound(self, d):
        """Compute F_G^R(d) by summing over all explanations."""
        log_recognition = self._recognition_table(d)
        return (np.exp(log_recognition) * (log_recognition - self._joint_table(d))).sum(axis=1)

    def _joint_table(self, d):
        """Compute log p_G(xyd) of every explanation of every row, shape (n_samples, 2^H)."""
        hidden = self._explanations()
        return self.generative_[0].log_prob_table(hidden[0], d).T + self._log_prior(hidden)

    def _recognition_table(self, d):
        """Compute log p_R(xy|d) of every explanation of every row, shape (n_samples, 2^H)."""
        hidden = self._explanations()
        upper = self._log_recognition(hidden) if len(hidden) > 1 else 0.0
        return self.recognition_[0].log_prob_table(d, hidden[0]) + upper

    def _explanations(self):
        """List all states of the hidden units, as one array for each layer, lowest first."""
        sizes = self._hidden_sizes()
        return np.split(all_states(sum(sizes)), np.cumsum(sizes)[:-1], axis=1)

    # --- small print ------------------------------------------------------------------------------

    @property
    def _dtype(self):
        return self.prior_bias_.dtype

    @property
    def prior_bias_(self):
        """Bias of the top layer: p_G(x_k = 1) = sigmoid(prior_bias_[k])."""
        return self.prior_.bias

    @property
    def _n_features_out(self):
        return self._hidden_sizes()[-1]

    def _hidden_sizes(self):
        """Return the sizes of the hidden layers as fitted, whatever ``hidden`` says by now."""
        return [layer.n_out for layer in self.recognition_]

    def _is_small(self):
        return sum(self._hidden_sizes()) <= MAX_EXACT

    def _nothing(self, n):
        """Return the empty input of the prior, ``n`` rows of it."""
        return np.empty((n, 0), dtype=self.prior_bias_.dtype)


class ClasswiseGenerator(ClassifierMixin, BaseEstimator):
    r"""One Helmholtz machine for each class: labelled dreams, and classes by description length.

    Machine c learns from the samples of class c alone. What it dreams has the label c; and d is of
    class c with

    .. math:: p(c | d) \propto p(c) \, e^{-F_c(d)},

    where F_c(d), the free-energy bound of machine c, is the length of the description of d that it
    offers, and p(c) the share of the class. Were F_c(d) = -log p_c(d), this would be Bayes' rule.

    Parameters
    ----------
    machine : None or HelmholtzMachine
        The template of all machines; its ``random_state`` is not used. None takes the defaults.
    n_jobs : None or int
        Machines that are trained at the same time, each by a process with one thread, as in joblib.
        The result does not depend on it.
    random_state : None, int or numpy.random.Generator
        The source of randomness; each machine draws from a child of its own.
    classes : None or array_like
        Labels that have to occur, one for each machine that you count on; None takes those that do.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        The labels, sorted.
    machines_ : list of HelmholtzMachine
        The machine of each class.
    class_prior_ : ndarray, shape (n_classes,)
        The share of each class in the training data.
    rng_ : numpy.random.Generator
        The generator whose children :meth:`sample` and :meth:`description_lengths` draw from.
    n_features_in_ : int
        Number of data units.

    Raises
    ------
    ValueError
        If ``X`` or ``y`` is invalid, ``machine`` is not a Helmholtz machine, or the labels are not
        those of ``classes``.

    References
    ----------
    Hinton, Dayan, Frey and Neal (1995), *The wake-sleep algorithm for unsupervised neural
    networks*, who classify digits by the machine with the shortest description. The chapter *What a
    machine is good for*, and those of *The pyramid*.
    """

    def __init__(self, machine=None, n_jobs=None, random_state=None, classes=None):
        self.machine = machine
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.classes = classes

    def fit(self, X, y):
        """Train a machine on each class.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Data, float32 kept; bits, or grey values as the machine's ``binarize`` says.
        y : array_like, shape (n_samples,)
            Labels.

        Returns
        -------
        self
            The generator itself.
        """
        machine = self._template()
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        self.classes_, counts = np.unique(y, return_counts=True)
        self._check_classes()
        self.class_prior_ = counts / len(y)
        self.rng_ = as_generator(self.random_state)
        machines = [clone(machine).set_params(random_state=rng) for rng in self._children()]
        tasks = [(machine, X[y == label]) for machine, label in zip(machines, self.classes_)]
        self.machines_ = self._each(HelmholtzMachine.fit, tasks)
        return self

    def sample(self, n_samples_per_class, *, probabilities=False, random_state=None):
        """Let every machine dream: a data set with labels.

        Parameters
        ----------
        n_samples_per_class : int
            Dreams of each machine.
        probabilities : bool
            If true, return the probabilities of the data units instead of bits.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the object's own generator.

        Returns
        -------
        X : ndarray, shape (n_samples_per_class * n_classes, n_features)
            Dreams. The classes take turns, and sets are nested: of two sets with the same seed the
            smaller is the beginning of the larger.
        y : ndarray, shape (n_samples_per_class * n_classes,)
            Their labels.
        """
        check_is_fitted(self)
        n = check_count(n_samples_per_class, "n_samples_per_class")
        dreams = [
            np.concatenate(
                [
                    machine.sample(DREAMS_AT_ONCE, probabilities=probabilities, random_state=block)
                    for block in rng.spawn(-(-n // DREAMS_AT_ONCE))
                ]
            )[:n]
            for machine, rng in zip(self.machines_, self._children(random_state))
        ]
        return np.stack(dreams, axis=1).reshape(-1, self.n_features_in_), np.tile(self.classes_, n)

    def description_lengths(self, X, n_samples=None, *, random_state=None):
        """Compute the free-energy bound F_c(d) of the machine of each class, in nats.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Data. Grey pixels become bits once, so that all machines describe the same bits.
        n_samples : int or None
            As for :meth:`HelmholtzMachine.free_energy_bound`.
        random_state : None, int or numpy.random.Generator
            None draws from a child of the object's own generator.

        Returns
        -------
        ndarray, shape (n_samples, n_classes)
            Bounds, float64.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        rng, *children = self._children(random_state, 1 + len(self.classes_))
        d = self.machines_[0]._to_bits(self.machines_[0]._check_data(X), rng)
        tasks = [(m, d, n_samples, child) for m, child in zip(self.machines_, children)]
        return np.column_stack(self._each(_description_lengths, tasks))

    def predict_log_proba(self, X):
        """Compute log p(c | d), shape (n_samples, n_classes), in the order of ``classes_``.

        Explanations that have to be drawn, and bits of grey pixels, are the same in every call.
        """
        lengths = self.description_lengths(X, random_state=0)
        return log_softmax(np.log(self.class_prior_) - lengths, axis=1)

    def predict_proba(self, X):
        """Compute p(c | d), shape (n_samples, n_classes), in the order of ``classes_``."""
        return np.exp(self.predict_log_proba(X))

    def predict(self, X):
        """Return the most probable label of each sample, shape (n_samples,)."""
        best = self.predict_log_proba(X).argmax(axis=1)
        return self.classes_[best]

    def _template(self):
        machine = HelmholtzMachine() if self.machine is None else self.machine
        if not isinstance(machine, HelmholtzMachine):
            raise ValueError(f"machine must be None or a HelmholtzMachine, got {machine!r}")
        return machine

    def _check_classes(self):
        expected = self.classes_ if self.classes is None else np.unique(self.classes)
        if lost := np.setdiff1d(expected, self.classes_).tolist():
            raise ValueError(
                f"y has no samples of {lost}, so {len(lost)} of {len(expected)} machines would have"
                " nothing to learn from; add some, or leave them out of classes"
            )
        if strange := np.setdiff1d(self.classes_, expected).tolist():
            raise ValueError(f"y holds {strange}, which classes does not name")

    def _children(self, random_state=None, n=None):
        """Return ``n`` generators, one for each class by default, from the object's own or another."""
        rng = self.rng_ if random_state is None else as_generator(random_state)
        return rng.spawn(len(self.classes_) if n is None else n)

    def _each(self, function, tasks):
        """Do all tasks, each with one thread: with more, sums would depend on ``n_jobs``."""
        return Parallel(self.n_jobs)(delayed(_in_one_thread)(function, *task) for task in tasks)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = get_tags(self._template()).input_tags.positive_only
        tags.classifier_tags.poor_score = True  # on numbers that are not bits, as for BernoulliNB
        return tags


@one_thread
def _in_one_thread(function, *args):
    return function(*args)


def _description_lengths(machine, d, n_samples, rng):
    return machine.free_energy_bound(d, n_samples, random_state=rng)
