"""The dashboard of the model: what is served, how good it is, how far its inputs have moved."""

from typing import Final

from fraud.tools.dashboards.panels import Dashboard, Panel, quantiles, rate, share

_ALL: Final = '{version="all"}'
_FRAUDS: Final = f"fraud_performance_frauds{_ALL}"
_PR_AUC: Final = '{metric="pr_auc", version!="all"}'

MODEL: Final = Dashboard(
    "fraud-model",
    "Fraud / Model",
    (
        (
            "What is served",
            (
                Panel(
                    "Versions",
                    "short",
                    (
                        (
                            "max by (model, version, features_version) (fraud_predictor_model_info)",
                            "{{model}}: version {{version}}",
                        ),
                    ),
                    is_stat=True,
                ),
                Panel(
                    "Age of the model",
                    "s",
                    (
                        (
                            "time() - max by (model) (fraud_predictor_model_created_timestamp_seconds)",
                            "{{model}}",
                        ),
                    ),
                    is_stat=True,
                ),
            ),
        ),
        (
            "Scores",
            (
                Panel(
                    "Scores of the stream, by tenth",
                    "percentunit",
                    (
                        (
                            share("fraud_stream_scores_total", "fraud_stream_scores_total", "bin"),
                            "from {{bin}}",
                        ),
                    ),
                ),
                Panel(
                    "Share that is not approved",
                    "percentunit",
                    (
                        (
                            share("fraud_stream_alerts_total", "fraud_stream_transactions_total"),
                            "",
                        ),
                    ),
                ),
                Panel(
                    "Scores of the scoring service, by tenth",
                    "ops",
                    ((rate("fraud_scoring_scores_total", "bin"), "from {{bin}}"),),
                ),
            ),
        ),
        (
            "Performance",
            (
                Panel(
                    "By matured labels, by window",
                    "percentunit",
                    (
                        (
                            'max by (metric, window) (fraud_performance_ratio{version="all"})',
                            "{{metric}}, {{window}}",
                        ),
                    ),
                    "A transaction is judged by the label that it had so many days later.",
                ),
                Panel(
                    "Estimated, before labels arrive",
                    "percentunit",
                    (
                        (
                            'max by (metric) (fraud_performance_estimated_ratio{version="all"})',
                            "{{metric}}",
                        ),
                        (
                            'max(fraud_performance_estimated_lower_ratio{version="all", metric="pr_auc"})',
                            "pr_auc, lower bound",
                        ),
                        (
                            'max(fraud_performance_estimated_upper_ratio{version="all", metric="pr_auc"})',
                            "pr_auc, upper bound",
                        ),
                    ),
                    "What the scores of the newest period add up to, each taken as a probability.",
                ),
                Panel(
                    "PR-AUC by matured labels, by version",
                    "percentunit",
                    (
                        (
                            f"max by (version, window) (fraud_performance_ratio{_PR_AUC})",
                            "version {{version}}, {{window}}",
                        ),
                    ),
                ),
                Panel(
                    "Money in fraud",
                    "short",
                    (
                        (
                            'max by (window) (fraud_performance_caught_amount{version="all"})',
                            "caught, {{window}}",
                        ),
                        (
                            'max by (window) (fraud_performance_lost_amount{version="all"})',
                            "lost, {{window}}",
                        ),
                    ),
                ),
            ),
        ),
        (
            "Trust in the figures",
            (
                Panel(
                    "Figures that have fallen", "short", (("max(fraud_performance_falls)", ""),), is_stat=True
                ),
                Panel(
                    "Frauds, by what the scores had added up to",
                    "percentunit",
                    (
                        (
                            f"max by (window) ({_FRAUDS} / fraud_performance_expected_frauds)",
                            "{{window}}",
                        ),
                    ),
                    "Far from 100 %, the estimate is off as well.",
                    is_stat=True,
                ),
                Panel(
                    "Matured transactions measured",
                    "short",
                    (('max by (window) (fraud_performance_transactions{version="all"})', "{{window}}"),),
                    is_stat=True,
                ),
                Panel(
                    "Performance: last run",
                    "s",
                    (("time() - max(fraud_performance_last_run_timestamp_seconds)", ""),),
                    is_stat=True,
                ),
            ),
        ),
        (
            "Drift against the training",
            (
                Panel(
                    "PSI of the last whole day: the ten furthest columns",
                    "none",
                    (("topk(10, max by (feature) (fraud_drift_psi_ratio))", "{{feature}}"),),
                    "0.1 is called moderate, 0.25 great.",
                ),
                Panel(
                    "PSI of the scores",
                    "none",
                    (('max(fraud_drift_psi_ratio{feature="score"})', "score"),),
                ),
                Panel(
                    "Missing values: the five columns with most",
                    "percentunit",
                    (("topk(5, max by (feature) (fraud_drift_missing_ratio))", "{{feature}}"),),
                ),
            ),
        ),
        (
            "Drift: state",
            (
                Panel(
                    "Columns that have drifted for days",
                    "short",
                    (("max(fraud_drift_alarms)", ""),),
                    is_stat=True,
                ),
                Panel(
                    "Transactions of the last whole day",
                    "short",
                    (("max(fraud_drift_day_transactions)", ""),),
                    is_stat=True,
                ),
                Panel(
                    "Drift: last run",
                    "s",
                    (("time() - max(fraud_drift_last_run_timestamp_seconds)", ""),),
                    is_stat=True,
                ),
            ),
        ),
        (
            "Model server",
            (
                Panel("Time of a request", "s", quantiles("fraud_predictor_request_seconds")),
                Panel(
                    "Rows a second",
                    "ops",
                    (
                        (rate("fraud_predictor_rows_total"), "scored"),
                        (rate("fraud_predictor_reason_rows_total"), "explained"),
                    ),
                ),
                Panel(
                    "Time of a score in the scoring service", "s", quantiles("fraud_scoring_model_seconds")
                ),
                Panel(
                    "Errors a second",
                    "ops",
                    (
                        (rate("fraud_scoring_model_errors_total"), "scoring service"),
                        (rate("fraud_predictor_registry_errors_total"), "model registry"),
                        (rate("fraud_predictor_refused_models_total"), "versions refused"),
                    ),
                ),
            ),
        ),
        (
            "Features",
            (
                Panel(
                    "Feature age, p50",
                    "s",
                    quantiles("fraud_stream_feature_age_seconds", "entity", (0.5,)),
                    "How long ago the entity's newest known event was, when a transaction was served.",
                ),
                Panel(
                    "Parity: greatest difference",
                    "none",
                    (("max(fraud_parity_greatest_difference)", ""),),
                    "Of served and recomputed vectors; anything but 0 is an alarm.",
                    is_stat=True,
                ),
                Panel(
                    "Parity: transactions compared",
                    "short",
                    (("max(fraud_parity_compared_transactions)", ""),),
                    is_stat=True,
                ),
                Panel(
                    "Parity: last run",
                    "s",
                    (("time() - max(fraud_parity_last_run_timestamp_seconds)", ""),),
                    is_stat=True,
                ),
            ),
        ),
    ),
)
