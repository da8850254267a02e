"""The kernels of the examples with axes, written down by hand: `REFERENCES[name](samples)` of every output.

A reference takes samples, which may have different extents, and returns for every output the NNGP and the NTK over
all its points (see `points`): matrices (N, N) for an output without axes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tests.references.points import (
    Array,
    Grid,
    Moments,
    biased,
    convolved,
    data_layer,
    dense,
    erf,
    gather,
    gram,
    larger,
    local,
    mixed,
    normalized,
    pooled,
    relu,
    softmax,
    within,
)

__all__ = ["REFERENCES", "Reference", "Sample"]

Sample = Array | Mapping[str, Array]
Reference = Callable[..., dict[str, Moments]]

SQUARE = [(k, m) for k in (-1, 0, 1) for m in (-1, 0, 1)]


def filters(outer: Grid, inner: Grid, stride: int = 1) -> list[Array]:
    """The reads of a 3x3 filter: one matrix per offset."""
    return [gather(outer, inner, lambda i, j, k=k, m=m: (stride * i + k, stride * j + m)) for k, m in SQUARE]


def mean_of_filters(x: Moments, offsets: Sequence[Array], variance: float) -> Moments:
    """Σ_k C[k] x[place_k] on data, with weights of variance `variance` / (c · the number of offsets)."""
    parts = [mixed(x, offset) * (variance / len(offsets)) for offset in offsets]
    return Moments(sum(part.k for part in parts), sum(part.t for part in parts))


def readout(h: Moments, matrix: Array) -> Moments:
    """V Σ_i A[o, i] h_i with one V of variance 1/n."""
    return dense(mixed(h, matrix), 1.0)


def flattened(h: Moments, grid: Grid) -> Moments:
    """Σ_i R[i] h_i with weights of their own, of variance 1/n, at every position: equal positions of two samples."""
    shared = local(dense(h, 1.0), grid)
    every = pooled(grid) * np.array([[float(np.prod(extents))] for extents in grid.extents])
    return mixed(shared, every)


def cnn(samples: Sequence[Array], sw2: float = 2.0, sb2: float = 0.05) -> dict[str, Moments]:
    """Convolutions of strides 1 and 2, and global average pooling (Novak et al. 2019, Arora et al. 2019)."""
    pixels = Grid.of(samples)
    coarse = pixels.map(lambda height, width: ((height + 1) // 2, (width + 1) // 2))
    x = data_layer(gram(samples))
    h = biased(mean_of_filters(x, filters(pixels, pixels), sw2), sb2)
    g = biased(convolved(relu(h), filters(coarse, pixels, 2), sw2 / 9), sb2)
    return {"f": readout(relu(g), pooled(coarse))}


def cnn_flatten(samples: Sequence[Array], sw2: float = 2.0, sb2: float = 0.05) -> dict[str, Moments]:
    """Convolution, average pooling of 2x2 windows, convolution, weights for every position (Novak et al. 2019)."""
    pixels = Grid.of(samples)
    coarse = pixels.map(lambda height, width: (height // 2, width // 2))
    h = biased(mean_of_filters(data_layer(gram(samples)), filters(pixels, pixels), sw2), sb2)
    corners = [
        gather(coarse, pixels, lambda o, q, r=r, s=s: (2 * o + r, 2 * q + s))
        for r, s in [(0, 0), (0, 1), (1, 0), (1, 1)]
    ]
    window = sum(corners[1:], corners[0]) / 4
    g = biased(convolved(mixed(relu(h), window), filters(coarse, coarse), sw2 / 9), sb2)
    return {"f": flattened(relu(g), coarse)}


def cnn1d(samples: Sequence[Array], sw2: float = 1.5, sb2: float = 0.1) -> dict[str, Moments]:
    """Filters of stride 2 without padding, filters on a ring, both readouts (Novak et al. 2019)."""
    times = Grid.of(samples)
    ring = times.map(lambda length: ((length - 1) // 2,))
    valid = [gather(ring, times, lambda o, k=k: (2 * o + k,)) for k in range(3)]
    around = [gather(ring, ring, lambda o, k=k: (o + k,), circular=True) for k in (-1, 0, 1)]
    h = biased(mean_of_filters(data_layer(gram(samples)), valid, sw2), sb2)
    z = erf(biased(convolved(erf(h), around, sw2 / 3), sb2))
    return {"f": readout(z, pooled(ring)), "flat": flattened(z, ring)}


def maxpool_cnn(samples: Sequence[Array], sw2: float = 1.5, sb2: float = 0.1) -> dict[str, Moments]:
    """Filters, the larger of two neighbours, filters on what was pooled."""
    times = Grid.of(samples)
    coarse = times.map(lambda length: (length // 2,))
    offsets = [gather(times, times, lambda t, k=k: (t + k,)) for k in (-1, 0, 1)]
    around = [gather(coarse, coarse, lambda o, k=k: (o + k,)) for k in (-1, 0, 1)]
    h = biased(mean_of_filters(data_layer(gram(samples)), offsets, sw2), sb2)
    p = larger(h, *(gather(coarse, times, lambda o, j=j: (2 * o + j,)) for j in (0, 1)))
    return {"f": readout(relu(biased(convolved(p, around, sw2 / 3), sb2)), pooled(coarse))}


def locally_connected(samples: Sequence[Array], sw2: float = 2.0, sb2: float = 0.1) -> dict[str, Moments]:
    """Filters with weights of their own at every position: different positions are independent (Novak et al. 2019)."""
    times = Grid.of(samples)
    offsets = [gather(times, times, lambda i, k=k: (i + k,)) for k in (-1, 0, 1)]
    h = local(biased(mean_of_filters(data_layer(gram(samples)), offsets, sw2), sb2), times)
    z = relu(local(biased(convolved(relu(h), offsets, sw2 / 3), sb2), times))
    return {"f": readout(z, pooled(times)), "flat": flattened(z, times)}


def residual_cnn(samples: Sequence[Array], L: int = 2, sw2: float = 2.0) -> dict[str, Moments]:
    """Identity blocks, activation first, and one of stride 2 with a 1x1 shortcut (Garriga-Alonso et al. 2019)."""
    pixels = Grid.of(samples)
    coarse = pixels.map(lambda height, width: ((height + 1) // 2, (width + 1) // 2))
    same = filters(pixels, pixels)
    h = mean_of_filters(data_layer(gram(samples)), same, 1.0)
    for _ in range(L):
        h = h + convolved(relu(h), same, sw2 / 9)
    a = relu(h)
    g = convolved(a, filters(coarse, pixels, 2), sw2 / 9)
    shortcut = convolved(a, [gather(coarse, pixels, lambda o, p: (2 * o, 2 * p))], sw2)
    y = shortcut + convolved(relu(g), filters(coarse, coarse), sw2 / 9)
    return {"f": readout(relu(y), pooled(coarse))}


def recurrent(drive: Moments, grid: Grid, sw2: float, phi: Callable[[Moments], Moments]) -> Moments:
    """s_t = φ(W s_{t-1} + u_t) with s_{-1} = 0, from the moments of the drive u.

    The entry (t, t′) needs those at (t - 1, t′ - 1), (t - 1, t - 1) and (t′ - 1, t′ - 1): after r rounds over all
    entries those with max(t, t′) < r are final.
    """
    back = gather(grid, grid, lambda t: (t - 1,))
    states = Moments(np.zeros_like(drive.k), np.zeros_like(drive.t))
    for _ in range(max(extents[0] for extents in grid.extents)):
        states = phi(drive + mixed(dense(states, sw2), back))
    return states


def rnn(samples: Sequence[Array], sw2: float = 1.0, su2: float = 1.0, sb2: float = 0.1) -> dict[str, Moments]:
    """An Elman network, read at its last state and at the mean of its states (Yang 2019, 2020)."""
    times = Grid.of(samples)
    s = recurrent(biased(data_layer(gram(samples)) * su2, sb2), times, sw2, erf)
    last = np.zeros((len(samples), len(times.points)))
    for column, (sample, (t,)) in enumerate(times.points):
        last[sample, column] = t == len(samples[sample]) - 1
    return {"f": readout(s, pooled(times)), "last": readout(s, last)}


def deep_rnn(samples: Sequence[Array], sw2: float = 1.0, su2: float = 1.0, sb2: float = 0.1) -> dict[str, Moments]:
    """Two recurrent layers, read at every time (Alemohammad et al. 2021)."""
    times = Grid.of(samples)
    s = recurrent(biased(data_layer(gram(samples)) * su2, sb2), times, sw2, erf)
    r = recurrent(biased(dense(s, su2), sb2), times, sw2, relu)
    return {"f": dense(r, 1.0)}


def attention(samples: Sequence[Array], sq2: float = 1.0, su2: float = 1.0, sb2: float = 0.1) -> dict[str, Moments]:
    """Scores sq2 K_h(i, j) inside a sample; through them no gradient flows (Yang 2019, 2020)."""
    words = Grid.of(samples)
    h = biased(data_layer(gram(samples)), sb2)
    y = h + mixed(dense(h, su2), softmax(sq2 * h.k, words))
    return {"f": readout(relu(y), pooled(words))}


def transformer(samples: Sequence[Array], sq2: float = 1.0, sb2: float = 0.1, eps: float = 1e-6) -> dict[str, Moments]:
    """Attention and a perceptron on normalized vectors, with residual connections (Yang 2019, 2020)."""
    words = Grid.of(samples)
    h = biased(data_layer(gram(samples)), sb2)
    u = normalized(h, eps)
    y = h + dense(mixed(dense(u, 1.0), softmax(sq2 * u.k, words)), 1.0)
    z = y + dense(relu(biased(dense(normalized(y, eps), 1.0), sb2)), 2.0)
    return {"f": readout(normalized(z, eps), pooled(words))}


def graph(samples: Sequence[Mapping[str, Array]], sw2: float = 2.0, sb2: float = 0.1) -> dict[str, Moments]:
    """Two aggregations over edges, the mean over nodes (Kipf & Welling 2017, Du et al. 2019)."""
    features = [sample["x"] for sample in samples]
    nodes = Grid.of(features)
    edges = within(nodes, lambda sample, p, q: float(samples[sample]["A"][(*p, *q)]))
    h1 = biased(mixed(data_layer(gram(features)), edges) * sw2, sb2)
    h2 = biased(dense(mixed(relu(h1), edges), sw2), sb2)
    return {"f": readout(relu(h2), pooled(nodes))}


def deep_sets(samples: Sequence[Array], sw2: float = 2.0, sb2: float = 0.1) -> dict[str, Moments]:
    """A perceptron for every element, one for their mean (Zaheer et al. 2017)."""
    elements = Grid.of(samples)
    g = biased(dense(relu(biased(data_layer(gram(samples)) * sw2, sb2)), sw2), sb2)
    y = biased(dense(mixed(relu(g), pooled(elements)), sw2), sb2)
    return {"f": dense(relu(y), 1.0)}


def positional(samples: Sequence[Array], sp2: float = 0.5, sq2: float = 1.0) -> dict[str, Moments]:
    """One term more at equal positions, sp2 [i = i′] (Hron et al. 2020), in the moment and in the tangent."""
    words = Grid.of(samples)
    everywhere = np.full((len(words.points),) * 2, sp2)
    h = data_layer(gram(samples)) + local(Moments(everywhere, everywhere), words)
    y = mixed(dense(h, 1.0), softmax(sq2 * h.k, words))
    return {"f": readout(relu(y), pooled(words))}


REFERENCES: Mapping[str, Reference] = {
    reference.__name__: reference
    for reference in (
        attention,
        cnn,
        cnn1d,
        cnn_flatten,
        deep_rnn,
        deep_sets,
        graph,
        locally_connected,
        maxpool_cnn,
        positional,
        residual_cnn,
        rnn,
        transformer,
    )
}
