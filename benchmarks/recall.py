"""Asynchronous recall of 100 noisy patterns, next to hopfieldnetwork and to one matrix product.

hopfieldnetwork takes one state at a time and one unit at a time, and ends after a sweep in which nothing
turned. Same couplings, same cues, random order of the units in both. Its own states are int8, which
every product has to convert; it is timed with them and with float64 states, which suit it better.
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

        recalls = {
            "hmlib": lambda ours=ours, cues=cues: ours.recall(cues),
            "hopfieldnetwork": _peer_recall(peer, cues.astype("int8")),
            "hopfieldnetwork, float64": _peer_recall(peer, cues),
        }
        ends = {name: recall() for name, recall in recalls.items()}
        quality = {name: _mean_overlap(e, patterns, shown) for name, e in ends.items()}
        assert all(ours.is_stable(e).all() for e in ends.values())
        assert max(quality.values()) - min(quality.values()) < 1e-3, quality
        same = (ends["hmlib"] == ends["hopfieldnetwork"]).all(axis=1).mean()

        recalls["one product S W"] = lambda ours=ours, cues=cues: cues @ ours.weights_
        comparison = compare(recalls, baseline="hmlib")
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


def _peer_recall(peer, cues):
    """Make a function that lets the peer run from each cue until nothing turns."""

    def recall():
        ends = []
        for cue in cues:
            peer.set_initial_neurons_state(cue.copy())
            peer.update_neurons(iterations=1, mode="async", run_max=True)
            ends.append(peer.S)
        return np.array(ends)

    return recall


def _mean_overlap(ends, patterns, shown):
    """Average the overlap of the final states with the patterns that were shown."""
    return float(overlap(ends, patterns)[np.arange(len(ends)), shown].mean())


if __name__ == "__main__":
    main()
