//! Distributed traces of Juju charms.
