"""Trains two models on tables that come with scikit-learn, and writes them with test rows that they have not seen:

    python tabular.py FOLDER        (needs scikit-learn, onnx and skl2onnx)

breast_cancer.onnx, .csv: a logistic regression on 30 measurements of cell nuclei; the column `target` is 1 where they are benign.
digits_autoencoder.onnx, .csv: an autoencoder that puts 8 x 8 pixels through eight numbers."""
import sys
from pathlib import Path

import numpy as np
from onnx import TensorProto
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from onnx.numpy_helper import from_array
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

folder = Path(sys.argv[1])

data = load_breast_cancer()
x, unseen, y, targets = train_test_split(data.data.astype(np.float32), data.target, test_size=100, random_state=1)
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
(folder / "breast_cancer.onnx").write_bytes(to_onnx(model, x[:1], options={"zipmap": False}, target_opset=17).SerializeToString())
header = ",".join([name.replace(" ", "_") for name in data.feature_names] + ["target"])
np.savetxt(folder / "breast_cancer.csv", np.column_stack([unseen, targets]), "%.7g", ",", header=header, comments="")
print("accuracy", model.score(unseen, targets))

pixels = (load_digits().data / 16).astype(np.float32)
x, unseen = train_test_split(pixels, test_size=50, random_state=1)
model = MLPRegressor(hidden_layer_sizes=(48, 8, 48), max_iter=2000, early_stopping=True, n_iter_no_change=50, random_state=1).fit(x, x)
layers, weights, name = len(model.coefs_), [], "pixels"
nodes = []
for i, (coefficients, intercepts) in enumerate(zip(model.coefs_, model.intercepts_)):
    weights += [from_array(coefficients.astype(np.float32), f"w{i}"), from_array(intercepts.astype(np.float32), f"b{i}")]
    last = i + 1 == layers
    nodes.append(make_node("Gemm", [name, f"w{i}", f"b{i}"], ["reconstruction" if last else f"sum{i}"], name=f"layer{i}"))
    if not last:
        name = f"relu{i}"
        nodes.append(make_node("Relu", [f"sum{i}"], [name], name=name))
ends = [make_tensor_value_info(name, TensorProto.FLOAT, ["N", 64]) for name in ("pixels", "reconstruction")]
graph = make_graph(nodes, "autoencoder", ends[:1], ends[1:], weights)
autoencoder = make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=8)
(folder / "digits_autoencoder.onnx").write_bytes(autoencoder.SerializeToString())
np.savetxt(folder / "digits.csv", unseen, "%.7g", ",")
print("mean absolute error", np.abs(model.predict(unseen) - unseen).mean())
