//! The attributes of charm-tracing.
