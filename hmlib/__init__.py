"""The library behind *Waking and Dreaming*: energy-based models and Helmholtz machines in NumPy.

Modules depend on each other in one direction only, from the top of this list to its bottom:

===============  =========================================================================
``cli``          the command ``hmlib``
``experiments``  what is measured at full scale, and the store of its records
``plotting``     the style of the book, pictures of images and of networks
``widgets``      sliders that work on a static page
``metrics``      what is measured of dreams
``storage``      saving and loading machines
``helmholtz``    the Helmholtz machine
``deep``         deep belief networks and deep Boltzmann machines
``rbm``          restricted Boltzmann machines, binary and Gaussian
``boltzmann``    the general Boltzmann machine
``hopfield``     Hopfield networks, continuous and dense ones, and the theory of their capacity
``ising``        the Ising model on a lattice, Onsager's solution, spin glasses
``annealing``    schedules of temperature, and simulated annealing
``pyramid``      image pyramids, and starting a machine from coarse to fine
``wake_sleep``   the learning rule of Helmholtz machines, which needs to know nothing but layers
``likelihood``   importance sampling of log p(d), annealed importance sampling of log Z
``layers``       ``SigmoidLayer``, the one conditional that everything stochastic is made of
``spins``        fields, energies and sweeps of spins
``units``        sigmoids, Bernoulli and spin sampling, log-probabilities
``chains``       autocorrelation times, and error bars that know them
``datasets``     small worlds with known distributions, and image sets
``exact``        brute-force enumeration: the oracle of the tests
===============  =========================================================================
"""

__version__ = "0.1.0"
