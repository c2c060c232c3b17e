"""Runs in Airflow's environment: makes a user, signs in, asks for the DAGs; prints the answers as JSON."""

import json
import logging
import sys
from typing import Any

from airflow.api_fastapi.app import create_app
from airflow.cli.cli_parser import get_parser
from fastapi.testclient import TestClient


def run(command: str) -> None:
    """Run a command of Airflow's own."""
    arguments = get_parser().parse_args(command.split())
    arguments.func(arguments)


def sign_in(client: TestClient, password: str) -> dict[str, Any]:
    """Ask for a token, then for the DAGs with it: the two statuses."""
    answer = client.post("/auth/token", json={"username": "anna", "password": password})
    token = answer.json().get("access_token", "none")
    dags = client.get("/api/v2/dags", headers={"Authorization": f"Bearer {token}"})
    return {"token": answer.status_code, "dags": dags.status_code}


def main() -> None:
    """Print it."""
    logging.disable()
    run("db migrate")
    run("users create -u anna -p right -r Admin -f Anna -l A -e anna@example.org")
    with TestClient(create_app()) as client:
        found = {password: sign_in(client, password) for password in ("right", "wrong")}
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
