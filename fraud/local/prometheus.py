"""Writes ``prometheus.yml`` into the home folder, by which a Prometheus of this machine scrapes the platform.

``prometheus --config.file=.fraud/prometheus.yml`` follows the parts to other ports: they are in a file of
their own, which Prometheus reads again when it changes.
"""

import json
from pathlib import Path
from typing import Final

import yaml

from fraud.local.parts import PARTS, Place

CONFIG: Final = "prometheus.yml"
TARGETS: Final = "prometheus-targets.json"
RULES: Final = Path(__file__).parents[2] / "charts" / "monitoring" / "rules" / "fraud.yaml"
"""There in a checkout; an installed package goes without alerts."""
_INTERVAL: Final = "5s"


def write_config(place: Place) -> Path:
    """Write what Prometheus reads, for the ports as they are now; returns the file."""
    home = place.settings.home_path
    targets = [
        {"targets": [place.address(part.metrics_port)], "labels": {"app": part.name}}
        for part in PARTS
        if part.metrics_port in place.ports
    ]
    partial = home / f"{TARGETS}.partial"
    partial.write_text(json.dumps(targets, indent=1) + "\n", encoding="utf-8")
    partial.replace(home / TARGETS)
    config = {
        "global": {"scrape_interval": _INTERVAL, "evaluation_interval": _INTERVAL},
        "rule_files": [str(RULES)] if RULES.exists() else [],
        "scrape_configs": [{"job_name": "fraud", "file_sd_configs": [{"files": [TARGETS]}]}],
    }
    file = home / CONFIG
    file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return file
