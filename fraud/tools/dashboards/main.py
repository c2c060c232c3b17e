"""Entry of the dashboards: ``python -m fraud.tools.dashboards.main``."""

from fraud.tools.dashboards.run import run


def main() -> None:
    """Write them into charts/monitoring."""
    run()


if __name__ == "__main__":
    main()
