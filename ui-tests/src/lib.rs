//! Compile-fail and compile-pass cases of the attributes live in `tests/ui`.
