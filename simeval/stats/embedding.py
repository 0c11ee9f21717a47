"""t-SNE in the plane, and the numbers without which its picture proves nothing. Needs scikit-learn.

Non-obvious behaviour:
- t-SNE makes clusters of noise, too. Trustworthiness says whether neighbours in the plane are neighbours in the
  features; the silhouette in the features says whether labels are apart there, before any embedding.
- One thread, a fixed seed and a start from principal components: the same features give the same points.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PERPLEXITY = 30.0
"""Of t-SNE, by its authors; a third of the points where there are fewer than 90."""
NEIGHBOURS = 5
"""Of trustworthiness: scikit-learn's default."""
MIN_POINTS = 12


@dataclass(frozen=True, slots=True)
class Embedding:
    """Points in the plane.

    Attributes:
        points: (x, y) of each sample; empty where `reason` says why.
        silhouette: of the labels in the standardised features, in [-1, 1]; 0 is no separation. `None` for one label.
        silhouette_plane: the same in the plane.
        trustworthiness: in [0, 1]; about 0.5 for points in random order.
        reason: why there are no points; empty otherwise.
    """

    points: tuple[tuple[float, float], ...]
    silhouette: float | None = None
    silhouette_plane: float | None = None
    trustworthiness: float | None = None
    reason: str = ""


def embed(features: Floats, labels: NDArray[np.generic], seed: int) -> Embedding:
    """t-SNE of features.

    Args:
        features: float[n, d].
        labels: [n], for the silhouettes.
        seed: of scikit-learn's generator.
    """
    n = len(features)
    if n < MIN_POINTS:
        return Embedding((), reason=f"{n} frames; a picture needs at least {MIN_POINTS}")
    spread = features.std(axis=0)
    if not (spread > 0).any():
        return Embedding((), reason="all frames have the same features")
    standard = (features - features.mean(axis=0))[:, spread > 0] / spread[spread > 0]
    from sklearn.manifold import TSNE, trustworthiness  # not above: it takes a second
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        plane = TSNE(
            2, perplexity=min(PERPLEXITY, (n - 1) / 3), init="pca", random_state=seed % 2**32, n_jobs=1
        ).fit_transform(standard)
        kinds = len(np.unique(labels))
        separable = 1 < kinds < n
        return Embedding(
            points=tuple((float(x), float(y)) for x, y in np.asarray(plane, float)),
            silhouette=float(silhouette_score(standard, labels)) if separable else None,
            silhouette_plane=float(silhouette_score(plane, labels)) if separable else None,
            trustworthiness=float(trustworthiness(standard, plane, n_neighbors=min(NEIGHBOURS, (n - 1) // 2))),
        )
