"""Models of features that were propagated beforehand: no graph traffic while training."""

from mpiedge.models.mlp import MLP


class SGC(MLP):
    """Simple graph convolution (Wu et al. 2019): one linear layer of A^k X, A the symmetric normalised adjacency."""

    propagates = "last"
    drops_features = True


class SIGN(MLP):
    """SIGN (Frasca et al. 2020): a perceptron of X, A X, ..., A^k X side by side."""

    propagates = "all"
    drops_features = True
