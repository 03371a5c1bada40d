"""Asynchronous recall of 100 noisy patterns, next to hopfieldnetwork and to one matrix product.

hopfieldnetwork takes one state at a time and one unit at a time, and ends after a sweep in which nothing
turned. Same couplings, same cues, random order of the units in both. It is given float64 states: with
the int8 states of its own examples every product converts them, and takes longer.
"""

import hopfieldnetwork
import numpy as np
from harness import compare, record

from hmlib.hopfield import HopfieldNetwork, overlap

N_UNITS, N_CUES, NOISE = 1000, 100, 0.1


def main():
    """Compare at two loads: well below capacity, and where errors begin."""
    for n_patterns in (50, 100):
        rng = np.random.default_rng(0)
        patterns = rng.choice([-1.0, 1.0], (n_patterns, N_UNITS))
        shown = np.resize(np.arange(n_patterns), N_CUES)
        cues = patterns[shown] * np.where(rng.random((N_CUES, N_UNITS)) < NOISE, -1, 1)

        ours = HopfieldNetwork(random_state=0).fit(patterns)
        peer = hopfieldnetwork.HopfieldNetwork(N=N_UNITS)
        peer.train_pattern(patterns.T)
        np.testing.assert_allclose(peer.w, ours.weights_, atol=1e-12)

        def recall_with_peer(peer=peer, cues=cues):
            return np.array([_settle(peer, cue) for cue in cues])

        ends = {"hmlib": ours.recall(cues), "hopfieldnetwork": recall_with_peer()}
        quality = {name: _mean_overlap(e, patterns, shown) for name, e in ends.items()}
        assert all(ours.is_stable(e).all() for e in ends.values())
        assert abs(quality["hmlib"] - quality["hopfieldnetwork"]) < 1e-3, quality
        same = (ends["hmlib"] == ends["hopfieldnetwork"]).all(axis=1).mean()

        comparison = compare(
            {
                "hmlib": lambda ours=ours, cues=cues: ours.recall(cues),
                "hopfieldnetwork": recall_with_peer,
                "one product S W": lambda ours=ours, cues=cues: cues @ ours.weights_,
            },
            baseline="hmlib",
        )
        record(
            f"recall, load {n_patterns / N_UNITS:.2f}",
            comparison,
            n_units=N_UNITS,
            n_patterns=n_patterns,
            n_cues=N_CUES,
            noise=NOISE,
            mean_overlap=quality,
            same_final_states=float(same),
            peer=f"hopfieldnetwork {hopfieldnetwork.__about__.__version__}",
        )


def _settle(peer, cue):
    """Let the peer run from a cue until nothing turns."""
    peer.set_initial_neurons_state(cue.copy())
    peer.update_neurons(iterations=1, mode="async", run_max=True)
    return peer.S


def _mean_overlap(ends, patterns, shown):
    """Average the overlap of the final states with the patterns that were shown."""
    return float(overlap(ends, patterns)[np.arange(len(ends)), shown].mean())


if __name__ == "__main__":
    main()
