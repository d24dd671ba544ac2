//! The standard library's macros, whose arguments are known to be expressions.

use syn::{Ident, Path};

/// What the arguments of a macro of the standard library are.
#[derive(Clone, Copy)]
pub(super) enum MacroKind {
    /// Expressions with commas between them.
    Arguments,
    Assert,
    Vec,
    Matches,
    /// Nothing to rewrite, or nothing that may be rewritten: it says what it is given.
    Opaque,
}

impl MacroKind {
    pub(super) fn of_path(path: &Path) -> Option<Self> {
        let first = path.segments.first()?;
        let is_std = ["std", "core", "alloc"].iter().any(|name| first.ident == name);
        match path.segments.len() {
            1 => Self::of(&first.ident),
            2 if is_std => Self::of(&path.segments[1].ident),
            _ => None,
        }
    }

    pub(super) fn of(name: &Ident) -> Option<Self> {
        Some(match name.to_string().as_str() {
            "format" | "format_args" | "print" | "println" | "eprint" | "eprintln" | "write"
            | "writeln" | "panic" | "todo" | "unimplemented" | "unreachable" | "assert_eq"
            | "assert_ne" | "debug_assert_eq" | "debug_assert_ne" => Self::Arguments,
            "assert" | "debug_assert" => Self::Assert,
            "vec" => Self::Vec,
            "matches" => Self::Matches,
            "cfg" | "column" | "concat" | "dbg" | "env" | "file" | "include_bytes"
            | "include_str" | "line" | "module_path" | "option_env" | "stringify" => Self::Opaque,
            _ => return None,
        })
    }
}
