//! What the attributes accept, refuse, and leave as it was: `tests/`.
