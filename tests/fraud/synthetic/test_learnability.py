"""What the data is for: history tells fraud where no single column does, yet not all of it."""

import lightgbm as lgb
import numpy as np
import pyarrow.compute as pc
from sklearn.metrics import average_precision_score

from fraud.features.batch import compute_features
from fraud.synthetic.baselines import TRAIN_SHARE, single_column_pr_auc


def test_history_tells_fraud_far_better_than_any_column_but_not_all_of_it(data_set):
    vectors = compute_features(data_set.transactions, data_set.labels).vectors
    order = pc.index_in(data_set.transactions["transaction_id"], value_set=data_set.labels["transaction_id"])
    is_fraud = data_set.labels["is_fraud"].take(order).to_numpy()
    cut = int(TRAIN_SHARE * len(is_fraud))
    options = {"objective": "binary", "learning_rate": 0.08, "min_child_samples": 40, "seed": 1}
    options |= {"feature_fraction": 0.6, "num_threads": 2, "verbose": -1, "deterministic": True}
    booster = lgb.train(options, lgb.Dataset(vectors[:cut], is_fraud[:cut].astype(float)), 150)
    score = average_precision_score(is_fraud[cut:], np.asarray(booster.predict(vectors[cut:])))
    best_column = max(single_column_pr_auc(data_set).values())
    assert 0.6 < score < 0.95, score
    assert score > 3 * best_column
