"""Programs of the language, as text, that together use all of it: the ends of the tests from text to numbers."""

from __future__ import annotations

from tensorprog.core.build import build
from tensorprog.core.ir import Core
from tensorprog.errors import Source
from tensorprog.syntax.parser import parse

IMAGES = """
program images
width n
axis i : H ; axis j : H circular ; axis o : (H + 1) // 2 ; axis p : (H + 1) // 2
axis k : -1..1 ; axis l : -1..1
input x[i, j] : (c)
param C[k, l] : (n, c) ~ N(0, 2 / (9 * c))
param D[k, l] : (n, n) ~ N(0, 2 / (9 * n))
param V[o, p] : (1, n) ~ N(0, 1 / n)
h[o, p] = sum[k, l](C[k, l] @ x[2*o + k, 2*p + l])
a[i, j] = tanh(h[i, j])
g[i, j] = sum[k, l](D[k, l] @ a[i + k, j + l])
output f = sum[o, p](V[o, p] @ max[k](sin(g[o + k, p])))
"""

ELMAN = """
program elman(rho = 1.3)
width n
axis t : T
input x[t] : (d)
param W : (n, n) ~ N(0, rho / n)
param U : (n, d) ~ N(0, 1 / d)
param b : (n) ~ N(0, 0.2) lr 1
param V : (1, n) ~ N(0, 1 / n)
start = tanh(U @ x[0])
scan t {
    init s = start
    r[t] = erf(W @ s[t - 1] + U @ x[t] + b)
    s[t] = r[t] * tanh(W @ r[t - 1]) + s[t - 1] / 2
}
output f = V @ mean[t](s[t]) + V @ r[T - 1]
"""

TRANSFORMER = """
program transformer
width n
axis i : T ; axis j : T
input x[i] : (d)
param E : (n, d) ~ N(0, 1 / d)
param Q : (n, n) ~ N(0, 1 / n)
param R : (n, n) ~ N(0, 1 / n)
param U : (n, n) ~ N(0, 1 / n)
param P : (n) ~ N(0, 0.3)
param V : (1, n) ~ N(0, 1 / n)
param c : (1) ~ N(0, 0.1)
h[i] = E @ x[i] + i * P
s[i, j] = dot(Q @ h[i], R @ h[j]) / n
a[i, j] = softmax[j](s[i, j])
y[i] = h[i] + sum[j](a[i, j] * (U @ h[j]))
m[i] = avg(y[i]) ; v[i] = avg((y[i] - m[i])^2)
z[i] = (y[i] - m[i]) / sqrt(v[i] + 1e-6)
output f[i] = V @ gelu(z[i]) + c
output g = V @ mean[i](z[i])
"""

RESIDUAL = """
program residual(L = 3, alpha = 0.5)
width n
width m = 2 * n
input x : (d)
fn bump(u) = u * gauss(u)
fn gate(u, w) = sigmoid(u) * w
block dense(h, fan, s = 1.5) { param W : (n, fan) ~ N(0, s / fan) ; param b : (n) ~ N(0, 0.1) ; return W @ h + b }
h = dense(x, d)
for l in 1..L {
    param A : (m, n) ~ N(0, 1 / n)
    param B : (n, m) ~ N(0, l / m)
    h = h + alpha / sqrt(l) * (B @ softplus(A @ bump(h)))
}
frozen F : (n, n) ~ N(0, 1 / n)
w = gate(dense(h, n), F.T @ tanh(F @ h))
param V : (1, n) ~ N(0, 1 / n)
output f = V @ w
"""

GRAPH = """
program graph
width n
axis i : 4 ; axis j : 4
input A[i, j] : () ; input x[j] : (c)
param W : (n, c) ~ N(0, 1 / c)
param U : (n, n) ~ N(0, 1 / n)
param V : (1, n) ~ N(0, 1 / n)
h[i] = tanh(W @ sum[j](A[i, j] * x[j]))
g[i] = U @ sum[j](A[i, j] * h[j]) / 2
output f = V @ sum[i](g[i]^3 * sum[j](A[i, j]))
"""

TEXTS = {"images": IMAGES, "elman": ELMAN, "transformer": TRANSFORMER, "residual": RESIDUAL, "graph": GRAPH}


def core_of(name: str) -> Core:
    """Return the core of one of the programs."""
    return build(parse(Source(f"{name}.tp", TEXTS[name])))
