"""The library behind *Waking and Dreaming*: energy-based models and Helmholtz machines in NumPy.

Modules depend on each other in one direction only, from the top of this list to its bottom:

=============  =========================================================================
``plotting``   the style of the book, pictures of images and of networks
``widgets``    sliders that work on a static page
``helmholtz``  the Helmholtz machine
``wake_sleep`` its learning rule, which needs to know nothing but layers
``likelihood`` importance sampling of log p(d)
``layers``     ``SigmoidLayer``, the one conditional that everything stochastic is made of
``units``      sigmoids, Bernoulli and spin sampling, log-probabilities
``datasets``   small worlds with known distributions, and image sets
``exact``      brute-force enumeration: the oracle of the tests
=============  =========================================================================
"""

__version__ = "0.1.0"
