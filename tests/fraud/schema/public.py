"""Rows in the layouts of public data sets: columns, forms of times and amounts. All of them are drawn."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

Row = dict[str, Any]
ROWS = 400


@dataclass(frozen=True)
class Layout:
    """A data set: its file, its columns in order, a row by its number, and what the first rows mean to us."""

    file: str
    columns: tuple[str, ...]
    row: Callable[[int, np.random.Generator], Row]
    first: tuple[Row, ...]
    """Our values of the first rows."""


def write(layout: Layout, folder: Path, rows: int = ROWS) -> Path:
    """Write a table of the layout; columns that a row does not give are empty."""
    rng = np.random.default_rng(7)
    with (folder / layout.file).open("w", newline="") as file:
        out = csv.DictWriter(file, layout.columns, restval="", lineterminator="\n")
        out.writeheader()
        out.writerows(layout.row(at, rng) for at in range(rows))
    if layout is IEEE_CIS:
        _write_identity(folder, rows)
    return folder / layout.file


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc]


def _is_fraud(at: int, rng: np.random.Generator) -> bool:
    return at % 20 == 7 or bool(rng.random() < 0.02)


def _ieee_cis(at: int, rng: np.random.Generator) -> Row:
    card = 1000 + int(rng.integers(40)) if at else 13926
    of_card = {"card1": card, "card2": "" if card % 5 == 1 else 360.0, "card3": 150.0, "card4": "visa"}
    return {
        "TransactionID": 2987000 + at,
        "isFraud": int(_is_fraud(at, rng)),
        "TransactionDT": 86400 + 9_000 * at,
        "TransactionAmt": 68.5 if at == 0 else round(float(rng.gamma(2, 40)), 3) + 0.01,
        "ProductCD": "WCRHS"[at % 5],
        **of_card,
        "card5": 142.0,
        "card6": ("credit", "debit")[card % 2],
        "addr1": 315.0,
        "addr2": 87.0,
        "dist1": 19.0 if at % 3 == 0 else "",
        "P_emaildomain": "gmail.com" if at % 2 else "",
        "R_emaildomain": "yahoo.com" if at % 4 == 0 else "",
        **{f"C{n}": 1.0 for n in range(1, 15)},
        **{f"D{n}": 14.0 for n in (1, 4, 10, 15)},
        **{f"M{n}": "T" for n in range(1, 10)},
        "M4": "M2",
        **{f"V{n}": 0.0 for n in range(1, 340)},
    }


def _write_identity(folder: Path, rows: int) -> None:
    """Every fourth transaction has an identity, as there."""
    names = ["TransactionID", *(f"id_{n:02d}" for n in range(1, 39)), "DeviceType", "DeviceInfo"]
    with (folder / "train_identity.csv").open("w", newline="") as file:
        out = csv.DictWriter(file, names, restval="", lineterminator="\n")
        out.writeheader()
        for at in range(0, rows, 4):
            out.writerow(
                {
                    "TransactionID": 2987000 + at,
                    "id_30": "Android 7.0",
                    "id_31": "samsung browser 6.2",
                    "id_33": "2220x1080",
                    "DeviceType": "mobile",
                    "DeviceInfo": f"SAMSUNG SM-G{at % 6}",
                }
            )


IEEE_CIS = Layout(
    "train_transaction.csv",
    (
        *("TransactionID", "isFraud", "TransactionDT", "TransactionAmt", "ProductCD"),
        *(f"card{n}" for n in range(1, 7)),
        *("addr1", "addr2", "dist1", "dist2", "P_emaildomain", "R_emaildomain"),
        *(f"C{n}" for n in range(1, 15)),
        *(f"D{n}" for n in range(1, 16)),
        *(f"M{n}" for n in range(1, 10)),
        *(f"V{n}" for n in range(1, 340)),
    ),
    _ieee_cis,
    (
        {
            "transaction_id": "2987000",
            "event_time": utc(2017, 12, 2),
            "amount": 68.5,
            "card": "13926--150.0-142.0-315.0",
            "card_number": "13926",
            "address": "315.0-87.0",
            "device": "SAMSUNG SM-G0/Android 7.0/samsung browser 6.2/2220x1080",
            "product": "W",
            "network": "visa",
            "card_kind": "credit",
            "buyer_domain": None,
            "receiver_domain": "yahoo.com",
            "device_type": "mobile",
            "distance": 19,
        },
        {"event_time": utc(2017, 12, 2, 2, 30), "device": None, "device_type": None, "distance": None},
    ),
)


def _sparkov(at: int, rng: np.random.Generator) -> Row:
    moment = datetime(2019, 1, 1, 0, 0, 18) + timedelta(hours=5) * at  # noqa: DTZ001  (a clock without zone)
    return {
        "": at,
        "trans_date_trans_time": f"{moment:%Y-%m-%d %H:%M:%S}",
        "cc_num": 2703186189652095 + int(rng.integers(30)) * (at > 0),
        "merchant": "fraud_Rippin, Kub and Mann" if at == 0 else f"fraud_Shop-{rng.integers(20)}",
        "category": ("misc_net", "grocery_pos", "gas_transport")[at % 3],
        "amt": 4.97 if at == 0 else round(float(rng.gamma(2, 30)) + 1, 2),
        "first": "Ann",
        "last": "Example",
        "gender": "FM"[at % 2],
        "street": "1 Long Road Suite 3",
        "city": "Somewhere",
        "state": "NC",
        "zip": "02865",
        "lat": 36.0788,
        "long": -81.1781,
        "city_pop": 3495,
        "job": "Psychologist, counselling",
        "dob": "1988-03-09",
        "trans_num": f"{at:032x}",
        "unix_time": 1325376018 + 18_000 * at,
        "merch_lat": 36.011293,
        "merch_long": -82.048315,
        "is_fraud": int(_is_fraud(at, rng)),
    }


SPARKOV = Layout(
    "fraudTrain.csv",
    (
        *("", "trans_date_trans_time", "cc_num", "merchant", "category", "amt", "first", "last", "gender"),
        *(
            "street",
            "city",
            "state",
            "zip",
            "lat",
            "long",
            "city_pop",
            "job",
            "dob",
            "trans_num",
            "unix_time",
        ),
        *("merch_lat", "merch_long", "is_fraud"),
    ),
    _sparkov,
    (
        {
            "transaction_id": "0" * 32,
            "event_time": utc(2019, 1, 1, 0, 0, 18),
            "amount": 4.97,
            "card": "2703186189652095",
            "merchant": "fraud_Rippin, Kub and Mann",
            "category": "misc_net",
            "town_size": 3495,
            "home_latitude": 36.0788,
            "shop_longitude": -82.048315,
        },
        {"event_time": utc(2019, 1, 1, 5, 0, 18), "gender": "M"},
    ),
)


def _tabformer(at: int, rng: np.random.Generator) -> Row:
    moment = datetime(2019, 9, 1, 6, 21) + timedelta(hours=3) * at  # noqa: DTZ001  (a clock without zone)
    amounts = {0: "$134.09", 1: "$-99.00", 2: "$0.00"}
    is_online = at % 4 == 3
    return {
        "User": at % 9,
        "Card": at % 2,
        "Year": moment.year,
        "Month": moment.month,
        "Day": moment.day,
        "Time": f"{moment:%H:%M}",
        "Amount": amounts.get(at, f"${rng.gamma(2, 30) + 1:.2f}"),
        "Use Chip": "Online Transaction" if is_online else ("Swipe Transaction", "Chip Transaction")[at % 2],
        "Merchant Name": 3527213246127876953 if at == 0 else -int(rng.integers(1, 40)) * 10**15,
        "Merchant City": "ONLINE" if is_online else "La Verne",
        "Merchant State": "" if is_online else "CA",
        "Zip": "" if is_online else 91750.0,
        "MCC": 5300 + at % 5,
        "Errors?": "Technical Glitch," if at % 50 == 3 else "",
        "Is Fraud?": "Yes" if _is_fraud(at, rng) else "No",
    }


TABFORMER = Layout(
    "card_transaction.v1.csv",
    (
        *("User", "Card", "Year", "Month", "Day", "Time", "Amount", "Use Chip", "Merchant Name"),
        *("Merchant City", "Merchant State", "Zip", "MCC", "Errors?", "Is Fraud?"),
    ),
    _tabformer,
    (
        {
            "transaction_id": "1",
            "event_time": utc(2019, 9, 1, 6, 21),
            "amount": 134.09,
            "kind": "purchase",
            "card": "0-0",
            "user": "0",
            "merchant": "3527213246127876953",
            "category": "5300",
            "channel": "Swipe Transaction",
            "state": "CA",
        },
        {"event_time": utc(2019, 9, 1, 9, 21), "amount": 99.0, "kind": "refund"},
        {"amount": 0.0, "kind": "verification"},
        {"channel": "Online Transaction", "state": None},
    ),
)


def _paysim(at: int, rng: np.random.Generator) -> Row:
    is_fraud = _is_fraud(at, rng)
    amount = 9839.64 if at == 0 else 0.0 if at == 7 else round(float(rng.gamma(2, 9000)) + 1, 2)
    kinds = ("PAYMENT", "CASH_IN", "DEBIT", "TRANSFER", "CASH_OUT")
    return {
        "step": 1 + at // 2,
        "type": kinds[3 + at % 2] if is_fraud else kinds[at % 5],
        "amount": amount,
        "nameOrig": f"C{1231006815 + at}",
        "oldbalanceOrg": amount if is_fraud else 170136.0,
        "newbalanceOrig": 0.0 if is_fraud else 160296.36,
        "nameDest": "M1979787155" if at == 0 else f"C{int(rng.integers(30))}",
        "oldbalanceDest": 0.0,
        "newbalanceDest": 0.0,
        "isFraud": int(is_fraud),
        "isFlaggedFraud": 0,
    }


PAYSIM = Layout(
    "PS_20174392719_1491204439457_log.csv",
    (
        *("step", "type", "amount", "nameOrig", "oldbalanceOrg", "newbalanceOrig", "nameDest"),
        *("oldbalanceDest", "newbalanceDest", "isFraud", "isFlaggedFraud"),
    ),
    _paysim,
    (
        {
            "transaction_id": "1",
            "event_time": utc(2024, 1, 1, 1),
            "amount": 9839.64,
            "kind": "purchase",
            "sender": "C1231006815",
            "receiver": "M1979787155",
            "type": "PAYMENT",
        },
    ),
)


def _banksim(at: int, rng: np.random.Generator) -> Row:
    is_fraud = _is_fraud(at, rng)
    return {
        "step": at // 6,
        "customer": f"'C{1093826151 + int(rng.integers(60)) * (at > 0)}'",
        "age": f"'{'U' if at == 1 else 1 + at % 6}'",
        "gender": "'M'" if at % 2 == 0 else "'F'",
        "zipcodeOri": "'28007'",
        "merchant": "'M348934600'" if at == 0 else f"'M{rng.integers(12)}'",
        "zipMerchant": "'28007'",
        "category": "'es_transportation'" if at % 3 == 0 else "'es_health'",
        "amount": 4.55
        if at == 0
        else 0
        if at == 2
        else round(float(rng.gamma(2, 90 if is_fraud else 20)) + 0.1, 2),
        "fraud": int(is_fraud),
    }


BANKSIM = Layout(
    "bs140513_032310.csv",
    (
        *("step", "customer", "age", "gender", "zipcodeOri", "merchant", "zipMerchant", "category", "amount"),
        "fraud",
    ),
    _banksim,
    (
        {
            "event_time": utc(2024, 1, 1),
            "amount": 4.55,
            "customer": "'C1093826151'",
            "merchant": "'M348934600'",
            "category": "'es_transportation'",
            "age": "'1'",
            "gender": "'M'",
        },
        {"age": "'U'"},
        {"amount": 0.0, "kind": "verification"},
    ),
)


def _s_ffsd(at: int, rng: np.random.Generator) -> Row:
    return {
        "Time": 300 * at,
        "Source": f"S{10000 + int(rng.integers(40)) * (at > 0)}",
        "Target": f"T{1000 + int(rng.integers(20)) * (at > 0)}",
        "Amount": 13.74 if at == 0 else round(float(rng.gamma(2, 30)) + 0.1, 2),
        "Location": f"L{100 + at % 7}",
        "Type": f"TP{100 + at % 4}",
        "Labels": 2 if at % 3 == 2 else int(_is_fraud(at, rng)),
    }


S_FFSD = Layout(
    "S-FFSD.csv",
    ("Time", "Source", "Target", "Amount", "Location", "Type", "Labels"),
    _s_ffsd,
    (
        {
            "transaction_id": "1",
            "event_time": utc(2024, 1, 1),
            "source_account": "S10000",
            "target": "T1000",
            "amount": 13.74,
            "location": "L100",
            "type": "TP100",
        },
        {"event_time": utc(2024, 1, 1, 0, 5)},
    ),
)


def _fraudecom(at: int, rng: np.random.Generator) -> Row:
    moment = datetime(2015, 4, 18, 2, 47, 11) + timedelta(hours=2) * at  # noqa: DTZ001  (a clock without zone)
    is_fraud = _is_fraud(at, rng)
    signed_up = moment - (timedelta(seconds=1) if is_fraud else timedelta(days=3))
    return {
        "user_id": 22058 + at,
        "signup_time": f"{signed_up:%Y-%m-%d %H:%M:%S}",
        "purchase_time": f"{moment:%Y-%m-%d %H:%M:%S}",
        "purchase_value": 34 if at == 0 else int(rng.integers(9, 150)),
        "device_id": "QVPSPJUOCKZAR" if at == 0 else f"DEVICE{int(rng.integers(50)):07d}",
        "source": ("SEO", "Ads", "Direct")[at % 3],
        "browser": "Chrome",
        "sex": "MF"[at % 2],
        "age": 39,
        "ip_address": 732758368.79972 if at == 0 else round(float(rng.uniform(1e6, 4e9)), 6),
        "class": int(is_fraud),
    }


FRAUDECOM = Layout(
    "Fraud_Data.csv",
    (
        *("user_id", "signup_time", "purchase_time", "purchase_value", "device_id", "source", "browser"),
        *("sex", "age", "ip_address", "class"),
    ),
    _fraudecom,
    (
        {
            "transaction_id": "22058",
            "event_time": utc(2015, 4, 18, 2, 47, 11),
            "amount": 34.0,
            "device": "QVPSPJUOCKZAR",
            "user": "22058",
            "ip": "732758368.79972",
            "signed_up": utc(2015, 4, 15, 2, 47, 11),
            "origin": "SEO",
            "age": 39,
        },
    ),
)
LAYOUTS: dict[str, Layout] = {
    "banksim": BANKSIM,
    "fraudecom": FRAUDECOM,
    "ieee-cis": IEEE_CIS,
    "paysim": PAYSIM,
    "s-ffsd": S_FFSD,
    "sparkov": SPARKOV,
    "tabformer": TABFORMER,
}
"""By the name of the schema's file."""


def truths(layout: Layout, rows: int = ROWS) -> Iterator[bool | None]:
    """Tell what the label of each row means."""
    rng = np.random.default_rng(7)
    label = layout.columns[[one.lower().strip("? ") in _LABELS for one in layout.columns].index(True)]
    meaning = {"Yes": True, "No": False, 1: True, 0: False, 2: None}
    for at in range(rows):
        yield meaning[layout.row(at, rng)[label]]


_LABELS = {"isfraud", "is_fraud", "is fraud", "fraud", "labels", "class"}
