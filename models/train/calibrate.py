"""The alert point, and what a score is worth as evidence."""

import numpy as np

import measure
from assess import Row

LIMIT = 4.0
KNOTS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
# Share of each kind of picture among the good and among the failing ones that the table is fitted to.
GOOD_SHARES = {"webcam": 0.5, "photo": 0.5}
FAILING_SHARES = {"webcam": 0.2, "photo": 0.8}
FALSE_POSITIVES = 0.01
EACH_FEATURE = np.eye(3)


def kind_of(row: Row) -> str:
    """Whether a picture counts as webcam-like."""
    return "webcam" if row.part == "fold" or row.view in ("webcam", "timelapse-shot") else "photo"


def weights_of(rows: list[Row]) -> np.ndarray:
    """Weights that give each kind its share, and good and failing half each."""
    weights = np.zeros(len(rows))
    for failing, shares in ((True, FAILING_SHARES), (False, GOOD_SHARES)):
        for kind, share in shares.items():
            which = np.array([r.failing == failing and kind_of(r) == kind for r in rows])
            if which.any():
                weights[which] = 0.5 * share / which.sum()
    return weights / weights.sum()


def features(scores: np.ndarray) -> np.ndarray:
    """What the log-likelihood ratio is a sum of: the score's log, its complement's log, and one (beta calibration)."""
    clipped = np.clip(scores, 0.003, 0.997)
    return np.stack([np.log(clipped), -np.log(1 - clipped), np.ones_like(clipped)], axis=1)


def fit(rows: list[Row], columns: np.ndarray = EACH_FEATURE) -> np.ndarray:
    """Coefficients of the log-likelihood ratio over the features (weighted logistic regression).

    `columns` may tie features together; coefficients of the first two come out at 0.02 at least, so that
    a higher score never counts as less evidence.
    """
    x = features(np.array([r.score for r in rows])) @ columns
    y, weight = np.array([r.failing for r in rows], float), weights_of(rows)
    solution = np.zeros(x.shape[1])
    for _ in range(60):
        p = 1 / (1 + np.exp(-x @ solution))
        gradient = x.T @ (weight * (p - y)) + 1e-4 * solution
        hessian = (x * (weight * p * (1 - p))[:, None]).T @ x + 1e-4 * np.eye(x.shape[1])
        solution = solution - np.linalg.solve(hessian, gradient)
    return np.maximum(columns @ solution, (0.02, 0.02, -np.inf))


def fit_log_odds(rows: list[Row]) -> tuple[float, float]:
    """Slope and offset of the log-likelihood ratio over the score's log odds."""
    slope, _, offset = fit(rows, np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    return float(slope), float(offset)


def table(coefficients: np.ndarray) -> dict[str, list[float]]:
    """The piecewise linear table of the manifest."""
    ratio = features(np.array(KNOTS)) @ coefficients
    return {
        "score": list(KNOTS),
        "log_likelihood_ratio": [round(float(v), 4) for v in np.clip(ratio, -LIMIT, LIMIT)],
        "probability": [round(float(1 / (1 + np.exp(-v))), 5) for v in ratio],
    }


def probability(knots: dict[str, list[float]], scores: np.ndarray) -> np.ndarray:
    """Calibrated probability of failing at equal priors."""
    return np.interp(scores, knots["score"], knots["probability"])


def calibration_rows(rows: list[Row]) -> list[Row]:
    """What the table is fitted to: dev and the webcam fold."""
    return [r for r in rows if r.part in ("dev", "fold")]


def crossed_probability(rows: list[Row], folds: int = 5) -> np.ndarray:
    """Each dev row's probability by a table fitted without its cluster."""
    basis = calibration_rows(rows)
    names = sorted({r.cluster for r in basis})
    fold_of = {name: i % folds for i, name in enumerate(np.random.default_rng(3).permutation(names))}
    tables = [table(fit([r for r in basis if fold_of[r.cluster] != i])) for i in range(folds)]
    return np.array([probability(tables[fold_of[r.cluster]], np.array([r.score]))[0] for r in rows if r.part == "dev"])


def alert_point(rows: list[Row]) -> float:
    """The higher of the scores at 1 % false positives on the webcam goods of dev and on those of the fold."""
    goods = [r for r in rows if not r.failing]
    sets = (
        [r.score for r in goods if r.part == "dev" and r.view == "webcam"],
        [r.score for r in goods if r.part == "fold"],
    )
    point = max(measure.threshold_at(np.array(scores), FALSE_POSITIVES) for scores in sets)
    return min(0.95, float(np.ceil(point * 100) / 100))
