"""From what AWS Fraud Detector exports to a schema and rules, and a report of what has no counterpart."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fraud.errors import BadInput
from fraud.schema.expressions import column_text, constant_text
from fraud.schema.fields import RESERVED
from jobs.schema.detectorpl import Untranslatable, translate
from jobs.schema.export import Json
from jobs.schema.imported import Imported, ImportNote, own_name, plain

_KEYS: Final = {
    "IP_ADDRESS": "ip",
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "FINGERPRINT": "device",
    "CARD_BIN": "card_bin",
}
"""Variable types that name something with a history, and the entity's name."""
_PERSONAL: Final = frozenset({"IP_ADDRESS", "EMAIL_ADDRESS", "PHONE_NUMBER", "FINGERPRINT"})
_OTHER_KEYS: Final = frozenset({"SESSION_ID", "ORDER_ID", "USERAGENT"})
_TEXTS: Final = frozenset({"FREE_FORM_TEXT", "BILLING_NAME", "SHIPPING_NAME"})
_FRAUD: Final = frozenset({"fraud", "fraudulent", "chargeback", "bad", "1"})
_HONEST: Final = frozenset({"legit", "legitimate", "genuine", "good", "honest", "0"})
_OUTCOMES: Final = {
    **dict.fromkeys(("block", "decline", "deny", "reject", "fraud", "stop"), "decline"),
    **dict.fromkeys(("review", "investigate", "verify", "challenge", "manual_review"), "review"),
    **dict.fromkeys(("approve", "allow", "accept", "legit", "pass"), "approve"),
}
_MOST_ENTITIES: Final = 8


def convert(
    export: Json,
    event_type: str = "",
    *,
    labels: Mapping[str, str] | None = None,
    outcomes: Mapping[str, str] | None = None,
) -> Imported:
    """Make a schema and rules of an export.

    Parameters
    ----------
    export
        From ``jobs.schema.export.read_export``.
    event_type
        Which one; empty: the only one.
    labels
        Label: ``fraud``, ``honest`` or ``unknown``, where the name does not say it.
    outcomes
        Outcome: ``decline``, ``review`` or ``approve``, where the name does not say it.

    Raises
    ------
    BadInput
        When the event type is not there, or a label's meaning is not known; names the flag.
    """
    event = _event(export, event_type)
    made = Imported({}, None)
    entity = _entity(event, made)
    names = _fields(event, export, entity, made)
    made.schema = _schema(event, entity, names, _label_map(event, export, labels or {}, made))
    made.rules = _rules(export, names, outcomes or {}, made)
    return made


def _event(export: Json, name: str) -> Json:
    events = export["eventTypes"]
    if not name and len(events) == 1:
        return dict(next(iter(events.values())))
    if name not in events:
        raise BadInput(
            f"--event-type {name or 'NAME'}: the export has {', '.join(events) or 'no event type'}"
        )
    return dict(events[name])


def _entity(event: Json, made: Imported) -> str:
    types = [plain(name) for name in event.get("entityTypes") or ["customer"]]
    made.notes.append(
        ImportNote("entity type", types[0], f"entity {types[0]}", "primary; ENTITY_ID is its key")
    )
    made.notes += [
        ImportNote("entity type", name, "", "an event names one entity there; declare a field for its key")
        for name in types[1:]
    ]
    return types[0]


@dataclass(frozen=True, slots=True)
class _Field:
    """A variable as ours."""

    our: str
    their: str
    part: Json
    entity: str = ""


def _fields(event: Json, export: Json, entity: str, made: Imported) -> dict[str, _Field]:
    found: dict[str, _Field] = {}
    core = {"PRICE": "amount", "CURRENCY_CODE": "currency"}
    for name in event.get("eventVariables") or []:
        variable = export["variables"].get(name, {})
        kind, data = variable.get("variableType", ""), variable.get("dataType", "STRING")
        if kind in core and core[kind] not in {one.our for one in found.values()}:
            found[name] = _Field(core[kind], name, {})
            made.notes.append(ImportNote("variable", name, core[kind], "of every transaction"))
            continue
        our = own_name(name, {f"{entity}_id", *(one.our for one in found.values())}, RESERVED)
        found[name] = _Field(our, name, _part(kind, data), _KEYS.get(kind, ""))
        made.notes.append(
            ImportNote("variable", name, f"{our}: {found[name].part['type']}", _variable_words(variable))
        )
    if "amount" not in {one.our for one in found.values()}:
        made.notes.append(
            ImportNote(
                "variable", "of type PRICE", "", "none: put what stands for the amount into source.amount"
            )
        )
    return found


def _part(kind: str, data: str) -> Json:
    part: Json = {"type": "category"}
    if kind in _KEYS or kind in _OTHER_KEYS:
        part = {"type": "key"}
    elif kind in _TEXTS or kind.endswith(("_ADDRESS_L1", "_ADDRESS_L2")):
        part = {"type": "text", "longest": 512}
    elif data == "BOOLEAN":
        part = {"type": "flag"}
    elif data == "DATETIME":
        part = {"type": "time"}
    elif data in {"INTEGER", "FLOAT"} and not kind.endswith(("_ZIP", "_BIN")):
        part = {"type": "number", **({"scale": 2} if data == "FLOAT" else {})}
    is_personal = kind in _PERSONAL or kind.startswith(("BILLING_", "SHIPPING_"))
    return {**part, **({"personal": True} if is_personal else {})}


def _variable_words(variable: Json) -> str:
    if not variable:
        return "not among the variables of the export: taken as a category"
    default = variable.get("defaultValue")
    usual = {"", "0", "0.0", "unknown", "null", "None", "false"}
    return (
        f"the default {default} is not filled in: missing stays missing"
        if str(default or "") not in usual
        else ""
    )


def _label_map(event: Json, export: Json, said: Mapping[str, str], made: Imported) -> dict[str, bool | None]:
    mapper = {name: key == "FRAUD" for key, names in export["labelMapper"].items() for name in names}
    truth = {"fraud": True, "honest": False, "unknown": None}
    found: dict[str, bool | None] = {}
    for name in event.get("labels") or []:
        if name in said:
            found[name] = truth[said[name]]
        elif name in mapper:
            found[name] = mapper[name]
        elif name.lower() in _FRAUD | _HONEST:
            found[name] = name.lower() in _FRAUD
        else:
            raise BadInput(
                f"label {name}: its meaning is unclear; give --label {name}=fraud, honest or unknown"
            )
        made.notes.append(
            ImportNote("label", name, {True: "fraud", False: "honest", None: "not known"}[found[name]])
        )
    return found


def _schema(event: Json, entity: str, names: Mapping[str, _Field], labels: Mapping[str, bool | None]) -> Json:
    key = f"{entity}_id"
    fields = {key: {"type": "key", "required": True, "personal": True}}
    fields |= {one.our: one.part for one in names.values() if one.part}
    keyed = {one.entity: one.our for one in names.values() if one.entity and one.entity != entity}
    keyed = dict(list(keyed.items())[: _MOST_ENTITIES - 1])
    source: Json = {
        "transaction_id": "EVENT_ID",
        "event_time": "time(EVENT_TIMESTAMP)",
        key: "ENTITY_ID",
        **{one.our: _expression(one) for one in names.values()},
    }
    if labels:
        cases = ", ".join(f"{constant_text(name)} = {constant_text(value)}" for name, value in labels.items())
        source |= {"is_fraud": f"map(EVENT_LABEL, {cases})", "label_time": "time(LABEL_TIMESTAMP)"}
    return {
        "format": 1,
        "name": event["name"][:64],
        "fields": fields,
        "entities": {
            entity: {"key": key, "primary": True},
            **{name: {"key": our} for name, our in keyed.items()},
        },
        "features": list(_features(entity, names, keyed)),
        "new": f"count_30d_by_{entity}",
        "source": {"columns": source},
    }


def _expression(one: _Field) -> str:
    text = column_text(one.their)
    kind = "number" if one.our == "amount" else one.part.get("type", "")
    return {"number": f"number({text})", "time": f"time({text})"}.get(kind, text)


def _features(entity: str, names: Mapping[str, _Field], keyed: Mapping[str, str]) -> Iterator[Any]:
    of_type = {
        kind: [one.our for one in names.values() if one.part.get("type") == kind]
        for kind in ("category", "number", "flag", "time")
    }
    yield from ("amount", "hour", "weekday")
    if of_type["category"]:
        yield {"statistic": "bucket", "field": of_type["category"]}
    for name in (*of_type["number"], *of_type["flag"]):
        yield {"statistic": "number", "value": name}
    if of_type["time"]:
        yield {"statistic": "age", "field": of_type["time"]}
    yield {
        "statistic": ["count", "sum", "mean", "max"],
        "entity": entity,
        "window": ["1h", "24h", "7d", "30d"],
    }
    yield {"statistic": "zscore", "entity": entity, "window": "30d"}
    yield {"statistic": ["since_last", "since_fraud"], "entity": entity}
    counted = [*keyed.values(), *of_type["category"][:3]]
    if counted:
        yield {"statistic": "distinct", "entity": entity, "field": counted, "window": ["24h", "7d"]}
        yield {"statistic": "is_first", "entity": entity, "field": counted}
    for name in keyed:
        yield {"statistic": "count", "entity": name, "window": ["1h", "24h", "7d"]}
        yield {"statistic": "distinct", "entity": name, "field": f"{entity}_id", "window": "24h"}
        yield {"statistic": "fraud_share", "entity": name, "window": "30d"}


def _rules(export: Json, names: Mapping[str, _Field], said: Mapping[str, str], made: Imported) -> Json | None:
    lists = {
        plain(name): [str(one) for one in found.get("elements") or []]
        for name, found in export["lists"].items()
    }
    made.notes += [
        ImportNote("list", name, f"list {plain(name)}", f"{len(lists[plain(name)])} values")
        for name in export["lists"]
    ]
    for name in export["outcomes"]:
        outcome = {**_OUTCOMES, **said}.get(name) or _OUTCOMES.get(name.lower(), "")
        made.notes.append(
            ImportNote(
                "outcome", name, outcome, "" if outcome else f"--outcome {name}=decline, review or approve"
            )
        )
    rules = [
        rule for found in export["ruleDetails"].values() if (rule := _rule(found, names, lists, said, made))
    ]
    if not rules and not lists:
        return None
    return {"version": "imported", **({"lists": lists} if lists else {}), "rules": rules}


def _rule(
    found: Json,
    names: Mapping[str, _Field],
    lists: Mapping[str, list[str]],
    said: Mapping[str, str],
    made: Imported,
) -> Json | None:
    name, expression = found["ruleId"], found.get("expression", "")
    known = {**_OUTCOMES, **said}
    outcomes = [known.get(one) or known.get(one.lower(), "") for one in found.get("outcomes") or []]
    if len(outcomes) != 1 or not outcomes[0]:
        theirs = ", ".join(found.get("outcomes") or ["none"])
        words = f"outcomes {theirs}: say --outcome NAME=decline, review or approve"
        made.notes.append(ImportNote("rule", name, "", words))
        return None
    try:
        when = translate(expression, {their: one.our for their, one in names.items()}, lists)
    except Untranslatable as error:
        made.notes.append(ImportNote("rule", name, "", f"{error}: {expression}"))
        return None
    made.notes.append(ImportNote("rule", name, f"rule {plain(name)}", f"{outcomes[0]} when {when}"))
    reason = (found.get("description") or f"rule {name}")[:300]
    return {"name": plain(name), "when": when, "then": outcomes[0], "reason": reason}
