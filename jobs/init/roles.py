"""The roles that every table has in one form or another: id, time, amount, card, label."""

import numpy as np

from fraud.schema.expressions import column_text, constant_text
from fraud.schema.fields import FieldType
from fraud.tables.values import FALSE, TRUE, Form, has_two_readings, is_text
from jobs.init import names
from jobs.init.guess import Guess, flag, number_text, options
from jobs.init.sample import TableColumn
from jobs.init.unread import ask_amount, unreadable

_TRUE = {*TRUE, "fraudulent", "chargeback", "bad", "1.0"}
_FALSE = {*FALSE, "legit", "legitimate", "genuine", "normal", "good", "non-fraud", "not fraud", "nonfraud"}
_MOST_MEANINGS = 12


def find_label(guess: Guess) -> None:
    """Find which column says fraud or honest, and what its values mean."""
    if guess.is_said("is_fraud"):
        return
    ranked = [one for one in guess.ranked(names.LABEL) if 1 <= one.distinct <= _MOST_MEANINGS]
    best = guess.best(names.LABEL, ranked)
    if len(best) > 1:
        guess.ask("is_fraud", "several columns may be the label", list(options("is_fraud", best)), best)
    elif not best:
        few = [one for one in guess.free.values() if one.distinct == 2]
        dated = [one for one in guess.ranked(names.LABEL_TIME) if is_text(one.values.type) and one.missing]
        by_date = [
            (
                flag("is_fraud", f"when(coalesce({column_text(one.name)}, '') == '', false, true)"),
                f"fraud where {one.name} is there, {1 - one.missing:.2%}",
            )
            for one in dated
        ]
        nothing = (flag("is_fraud", "null"), "none: labels lie in another table, or there are none yet")
        guess.ask(
            "is_fraud",
            "no column is called fraud, label or class",
            [*by_date, *options("is_fraud", few[:6]), nothing],
        )
    else:
        _read_label(guess, best[0])


def _read_label(guess: Guess, seen: TableColumn) -> None:
    said = guess.reading.labels
    truth = {"fraud": True, "honest": False, "unknown": None}
    meanings: dict[str, bool | None] = {}
    strange = []
    for word in seen.words:
        if word in said:
            meanings[word] = truth[said[word]]
        elif word.lower() in _TRUE | _FALSE:
            meanings[word] = word.lower() in _TRUE
        else:
            strange.append(word)
    if strange:
        guess.ask("is_fraud", *_what_means(seen, strange, meanings), [seen])
        return
    text = _map_text(seen, meanings)
    share = _share_of(seen, meanings)
    if share > 0.5:
        other = {word: None if value is None else not value for word, value in meanings.items()}
        choices = [
            (flag("is_fraud", text), f"{share:.0%} are fraud"),
            (flag("is_fraud", _map_text(seen, other)), "the contrary"),
        ]
        guess.ask("is_fraud", f"{share:.0%} of {seen.name} would be fraud", choices, [seen])
        return
    empty = f"; {seen.missing:.1%} are empty: not known yet" if seen.missing else ""
    guess.take("is_fraud", text, f"{share:.2%} fraud of {', '.join(seen.words)}{empty}")


def _what_means(
    seen: TableColumn, strange: list[str], meanings: dict[str, bool | None]
) -> tuple[str, list[tuple[str, str]]]:
    words = f"{seen.name} holds {', '.join(seen.words)}: what does {' and '.join(strange)} mean?"
    if len(strange) == 1 and meanings:
        return words, [
            (flag("is_fraud", _map_text(seen, {**meanings, strange[0]: value})), f"{strange[0]} is {meaning}")
            for meaning, value in (("not known", None), ("fraud", True), ("honest", False))
        ]
    rare = seen.words[-1]
    example = dict.fromkeys(seen.words, False) | {rare: True} | meanings
    return words, [(flag("is_fraud", _map_text(seen, example)), "write what each means: true, false or null")]


def _map_text(seen: TableColumn, meanings: dict[str, bool | None]) -> str:
    own: dict[str, object] = {word.lower(): word.lower() in TRUE for word in (*TRUE, *FALSE)}
    if all(own.get(word.lower(), "") == value for word, value in meanings.items()):
        return column_text(seen.name)
    cases = ", ".join(f"{constant_text(word)} = {constant_text(value)}" for word, value in meanings.items())
    return f"map({column_text(seen.name)}, {cases})"


def _share_of(seen: TableColumn, meanings: dict[str, bool | None]) -> float:
    frauds = sum(count for word, count in seen.counts.items() if meanings.get(word))
    return float(frauds / max(1, len(seen.values)))


def find_amount(guess: Guess) -> None:
    """Find the amount, how it is written, and what to do with those that are not above zero."""
    if guess.is_said("amount"):
        return
    ranked = [one for one in guess.ranked(names.AMOUNT) if one.number_forms]
    best = guess.best(names.AMOUNT, ranked)
    unread = unreadable(guess, names.AMOUNT) if not best else []
    if unread:
        ask_amount(guess, unread[0])
        return
    if not best:
        numeric = [one for one in guess.free.values() if one.number_forms and one.distinct > 2]
        guess.ask("amount", "no column of numbers is called amount", list(options("amount", numeric[:8])))
        return
    if len(best) > 1:
        guess.ask("amount", "several columns may be the amount", list(options("amount", best)), best)
        return
    seen = best[0]
    form = _decimal_of(guess, seen)
    if form is None:
        point = Form.PLAIN if Form.PLAIN in seen.number_forms else Form.POINT
        ways = [
            (flag("amount", number_text(seen, one)), f"such as {seen.words[0]}: {words}")
            for one, words in ((Form.COMMA, "comma"), (point, "point"))
        ]
        guess.ask("amount", f"{seen.name} can be read with decimal point or comma", ways, [seen])
        return
    if len(seen.signs) > 1:
        alone = (flag("amount", number_text(seen, form)), "the numbers as they are, of one currency")
        words = f"{seen.name} mixes currencies: {', '.join(seen.signs)}; sums would add them up"
        guess.ask("amount", words, [alone], [seen])
        return
    is_cents = bool(names.CENTS & {*names.words(seen.name)})
    text = number_text(seen, form) + (" / 100" if is_cents else "")
    _take_amount(guess, seen, text, f"{seen.words[0]}: {form}" + (", in cents" if is_cents else ""))


def _decimal_of(guess: Guess, seen: TableColumn) -> Form | None:
    said = guess.reading.decimal
    if said and Form(said) in seen.number_forms:
        return Form(said)
    is_text_of_two = is_text(seen.values.type) and has_two_readings(seen.number_forms)
    return None if is_text_of_two else seen.number_form


def _take_amount(guess: Guess, seen: TableColumn, text: str, why: str) -> None:
    negative, zero = int(np.sum(seen.floats < 0)), int(np.sum(seen.floats == 0))
    is_told = guess.reading.invalid == "skip" or (not negative and "kind" in guess.given)
    if is_told or not (negative or zero):
        guess.take("amount", text, why)
        return
    of = f"of {len(seen.values):,} rows looked at"
    words = f"{seen.name}: {negative:,} amounts are negative and {zero:,} are 0 {of}; a purchase is above 0"
    choices = [("--read invalid=skip", "such rows are left out, counted"), _as_kinds(text, negative, zero)]
    if negative:
        choices.append((flag("amount", f"abs({text})"), "the sign says nothing: amounts without it"))
    guess.ask("amount", words, choices, [seen])


def _as_kinds(text: str, negative: int, zero: int) -> tuple[str, str]:
    """Offer kinds: what is below 0 is a refund, what is 0 a verification of the card."""
    kind = f"when({text} < 0, 'refund', 'purchase')" if negative else "'purchase'"
    kind = f"when({text} == 0, 'verification', {kind})" if zero else kind
    flags = ([flag("amount", f"abs({text})")] if negative else []) + [flag("kind", kind)]
    names = (["refunds"] if negative else []) + (["verifications of the card"] if zero else [])
    return " ".join(flags), " and ".join(names)


def find_identity(guess: Guess) -> None:
    """Find the id; without one, rows are numbered."""
    if guess.is_said("transaction_id"):
        return
    ranked = [one for one in guess.ranked(names.IDENTITY) if not one.has_clock]
    whole = [one for one in ranked if one.missing == 0 and one.uniqueness > 0.999]
    if whole:
        seen = whole[0]
        repeated = len(seen.present) - seen.distinct
        also = f"; {repeated:,} values repeat: each counts once" if repeated else ""
        guess.take("transaction_id", column_text(seen.name), f"different in each row{also}")
        return
    if ranked and names.IDENTITY.score(ranked[0].name) >= 3 and ranked[0].uniqueness > 0.1:
        seen = ranked[0]
        words = f"{seen.name} repeats, or is empty: {seen.distinct:,} values in {len(seen.values):,} rows"
        choices = [
            (
                flag("transaction_id", column_text(seen.name)),
                "a repeated id is the same transaction, sent again",
            ),
            (flag("transaction_id", "row()"), "each row is a transaction: number the rows"),
        ]
        guess.ask("transaction_id", words, choices, [seen])
        return
    unique = [one for one in guess.free.values() if _is_unique(one)]
    if len(unique) == 1:
        guess.take("transaction_id", column_text(unique[0].name), "the only column that differs in each row")
        return
    guess.take(
        "transaction_id", "row()", "no column differs in each row: rows are numbered, in this table alone"
    )


def _is_unique(seen: TableColumn) -> bool:
    """Whether it can be an id whatever its name: texts, neither numbers nor times, no two the same."""
    is_word = is_text(seen.values.type) and not seen.number_forms and not seen.time_forms
    return is_word and seen.missing == 0 and seen.uniqueness == 1


def find_primary(guess: Guess) -> None:
    """Find whose history is kept: a card, a customer, an account."""
    if guess.is_said("user_id"):
        return
    ranked = [one for one in guess.ranked(names.PRIMARY) if _is_key(one)]
    best = guess.best(names.PRIMARY, ranked)
    if len(best) == 1 and best[0].is_rounded:
        guess.ask("user_id", _rounded_words(best[0]), [*options("user_id", best)], best)
        return
    if len(best) == 1 and best[0].missing == 0:
        seen = best[0]
        each = len(seen.present) / seen.distinct
        also = "; nearly each row has its own: little history" if each < 1.2 else ""
        guess.take(
            "user_id",
            column_text(seen.name),
            f"{seen.distinct:,} of them, {each:.1f} rows each{also}",
            FieldType.KEY,
        )
        return
    alone = (
        (
            flag("user_id", guess.found["transaction_id"].text),
            "each transaction stands alone, without history",
        )
        if ("transaction_id" in guess.found)
        else (flag("user_id", "row()"), "each transaction stands alone, without history")
    )
    if len(best) == 1:
        words = f"{best[0].name} says whose card it is, but {best[0].missing:.1%} are empty"
        text = f"{flag('user_id', column_text(best[0].name))} --read invalid=skip"
        guess.ask("user_id", words, [(text, "such rows are left out, counted"), alone], best)
        return
    words = (
        "several columns may say whose card it is" if best else "no column is called card, user or account"
    )
    others = best or [
        one for one in guess.free.values() if _is_key(one) and 0.0 < one.uniqueness < 0.6 and one.distinct > 9
    ]
    guess.ask("user_id", words, [*options("user_id", others[:6]), alone], best)


def find_key(guess: Guess, our: str, role: names.Role) -> None:
    """Find a further key, where there is one."""
    if guess.is_said(our):
        return
    ranked = [one for one in guess.ranked(role, 1.5) if _is_key(one) and one.missing < 1]
    if ranked:
        seen = ranked[0]
        if seen.is_rounded:
            guess.left_out[seen.name] = _rounded_words(seen)
            return
        each = len(seen.present) / max(1, seen.distinct)
        empty = f", {seen.missing:.0%} empty" if seen.missing else ""
        guess.take(
            our,
            column_text(seen.name),
            f"{seen.distinct:,} of them, {each:.1f} rows each{empty}",
            FieldType.KEY,
        )


def _rounded_words(seen: TableColumn) -> str:
    value = next(word for word in seen.counts if "e" in word.lower())
    return f"{seen.name} holds {value}: a spreadsheet has cut the numbers off; write them as text"


def _is_key(seen: TableColumn) -> bool:
    is_whole = seen.number_form is None or seen.decimals == 0
    is_word = is_text(seen.values.type) and not seen.signs
    return is_whole and (is_word or seen.number_form is not None) and seen.distinct >= 1
