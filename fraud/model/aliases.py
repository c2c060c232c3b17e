"""Names in the registry: the aliases of a model's versions, the tags of a version, how absence is said."""

from typing import Final

CHAMPION: Final = "champion"
"""Alias of the version that decides."""
CHALLENGER: Final = "challenger"
"""Alias of the version that is tried beside it."""
PREVIOUS: Final = "previous"
"""Alias of the version that was champion before."""
CANARY: Final = "canary"
"""Alias of the version that is being rolled out."""
TRAINED_UNTIL: Final = "trained_until"
"""Tag: the version was trained on transactions before this time."""
GATE: Final = "gate"
"""Tag: what the gate decided, ``accepted`` or ``refused``."""
GATE_REASONS: Final = "gate_reasons"
"""Tag: why the gate decided so."""
ABSENT: Final = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"})
"""How registries say that there is no such model, version or alias."""
