//! A size- and count-capped on-disk queue of byte records.
