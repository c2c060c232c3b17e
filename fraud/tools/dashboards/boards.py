"""The three dashboards: operations, model (in a module of its own), experiment."""

from typing import Final

from fraud.tools.dashboards.model import MODEL
from fraud.tools.dashboards.panels import Dashboard, Panel, quantiles, rate, share

OPERATIONS: Final = Dashboard(
    "fraud-operations",
    "Fraud / Operations",
    (
        (
            "Now",
            (
                Panel(
                    "Decisions a second",
                    "ops",
                    ((rate("fraud_stream_transactions_total"), ""),),
                    is_stat=True,
                ),
                Panel(
                    "Records waiting in Kafka",
                    "short",
                    (("sum(fraud_stream_lag_records)", ""),),
                    is_stat=True,
                ),
                Panel(
                    "Append to decision, p99",
                    "s",
                    quantiles("fraud_stream_latency_seconds", levels=(0.99,)),
                    is_stat=True,
                ),
                Panel(
                    "Decided without the model",
                    "percentunit",
                    (
                        (
                            share("fraud_stream_fallbacks_total", "fraud_stream_transactions_total"),
                            "",
                        ),
                    ),
                    is_stat=True,
                ),
            ),
        ),
        (
            "Stream",
            (
                Panel(
                    "Records a second",
                    "ops",
                    (
                        (rate("fraud_stream_transactions_total"), "transactions"),
                        (rate("fraud_stream_labels_total"), "labels"),
                        (rate("fraud_stream_results_total"), "results"),
                        (rate("fraud_stream_profiles_total"), "profiles"),
                        (rate("fraud_stream_scored_total"), "of the scoring service"),
                    ),
                ),
                Panel(
                    "Append to decision",
                    "s",
                    quantiles("fraud_stream_latency_seconds", levels=(0.5, 0.9, 0.99)),
                    "From the broker's append of a transaction to its published decision.",
                ),
                Panel(
                    "Event to decision",
                    "s",
                    quantiles("fraud_stream_event_latency_seconds"),
                    "From the transaction's own time; high while history is replayed.",
                ),
            ),
        ),
        (
            "Inside a micro-batch",
            (
                Panel("Micro-batch", "s", quantiles("fraud_stream_batch_seconds")),
                Panel(
                    "Stages of a task, p99", "s", quantiles("fraud_stream_stage_seconds", "stage", (0.99,))
                ),
                Panel(
                    "Feature store of the stream, p99",
                    "s",
                    quantiles("fraud_stream_store_seconds", "operation", (0.99,)),
                ),
                Panel(
                    "Batches archived a second", "ops", ((rate("fraud_stream_archived_batches_total"), ""),)
                ),
            ),
        ),
        (
            "What is refused, and what comes out",
            (
                Panel(
                    "Dead letters a second",
                    "ops",
                    ((rate("fraud_stream_dead_letters_total", "reason"), "{{reason}}"),),
                ),
                Panel(
                    "Decisions", "ops", ((rate("fraud_stream_decisions_total", "outcome"), "{{outcome}}"),)
                ),
                Panel("Alerts a second", "ops", ((rate("fraud_stream_alerts_total"), ""),)),
            ),
        ),
        (
            "Scoring service",
            (
                Panel(
                    "Requests a second",
                    "ops",
                    ((rate('fraud_scoring_requests_total{path="/v1/score"}', "status"), "{{status}}"),),
                ),
                Panel("Time of an answer", "s", quantiles("fraud_scoring_request_seconds", "path", (0.99,))),
                Panel(
                    "Feature store of the scoring service, p99",
                    "s",
                    quantiles("fraud_scoring_store_seconds", "operation", (0.99,)),
                ),
                Panel("Waiting for Kafka", "short", (("max(fraud_scoring_outbox_records)", ""),)),
            ),
        ),
    ),
)

EXPERIMENT: Final = Dashboard(
    "fraud-experiment",
    "Fraud / Experiment",
    (
        (
            "State",
            (
                Panel("Stopped", "bool_yes_no", (("max(fraud_experiment_is_stopped)", ""),), is_stat=True),
                Panel(
                    "Users fall into arms as designed, p",
                    "none",
                    (("min(fraud_experiment_sample_ratio_p_value)", ""),),
                    is_stat=True,
                ),
                Panel(
                    "Users by arm",
                    "short",
                    (("max by (arm) (fraud_experiment_users)", "{{arm}}"),),
                    is_stat=True,
                ),
            ),
        ),
        (
            "Result",
            (
                Panel(
                    "Treatment minus control",
                    "none",
                    (
                        ("max by (metric) (fraud_experiment_difference)", "{{metric}}"),
                        ("max by (metric) (fraud_experiment_difference_lower)", "{{metric}}, lower bound"),
                        ("max by (metric) (fraud_experiment_difference_upper)", "{{metric}}, upper bound"),
                    ),
                    "Per transaction; the bounds hold at every look.",
                ),
                Panel(
                    "p-value, always valid",
                    "none",
                    (("min by (metric) (fraud_experiment_p_value)", "{{metric}}"),),
                ),
                Panel(
                    "Transactions a second, by arm",
                    "ops",
                    ((rate("fraud_stream_arms_total", "arm"), "{{arm}}"),),
                ),
            ),
        ),
    ),
)

BOARDS: Final = (OPERATIONS, MODEL, EXPERIMENT)
