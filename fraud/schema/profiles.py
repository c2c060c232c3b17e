"""Profiles: facts about an entity that change seldom, which a schema declares by entity.

A home, a limit, since when somebody is a customer: told from time to time, on a topic of their own
(``fraud.contracts.profile``), and folded into the entity's state.
"""

from typing import Final

from fraud.schema.fields import Field, FieldType

PROFILED: Final = frozenset(
    {
        FieldType.KEY,
        FieldType.CATEGORY,
        FieldType.NUMBER,
        FieldType.FLAG,
        FieldType.TIME,
        FieldType.PLACE,
        FieldType.ZONE,
    }
)
"""Types of a profile's fields."""
ENTITY: Final = "entity"
TIME: Final = "profile_time"
PROFILE: Final = "profile"
COLUMNS: Final = (ENTITY, TIME, PROFILE)
"""What the tables hold of a profile, beside keys and source: the entity, the time, the values as JSON."""
Profiles = tuple[tuple[str, tuple[Field, ...]], ...]
"""By entity, the fields of its profile."""


def bare(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    """Take of fields what a state depends on: the words for people may change.

    Examples
    --------
    >>> bare((Field("limit", FieldType.NUMBER, description="Of the card.", scale=2),))[0].description
    ''
    """
    return tuple(Field(one.name, one.type, scale=one.scale, columns=one.columns) for one in fields)
