"""What the machines ask of BLAS: one thread, and products that are added where they belong."""

import numpy as np
from scipy.linalg.blas import dgemm, sgemm
from threadpoolctl import ThreadpoolController

__all__ = ["add_product", "one_thread"]

# The products of a mini-batch are small, and NumPy's BLAS is seldom quicker with them in several threads.
# Where these wait for processors that are taken, by other programs or by the limits of a container, a step
# can take a hundred times as long. Besides, sums must not depend on how many processors there are.
one_thread = ThreadpoolController().wrap(limits=1, user_api="blas")


def add_product(total, x, y, scale=1.0):
    """Add scale x^T y to ``total``, without an array for the product; return the sum.

    BLAS counts rows as columns, so it sees the transposed total^T += scale y^T x. It happens in
    place if the rows of ``total`` are contiguous, and else in a copy.
    """
    gemm = sgemm if total.dtype == np.float32 else dgemm
    return gemm(scale, y.T, x.T, beta=1, c=total.T, trans_b=True, overwrite_c=True).T
