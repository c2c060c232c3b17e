"""What our HTTP services share: keys and scopes, rate limits, errors as problem documents."""
