"""Topic ``transactions``: one card transaction, as the payment gateway reports it."""

from typing import Annotated

from pydantic import Field, model_validator

from fraud.contracts.wire import EventTime, Identifier, Latitude, Longitude, Record


class Transaction(Record):
    """One card transaction. Required fields first; optional ones may be absent or null."""

    transaction_id: Identifier
    """Unique for ever; a second record with the same id is a duplicate and changes nothing."""
    event_time: EventTime
    """When it happened, with an offset, e.g. ``2026-03-01T12:00:00Z``."""
    user_id: Identifier
    merchant_id: Identifier
    amount: Annotated[float, Field(strict=True, gt=0.0, le=10_000_000.0, allow_inf_nan=False)]
    """In currency units; rounded to hundredths by the features."""
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    """ISO 4217."""
    category: Identifier | None = None
    """The merchant's category, e.g. ``grocery``."""
    country: Annotated[str, Field(pattern="^[A-Z]{2}$")] | None = None
    """ISO 3166 alpha-2 of the place of the transaction."""
    channel: Identifier | None = None
    """How the card was used, e.g. ``chip``, ``contactless``, ``online``."""
    device_id: Identifier | None = None
    latitude: Latitude | None = None
    """Of the place of the transaction, degrees; given together with longitude."""
    longitude: Longitude | None = None
    home_latitude: Latitude | None = None
    """Of the cardholder's registered home, when the gateway knows it, degrees."""
    home_longitude: Longitude | None = None

    @model_validator(mode="after")
    def _check_pairs(self) -> "Transaction":
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("latitude and longitude must be given together")
        if (self.home_latitude is None) != (self.home_longitude is None):
            raise ValueError("home_latitude and home_longitude must be given together")
        return self
