"""The learning rules of the book in PyTorch, as its users would write them: for comparison only.

Layers are pairs (W, b), W of shape (senders, receivers). All updates are those of ``hmlib``: delta rule
by hand, no automatic differentiation, in place, averaged over the batch.
"""

import torch
from wake_sleep import N_EXPLANATIONS, RATE


def steps(problem, d):
    """Make functions that take a step of ``problem``: eager, and compiled where that works."""
    torch.set_num_threads(problem.n_threads)
    step = RULES[problem.rule]
    calls = {}
    for name, function in {"PyTorch": step, "PyTorch, compiled": torch.compile(step)}.items():
        machine, x = make(problem.sizes), torch.from_numpy(d.copy())

        @torch.no_grad()
        def call(function=function, machine=machine, x=x):
            function(machine, x)

        try:
            call()
        except Exception as error:  # no compiler on this machine, or one that fails
            print(f"{name}: left out, {type(error).__name__}")
            continue
        calls[name] = call
    return calls


def make(sizes):
    """Make generative layers, recognition layers and a prior, with small random weights."""
    torch.manual_seed(0)

    def layer(n_in, n_out):
        return 0.1 * torch.randn(n_in, n_out), torch.zeros(n_out)

    pairs = list(zip(sizes, sizes[1:]))
    generative = [layer(above, below) for below, above in pairs]
    recognition = [layer(below, above) for below, above in pairs]
    return generative, recognition, torch.zeros(sizes[-1])


def parameters(problem, machine):
    """List the tensors that learn, in the order of ours."""
    generative, recognition, prior = machine
    if problem.rule == "CD-1":
        ((W, c),), ((_, b),) = recognition, generative
        return [W, b, c]
    return [p for layer in generative + recognition for p in layer] + [prior]


def mean(layer, x):
    W, b = layer
    return torch.sigmoid(torch.addmm(b, x, W))


def draw(p):
    return (torch.rand_like(p) < p).to(p.dtype)


def learn(layer, x, error, rate):
    W, b = layer
    W.addmm_(x.T, error, alpha=rate)
    b.add_(error.sum(0), alpha=rate)


def wake_sleep(machine, d):
    generative, recognition, prior = machine
    rate = RATE / len(d)
    layers = [d]
    for layer in recognition:
        layers.append(draw(mean(layer, layers[-1])))
    for layer, below, above in zip(generative, layers, layers[1:]):
        learn(layer, above, below - mean(layer, above), rate)
    prior.add_((layers[-1] - torch.sigmoid(prior)).sum(0), alpha=rate)
    sleep(machine, len(d))


def sleep(machine, n):
    generative, recognition, prior = machine
    dream = [draw(torch.sigmoid(prior).expand(n, -1))]
    for layer in reversed(generative):
        dream.insert(0, draw(mean(layer, dream[0])))
    for layer, below, above in zip(recognition, dream, dream[1:]):
        learn(layer, below, above - mean(layer, below), RATE / n)


def log_prob(u, y):
    return -torch.nn.functional.binary_cross_entropy_with_logits(u, y, reduction="none").sum(-1)


def reweighted(machine, d):
    """K explanations of each datum; recognition learns awake and asleep."""
    generative, recognition, prior = machine
    n, K = len(d), N_EXPLANATIONS

    def logits(layer, x):
        return torch.addmm(layer[1], x.reshape(-1, x.shape[-1]), layer[0])

    layers = [d.expand(K, *d.shape).reshape(K * n, -1)]
    p = mean(recognition[0], d)
    layers.append(draw(p.expand(K, *p.shape).reshape(K * n, -1)))
    for layer in recognition[1:]:
        layers.append(draw(mean(layer, layers[-1])))
    u_down = [logits(layer, x) for layer, x in zip(generative, layers[1:])]
    u_up = [logits(recognition[0], d).repeat(K, 1)]
    u_up += [logits(layer, x) for layer, x in zip(recognition[1:], layers[1:])]
    log_w = log_prob(prior.expand_as(layers[-1]), layers[-1])
    log_w = log_w + sum(log_prob(u, y) for u, y in zip(u_down, layers))
    log_w = log_w - sum(log_prob(u, y) for u, y in zip(u_up, layers[1:]))
    w = torch.softmax(log_w.reshape(K, n), 0).reshape(-1, 1)
    rate = RATE / n
    prior.add_((w * (layers[-1] - torch.sigmoid(prior))).sum(0), alpha=rate)
    for layer, x, y, u in zip(generative, layers[1:], layers, u_down):
        learn(layer, x, w * (y - torch.sigmoid(u)), rate)
    first = (w * (layers[1] - torch.sigmoid(u_up[0]))).reshape(K, n, -1).sum(0)
    learn(recognition[0], d, first, rate)
    for layer, x, y, u in zip(recognition[1:], layers[1:], layers[2:], u_up[1:]):
        learn(layer, x, w * (y - torch.sigmoid(u)), rate)
    sleep(machine, n)


def contrastive_divergence(machine, v):
    """CD-1: probabilities of the hidden units in the averages, bits along the way."""
    ((W, c),), b = machine[1], machine[0][0][1]
    rate = RATE / len(v)
    h_data = torch.sigmoid(torch.addmm(c, v, W))
    v_model = draw(torch.sigmoid(torch.addmm(b, draw(h_data), W.T)))
    h_model = torch.sigmoid(torch.addmm(c, v_model, W))
    W.addmm_(v.T, h_data, alpha=rate).addmm_(v_model.T, h_model, alpha=-rate)
    b.add_((v - v_model).sum(0), alpha=rate)
    c.add_((h_data - h_model).sum(0), alpha=rate)


RULES = {"wake-sleep": wake_sleep, "RWS": reweighted, "CD-1": contrastive_divergence}
