"""``fraud sql``: questions to the platform's tables."""
