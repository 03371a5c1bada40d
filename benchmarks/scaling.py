"""How time and memory grow: with samples, width, depth, batch, processes, explanations and dreams.

The first part fits log-log slopes: 1 is linear. The rest are single figures of daily use: the memory of
training, the gain of a second process, a nearest-neighbour search beside scikit-learn's, and imports.
"""

import json
import subprocess
import sys
import tempfile
import time

import numpy as np
import sklearn
from harness import Comparison, compare, record, seconds_per_call
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits
from wake_sleep import Problem, batch, model

from hmlib.datasets import load
from hmlib.experiments import reproduce
from hmlib.helmholtz import ClasswiseGenerator, HelmholtzMachine
from hmlib.metrics import one_nn_curve

N_PIXELS = 784


def images(n, seed=0):
    """Draw bits, about as many on as in a handwritten digit."""
    return (np.random.default_rng(seed).random((n, N_PIXELS)) < 0.15).astype(np.float32)


def training(n):
    """Make a function that trains one epoch."""
    X = images(n)
    machine = HelmholtzMachine(
        (400, 100), n_epochs=0, batch_size=100, binarize="none", random_state=0
    ).fit(X)
    return lambda: machine.partial_fit(X)


def step(hidden, batch_size=100):
    """Make a function that takes one step of wake-sleep."""
    problem = Problem("wake-sleep", (N_PIXELS, *hidden), batch_size)
    return model(problem, batch(problem))[1]


def slopes(path):
    """Time what grows, and fit the slopes."""
    grown = {
        "samples": {n: training(n) for n in (1000, 2000, 4000, 8000)},
        "width": {n: step((n, n)) for n in (128, 256, 512, 1024, 2048)},
        "depth": {n: step(n * (256,)) for n in (1, 2, 4, 8)},
        "batch": {n: step((400, 100), n) for n in (10, 20, 50, 100, 200, 500, 1000)},
    }
    for name, calls in grown.items():
        timed = compare(
            {str(n): call for n, call in calls.items()}, baseline=str(min(calls)), repeats=5
        )
        logs = np.log([list(calls), list(timed.medians.values())])
        slope = float(np.polyfit(*logs, 1)[0])
        record(f"training time against {name}", timed, path=path, slope=round(slope, 3))
        print(f"slope {slope:.3f}\n")


EXPLAINING = """
from hmlib.helmholtz import HelmholtzMachine
X = np.random.default_rng(0).random((100, 784), dtype=np.float32)
HelmholtzMachine((400, 100), n_epochs=1, random_state=0).fit(X).score_samples(X[:2], {n})
"""
PEAKS = {
    "training on 60,000 x 784": """
from hmlib.helmholtz import HelmholtzMachine
X = np.random.default_rng(0).random((60_000, 784), dtype=np.float32)
HelmholtzMachine((400, 100), n_epochs=1, batch_size=100, random_state=0).fit(X)
""",
    **{f"importance sampling, {n:,} explanations": EXPLAINING.format(n=n) for n in (1000, 100_000)},
}
# Of this process alone: what getrusage calls the peak may be that of the process that started it.
REPORT = """
import re
print(int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]) / 1024)
"""


def in_a_process(code):
    """Run code in a new process; return its seconds and what it prints as JSON."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return time.perf_counter() - start, json.loads(done.stdout or "null")


def memory(path):
    """Measure the largest memory of a process that does one thing, in MB of 2^20 bytes."""
    runs = {name: in_a_process(f"import numpy as np{code}{REPORT}") for name, code in PEAKS.items()}
    seconds = {name: np.array([spent]) for name, (spent, _) in runs.items()}
    peaks = {name: round(peak) for name, (_, peak) in runs.items()}
    record("peak of memory", Comparison(seconds, min(seconds)), path=path, megabytes=peaks)
    print(peaks, "\n")


def processes(path):
    """Train ten machines, and execute an experiment, in one process and in two."""
    digits = load("digits")
    X = np.tile(digits.x_train, (4, 1)).astype(np.float32)
    y = np.tile(digits.y_train, 4)
    template = HelmholtzMachine((400, 100), n_epochs=10)

    def generator(n_jobs):
        return lambda: ClasswiseGenerator(template, n_jobs=n_jobs, random_state=0).fit(X, y)

    def sweep(n_jobs):
        def run():
            with tempfile.TemporaryDirectory() as folder:
                reproduce("learning-rates", "book", jobs=n_jobs, results=folder, verbose=False)

        return run

    def calls(make):
        return {f"{n} process{'es' * (n > 1)}": make(n) for n in (2, 1)}

    ten = compare(calls(generator), baseline="2 processes")
    record("ten machines, processes", ten, path=path)
    swept = in_rounds(calls(sweep), "2 processes", n_rounds=3)
    record("a sweep, processes", swept, path=path)


def in_rounds(calls, baseline, n_rounds):
    """Time long calls in alternation, without calling them beforehand."""
    seconds = {name: np.empty(n_rounds) for name in calls}
    for k in range(n_rounds):
        for name, call in calls.items():
            seconds[name][k] = seconds_per_call(call)
    return Comparison(seconds, baseline)


def neighbors(path, n_test=10_000, n_generated=100_000):
    """Classify test images by the nearest of many others, beside scikit-learn."""
    X, y = images(n_test), np.arange(n_test) % 10
    made, labels = images(n_generated, seed=1), np.arange(n_generated) % 10
    portions = [slice(i, i + 10_000) for i in range(0, n_generated, 10_000)]
    peer = KNeighborsClassifier(1, algorithm="brute").fit(made, labels)

    def ours():
        return list(one_nn_curve(((made[s], labels[s]) for s in portions), X, y))[-1].accuracy

    def theirs():
        return (peer.predict(X) == y).mean()

    with threadpool_limits(1):
        assert abs(ours() - theirs()) < 0.02  # of equal distances either may take another
        timed = in_rounds({"hmlib": ours, "scikit-learn": theirs}, "hmlib", n_rounds=2)
    record(
        "one nearest neighbour",
        timed,
        path=path,
        n_test=n_test,
        n_generated=n_generated,
        peer=f"scikit-learn {sklearn.__version__}",
    )


def imports(path):
    """Time new processes that import and do nothing."""
    codes = {
        "python": "pass",
        "import numpy": "import numpy",
        "import hmlib": "import hmlib",
        "import hmlib.helmholtz": "import hmlib.helmholtz",
        "import sklearn.neural_network": "import sklearn.neural_network",
    }
    calls = {name: lambda code=code: in_a_process(code) for name, code in codes.items()}
    record("imports", compare(calls, baseline="import hmlib", repeats=7), path=path)


def main(path=None):
    with threadpool_limits(1):
        slopes(path)
    memory(path)
    processes(path)
    neighbors(path)
    imports(path)


if __name__ == "__main__":
    main()
