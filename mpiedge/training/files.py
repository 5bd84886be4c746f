"""Names and texts of the files of training and prediction."""

import csv
import io

MODEL_FILE = "train/model.h5"
OF_NODES = "node_"  # how the names of its arrays begin that have a row for every node of the training
PREDICTIONS_FILE = "train/predictions.csv"
TUNE_FILE = "train/tune.csv"
TUNE_COLUMNS = ("epochs", "best_epoch", "val_accuracy", "val_loss", "place")
ONNX_FILE = "train/model.onnx"
CONFUSION_FILE = "train/confusion.csv"
METRICS_FILE = "metrics.csv"
NEW_PREDICTIONS_FILE = "predict/predictions.csv"
EPOCH_COLUMNS = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "wall_s", "bytes_sent")


def predictions_csv(ids, labels, probabilities, header: bool = True) -> str:
    """Local: the text of a file of predictions: id, predicted, probability; header: with the line of these names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(["id", "predicted", "probability"])
    writer.writerows((name, label, f"{value:.4f}") for name, label, value in zip(ids, labels, probabilities))
    return text.getvalue()


def confusion_csv(quality: dict, classes: list[str]) -> str:
    """Local: the text of confusion.csv: of every role (train, val, test) the counts of its matrix that are not 0."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["role", "label", "predicted", "nodes"])
    for role, counts in quality.items():
        writer.writerows([role, classes[label], classes[predicted], int(counts[label, predicted])]
                         for label, predicted in zip(*counts.nonzero()))
    return text.getvalue()


def metrics_csv(history: list[list[float]]) -> str:
    """Local: the text of metrics.csv, one row of EPOCH_COLUMNS per epoch; an unknown figure is empty."""
    lines = [",".join(EPOCH_COLUMNS)]
    for epoch, *figures, wall_s, sent in history:
        cells = ["" if value != value else f"{value:.6f}" for value in figures]
        lines.append(",".join([str(int(epoch)), *cells, f"{wall_s:.6f}", str(int(sent))]))
    return "\n".join(lines) + "\n"
