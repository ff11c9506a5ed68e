"""scikit-learn with array API dispatch takes Tensors, computes with hybrid, returns Tensors.

In a process of its own: SciPy reads SCIPY_ARRAY_API when it is imported.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("sklearn")

SCRIPT = """
import warnings

import numpy as np
import sklearn
from sklearn import metrics, preprocessing
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge

import hybrid as hb

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
X = rng.normal(size=(60, 5))
y = (X[:, 0] + X[:, 1] > 0).astype(int)
p = (X[:, 0] > 0).astype(int)
z = X @ np.arange(5.0)
r, s = abs(z) + 1, abs(z) + 1.5

estimators = {
    "PCA": lambda A: abs(PCA(2, svd_solver="full").fit_transform(A(X))),
    "PCA eigh": lambda A: abs(PCA(2, svd_solver="covariance_eigh").fit_transform(A(X))),
    "PCA variance": lambda A: PCA(2).fit(A(X)).explained_variance_ratio_,
    "LDA": lambda A: LinearDiscriminantAnalysis().fit(A(X), A(y)).predict_proba(A(X)),
    "Ridge": lambda A: Ridge(solver="svd").fit(A(X), A(z)).predict(A(X)),
    "StandardScaler": lambda A: preprocessing.StandardScaler().fit_transform(A(X)),
    "MinMaxScaler": lambda A: preprocessing.MinMaxScaler().fit_transform(A(X)),
    "cosine_similarity": lambda A: metrics.pairwise.cosine_similarity(A(X)),
    "euclidean_distances": lambda A: metrics.pairwise.euclidean_distances(A(X)),
    "rbf_kernel": lambda A: metrics.pairwise.rbf_kernel(A(X)),
    "confusion_matrix": lambda A: metrics.confusion_matrix(A(y), A(p)),
}
scores = {name: lambda A, f=getattr(metrics, name): f(A(y), A(p)) for name in
          ("accuracy_score", "zero_one_loss", "f1_score", "roc_auc_score")}
scores |= {name: lambda A, f=getattr(metrics, name): f(A(r), A(s)) for name in (
    "mean_squared_error", "mean_absolute_error", "r2_score", "max_error",
    "mean_squared_log_error", "explained_variance_score", "mean_absolute_percentage_error")}

for name, function in (estimators | scores).items():
    expected = function(np.asarray)
    with sklearn.config_context(array_api_dispatch=True):
        found = function(hb.asarray)
    assert name in scores or type(found) is hb.Tensor, (name, type(found))
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-6, atol=1e-8, err_msg=name)
print("all", len(estimators | scores))
"""


def test_estimators_and_metrics_agree_with_those_of_ndarrays() -> None:
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == "all 22"
