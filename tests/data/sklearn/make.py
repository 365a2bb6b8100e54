"""Writes the models and values of this folder: python make.py. Made with scikit-learn 1.9.1, skl2onnx 1.20.0, onnxruntime 1.32.0.

Models are trained on scikit-learn's own data sets (iris, breast_cancer, digits, diabetes); the values are onnxruntime's for eight inputs of each."""
import json, os, warnings
import numpy as np, onnx, onnxruntime
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, Perceptron, Ridge, RidgeClassifier, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from skl2onnx import to_onnx

warnings.filterwarnings("ignore")
folder = os.path.dirname(os.path.abspath(__file__))
iris, cancer, digits, diabetes = [load(return_X_y=True) for load in (load_iris, load_breast_cancer, load_digits, load_diabetes)]
species = (iris[0], load_iris().target_names[iris[1]])
tumours = (cancer[0], np.array(["malignant", "benign"])[cancer[1]])
logistic = lambda: LogisticRegression(max_iter=5000)
models = {
    "logistic": (logistic(), iris, {}),
    "logistic_array": (logistic(), (iris[0], iris[1] + 5), {"options": {"zipmap": False}}),
    "logistic_columns": (logistic(), iris, {"options": {"zipmap": "columns"}}),
    "logistic_raw": (logistic(), iris, {"options": {"zipmap": False, "raw_scores": True}}),
    "logistic_texts": (logistic(), species, {}),
    "logistic_binary": (make_pipeline(StandardScaler(), logistic()), cancer, {}),
    "logistic_binary_texts": (make_pipeline(RobustScaler(), logistic()), tumours, {}),
    "logistic_minmax": (make_pipeline(MinMaxScaler(), logistic()), iris, {}),
    "logistic_maxabs": (make_pipeline(MaxAbsScaler(), logistic()), iris, {}),
    "one_against_rest": (OneVsRestClassifier(logistic()), iris, {}),
    "linear": (LinearRegression(), diabetes, {}),
    "linear_two": (LinearRegression(), (diabetes[0], np.c_[diabetes[1], 300 - diabetes[1]]), {}),
    "ridge": (Ridge(), diabetes, {}),
    "lasso": (Lasso(alpha=0.1), diabetes, {}),
    "components": (make_pipeline(PCA(20), logistic()), digits, {}),
    "perceptron": (make_pipeline(StandardScaler(), Perceptron()), iris, {}),
    "perceptron_binary": (make_pipeline(StandardScaler(), Perceptron()), cancer, {}),
    "descent": (make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0)), iris, {}),
    "descent_binary": (make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0)), cancer, {}),
    "descent_huber": (make_pipeline(StandardScaler(), SGDClassifier(loss="modified_huber", random_state=0)), species, {}),
    "ridge_binary": (make_pipeline(StandardScaler(), RidgeClassifier()), cancer, {}),
    "discriminant": (LinearDiscriminantAnalysis(), species, {}),
    "perceptrons": (MLPClassifier(hidden_layer_sizes=(16,), max_iter=500, random_state=0), iris, {}),
    "perceptrons_binary": (make_pipeline(StandardScaler(), MLPClassifier(hidden_layer_sizes=(8,), max_iter=500, random_state=0)), tumours, {}),
    "perceptrons_regression": (make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(8,), max_iter=2000, random_state=0)), diabetes, {}),
    "bayes": (GaussianNB(), iris, {}),
    "means": (KMeans(3, n_init=3, random_state=0), (iris[0], None), {}),
}
values = {}
for name, (model, (x, y), options) in models.items():
    x = x.astype(np.float32)
    model.fit(x) if y is None else model.fit(x, y)
    file = to_onnx(model, x[:1], target_opset={"": 17, "ai.onnx.ml": 3}, **options)
    onnx.save(file, os.path.join(folder, name + ".onnx"))
    session = onnxruntime.InferenceSession(file.SerializeToString())
    x = x[:: len(x) // 8][:8]
    outputs = []
    for output, found in zip(session.get_outputs(), session.run(None, {session.get_inputs()[0].name: x})):
        rows = [list(row.values()) for row in found] if isinstance(found, list) else np.asarray(found).reshape(len(x), -1).tolist()
        outputs.append({"name": output.name, "rows": rows})
    values[name] = {"x": [[float(f"{v:.9g}") for v in row] for row in x.tolist()], "outputs": outputs}
with open(os.path.join(folder, "values.json"), "w") as file:
    json.dump(values, file, separators=(",", ":"))
