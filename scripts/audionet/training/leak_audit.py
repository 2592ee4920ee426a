"""The audit of a split: how much better chunks split by chance would have scored than whole recordings held out.

Both ways are tried again and again on the same chunks, in folds of the same sizes, by the same kind of head: whatever
differs is what chunks of the same recording tell of each other.

    groups of recordings  -> folds -> heads trained without the fold -> which chunks are right
    the same folds, dealt anew to the chunks of each label -> the same
"""

from collections.abc import Sequence

import numpy as np

from audionet.console import progress_bar
from audionet.evaluation.intervals import group_weights, interval, labels_of_groups
from audionet.evaluation.leakage import SplitComparison
from audionet.models.bottleneck_cache import Rows
from audionet.models.head import row_blocks
from audionet.training.fitting.calibration import spread
from audionet.training.fitting.closed_forms import LDA_SHRINKAGE
from audionet.training.fitting.head_trainers import mean_and_deviation
from audionet.training.training_data import Samples

DRAWS = 5  # of folds, each of which tests every chunk once
MOST_FOLDS = 5
MOST_CHUNKS = 2_000  # of all; a second or two for a draw
MOST_LABELS = 100


def compare_splits(samples: Samples, tables: Sequence[Rows], *, seed: int = 0) -> SplitComparison | None:
    """Compare splits of chunks by chance with splits of groups, by heads of discriminant analysis.

    Args:
        samples: of the labels, all splits, without augmented views.
        tables: for each member what its head is trained on, of the same samples; the answers of heads are added up,
            each over its spread.
        seed: of what is drawn.

    Returns:
        SplitComparison: None where a label has but one group, so that it cannot be held out.
    """
    rng = np.random.default_rng(seed)
    some = thinned(samples.label_ids, samples.group_ids(), rng, most=MOST_CHUNKS)
    samples = samples.take(some)
    label_ids, groups = (np.unique(ids, return_inverse=True)[1] for ids in (samples.label_ids, samples.group_ids()))
    count = min(MOST_FOLDS, *(len(np.unique(groups[label_ids == label])) for label in np.unique(label_ids)))
    if count < 2:
        return None
    taken = [table.take(some) for table in tables]
    products = [(inner_products(table), table.shape[1]) for table in taken]
    right = np.zeros((2, len(samples)))
    with progress_bar(total=2 * DRAWS, description="Auditing", unit="draws") as bar:
        for _ in range(DRAWS):
            folds = folds_of_groups(label_ids, groups, count, rng)
            if any(len(np.unique(label_ids[folds != fold])) <= label_ids.max() for fold in range(count)):
                return None  # groups of several labels, which leave another one nothing to train on
            for way, dealt in enumerate((folds, _dealt_by_chance(label_ids, folds, rng))):
                right[way] += _right(products, label_ids, dealt)
                bar.update()
    of_groups, by_chance = right / DRAWS
    weights = group_weights(labels_of_groups(label_ids, groups), seed=seed)
    gains, sizes = np.bincount(groups, by_chance - of_groups), np.bincount(groups)
    return SplitComparison(
        by_chance=float(by_chance.mean()),
        by_group=float(of_groups.mean()),
        difference_ci95=interval(weights @ gains / (weights @ sizes)),
        draws=DRAWS,
        recordings=len(np.unique(samples.recording_ids())),
        groups=len(sizes),
    )


def inner_products(bottlenecks: np.ndarray | Rows) -> np.ndarray:
    """Return those of standardised bottlenecks, float32, shape (n, n): all that discriminant analysis needs of them."""
    mean, deviation = mean_and_deviation(bottlenecks, np.ones(len(bottlenecks)))
    rows = np.concatenate([np.asarray(block, np.float32) for _, block in row_blocks(bottlenecks)])
    rows = (rows - mean) / deviation
    return np.asarray(rows @ rows.T, np.float32)


def lda_scores(products: np.ndarray, label_ids: np.ndarray, training: np.ndarray, *, dimension: int) -> np.ndarray:
    """Return the scores of all rows by a head that `train_lda` would train on some: float32, shape (n, labels).

    They differ from its logits by a number for each row.

    Args:
        products: as `inner_products` returns them.
        label_ids: int, shape (n,), from 0; each label is among the training rows.
        training: bool, shape (n,).
        dimension: length of a bottleneck.
    """
    from scipy.linalg import solve  # a tenth of a second, which only training should take

    label_of = label_ids[training]
    means = np.eye(label_ids.max() + 1, dtype=np.float32)[label_of].T
    means /= means.sum(axis=1, keepdims=True)
    # Inner products with the labels' centres, and with what training rows differ by from theirs.
    with_centres = products[:, training] @ means.T
    with_deviations = products[:, training] - with_centres[:, label_of]
    of_centres = means @ with_deviations[training]
    scatter = with_deviations[training] - of_centres[label_of]
    ridge = LDA_SHRINKAGE / (1 - LDA_SHRINKAGE) * max(np.trace(scatter) / dimension, 1e-6)
    scatter[np.diag_indices(len(scatter))] += np.float32(ridge)
    inner = solve(scatter, of_centres.T, assume_a="pos", overwrite_a=True)
    lengths = np.diag(means @ with_centres[training]) - np.einsum("ln,nl->l", of_centres, inner)
    return np.asarray(with_centres - with_deviations @ inner - lengths / 2)


def _right(products: Sequence[tuple[np.ndarray, int]], label_ids: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Return which rows are right by heads that were trained without their fold: bool, shape (n,)."""
    answers = np.empty(len(label_ids), int)
    for fold in np.unique(folds):
        scores = [lda_scores(one, label_ids, folds != fold, dimension=dimension) for one, dimension in products]
        summed = scores[0] if len(scores) == 1 else sum(one / spread(one) for one in scores)
        answers[folds == fold] = np.asarray(summed)[folds == fold].argmax(axis=1)
    return np.asarray(answers == label_ids)


def folds_of_groups(label_ids: np.ndarray, groups: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Deal each label's groups out in turn, whole; return the fold of each row, int, shape (n,)."""
    fold_of: np.ndarray = np.full(groups.max() + 1, -1)
    for label in np.unique(label_ids):
        of_label = rng.permutation(np.unique(groups[label_ids == label]))
        free = of_label[fold_of[of_label] < 0]
        fold_of[free] = (rng.permutation(count)[0] + np.arange(len(free))) % count
    return np.asarray(fold_of[groups])


def _dealt_by_chance(label_ids: np.ndarray, folds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the same folds, exchanged by chance among the rows of each label."""
    dealt = np.array(folds)
    for label in np.unique(label_ids):
        dealt[label_ids == label] = rng.permutation(folds[label_ids == label])
    return dealt


def thinned(label_ids: np.ndarray, groups: np.ndarray, rng: np.random.Generator, *, most: int) -> np.ndarray:
    """Return the rows to compare by, ascending: all, or of more than `most` some of each group, and of each label."""
    labels = np.unique(label_ids)
    if len(labels) > MOST_LABELS:
        labels = np.sort(rng.choice(labels, MOST_LABELS, replace=False))
    kept: list[int] = []
    for label in labels:
        rows = rng.permutation(np.flatnonzero(label_ids == label))
        names = dict.fromkeys(groups[rows])
        of_label = most // len(labels)
        each = max(2, of_label // len(names))
        for name in list(names)[: max(2, of_label // each)]:
            kept += rows[groups[rows] == name][:each].tolist()
    return np.sort(np.array(kept, int))
