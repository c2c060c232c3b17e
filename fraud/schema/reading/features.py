"""The part `features` of a schema's file: each line is parted into the features that it asks for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

from fraud.errors import BadConfig
from fraud.money import Money
from fraud.schema.entities import Entity
from fraud.schema.features import Feature
from fraud.schema.fields import NAMED, NUMERIC, Field, FieldType
from fraud.schema.filters import Filter
from fraud.schema.operations import COMBINED, FILTERED, MEASURED, OF_PROFILES, PROFILE_TYPES, VALUED, Op
from fraud.schema.profiles import PROFILED
from fraud.schema.reading.document import EntityPart, FeaturePart
from fraud.schema.reading.keys import check_sides
from fraud.schema.reading.wrong import BadPart, Where, known_name, of_type
from fraud.schema.statistics import STATISTICS
from fraud.schema.windows import window_us


@dataclass(frozen=True, slots=True)
class Use:
    """One feature as the file asks for it: names only."""

    where: Where
    part: FeaturePart
    statistic: str
    field: Field | None
    window: str
    side: str = ""
    equals: str = ""
    profile: Field | None = None

    @property
    def entity(self) -> str | None:
        """Name of the entity whose history it looks at."""
        return self.part.entity

    @property
    def op(self) -> Op:
        """The kernel's operation."""
        return STATISTICS[self.statistic].op

    @property
    def windows(self) -> list[str]:
        """Those that it reads."""
        return [name for name in (self.window, self.part.base or "") if name]

    @property
    def is_measured(self) -> bool:
        """Whether its number and filter are summed apart from the amounts of all events."""
        is_own = bool(self.part.value or self.part.where)
        if self.op in {Op.MIN, Op.SHARE}:
            return True
        return is_own and (self.op in MEASURED or self.op in {Op.VELOCITY, Op.TREND})


def uses_of(
    at: int,
    part: FeaturePart,
    entities: dict[str, EntityPart],
    fields: dict[str, Field],
    filters: Sequence[Filter],
) -> list[Use]:
    """Part a line of the file: one feature for each statistic, field, window, side and word that it names."""
    where = ("features", at)
    for statistic in part.statistic:
        known_name(statistic, STATISTICS, (*where, "statistic"), "statistic")
        _check_words(statistic, part, where)
    if part.entity is not None:
        known_name(part.entity, entities, (*where, "entity"), "entity")
    for key, name in [*(("window", name) for name in part.window or ()), ("base", part.base)]:
        if name is None:
            continue
        try:
            window_us(name)
        except BadConfig as error:  # the document has checked the name's form
            words = f"{name} is longer than 90d, the longest window that is kept; write 90d or less"
            raise BadPart((*where, key), words) from error
    if part.where is not None:
        known_name(part.where, [one.name for one in filters if one.is_declared], (*where, "where"), "filter")
    check_sides(at, part, entities, filters)
    if part.value is not None:
        of_type(part.value, fields, NUMERIC, (*where, "value"))
    is_age = Op.AGE in {STATISTICS[name].op for name in part.statistic}
    types = {FieldType.TIME} if is_age else NAMED
    _check_ripe(part, where)
    counted: list[Field | None] = [
        of_type(name, fields, types, (*where, "field")) for name in part.field or ()
    ]
    return [
        Use(where, part, statistic, field, window, side, word)
        for statistic, field, window, side, word in product(
            part.statistic, counted or [None], part.window or [""], part.side or [""], part.equals or [""]
        )
    ]


def with_profiles(use: Use, profiles: dict[str, dict[str, Field]], fields: dict[str, Field]) -> Iterable[Use]:
    """Part what looks at several fields of the entity's profile."""
    if use.part.profile is None:
        return [use]
    own = profiles.get(use.part.entity or "", {})
    if not own:
        words = f"{use.part.entity} has no profile; write its fields into the part `profiles`"
        raise BadPart((*use.where, "profile"), words)
    if use.op is Op.PROFILE_DISTANCE and not any(f.type is FieldType.PLACE for f in fields.values()):
        words = f"{use.statistic} needs the place of a transaction; write a field of type place"
        raise BadPart(use.where, words)
    where = (*use.where, "profile")
    types = PROFILE_TYPES.get(use.op, PROFILED)
    return [replace(use, profile=of_type(name, own, types, where)) for name in use.part.profile]


_SETTINGS: Final = ("entity", "window", "base", "field", "of", "value", "profile", "equals", "where")
_OF_CLOCKS: Final = (Op.HOUR_OF_DAY, Op.DAY_OF_WEEK, Op.HOUR_DEVIATION)


def feature_of(use: Use, entities: dict[str, Entity], zone: str, money: Money | None) -> Feature:
    """Make the feature that is asked for."""
    part = use.part
    return Feature(
        use.statistic,
        entities[use.entity] if use.entity else None,
        use.window,
        part.base or "",
        use.field.name if use.field and use.op is Op.AGE else use.field.word if use.field else "",
        part.monotone,
        value=part.value or "",
        where=part.where or "",
        percent=part.percent,
        of=tuple(part.of or ()),
        called=part.name or "",
        zone=zone if use.op in _OF_CLOCKS else "",
        currency=money.base if money else "",
        profile=use.profile.name if use.profile else "",
        equals=use.equals,
        side=use.side,
    )


def check_feature_names(uses: Sequence[Use], made: Sequence[Feature]) -> list[str]:
    """Refuse two features of one name, and operands that there are not; returns the names."""
    names: list[str] = []
    for use, feature in zip(uses, made, strict=True):
        if feature.name in names:
            raise BadPart(use.where, f"{feature.name} is declared twice; leave one out")
        names.append(feature.name)
    plain = [feature.name for feature in made if not feature.of]
    for use, feature in zip(uses, made, strict=True):
        for name in feature.of:
            known_name(name, plain, (*use.where, "of"), "feature")
    return names


def _check_ripe(part: FeaturePart, where: Where) -> None:
    """Refuse a stretch of time that ends where it begins: the fold would have nothing to look at."""
    is_ripe = Op.RIPE_FRAUD_SHARE in {STATISTICS[name].op for name in part.statistic}
    for window in (part.window or ()) if is_ripe and part.base else ():
        if window_us(window) <= window_us(part.base or window):
            words = f"{window} reaches no further back than the base, {part.base}; write a longer window"
            raise BadPart((*where, "window"), words)


def settings_of(statistic: str) -> tuple[list[str], list[str]]:
    """List the settings that a line with this statistic needs, and those that it may have besides."""
    op = STATISTICS[statistic].op
    template = STATISTICS[statistic].name + STATISTICS[statistic].text
    needed = {
        "entity": "{entity}" in template,
        "window": "{window}" in template,
        "base": "{base}" in template,
        "field": "{column}" in template,
        "of": op in COMBINED,
        "value": op is Op.NUMBER,
        "profile": op in OF_PROFILES,
        "equals": op is Op.PROFILE_IS,
        "where": op is Op.SHARE,
    }
    allowed = {"value": op in VALUED, "where": op in FILTERED}
    needs = [key for key, is_needed in needed.items() if is_needed]
    return needs, [key for key, is_allowed in allowed.items() if is_allowed and key not in needs]


def _check_words(statistic: str, part: FeaturePart, where: Where) -> None:
    """Refuse what a statistic needs and is not there, or is there and not needed."""
    needs, takes = settings_of(statistic)
    for key in _SETTINGS:
        is_given = getattr(part, key) is not None
        if key in needs and not is_given:
            raise BadPart(where, f"{statistic} needs {key}; write {key}: ...")
        if is_given and key not in (*needs, *takes):
            raise BadPart((*where, key), f"{statistic} takes no {key}; leave it out")
