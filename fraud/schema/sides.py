"""Entities with two sides: money goes out of one account and into another, and both have one history.

A transaction is one event in the history of each account that it names: there its side is ``out`` or ``in``,
or both where an account pays itself. A feature looks at the history of the account on one side.
"""

from typing import Final

OUT: Final = "out"
IN: Final = "in"
SIDES: Final = (OUT, IN)
SIDE: Final = "side"
"""What filters call the side from which an event is seen."""
OWN_KEY: Final = "(own key)"
"""Column of an event, as an entity with two sides sees it, that holds the key of that entity."""
