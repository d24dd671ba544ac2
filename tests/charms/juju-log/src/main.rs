//! A `juju-log` that does nothing, as fast as a process can: what remains is the cost of starting
//! it.

fn main() {}
