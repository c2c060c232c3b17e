"""Rules tried on history before they are in force: ``fraud rules check``, ``fraud rules backtest``."""
