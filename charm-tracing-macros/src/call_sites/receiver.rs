//! What a call is made on, and with that whether and how its type can be found without changing
//! what the program does.

use syn::{Expr, ExprPath, Ident, UnOp};

/// What a call is made on, and how its type can be found without changing what happens.
pub(super) enum Receiver {
    /// A variable: a reference to it does nothing.
    Variable,
    /// A field of `self`: so does its address.
    FieldOfSelf,
    /// A constant, a static, a value without fields: looked at by a closure that is never called.
    Named,
    /// A place that takes steps to get to, maybe through a `Deref` or an `Index` that does
    /// something.
    Place,
    /// A value: passed through.
    Value,
    /// A part of a value, which is passed through.
    PartOfValue,
    /// `self`, whose own methods have their own spans.
    OwnSelf,
    /// Left alone.
    Unknown,
}

impl Receiver {
    pub(super) fn of(receiver: &Expr) -> Self {
        match receiver {
            Expr::Paren(paren) => Self::of(&paren.expr),
            Expr::Group(group) => Self::of(&group.expr),
            Expr::Path(path) => Self::of_path(path),
            Expr::Field(field) => match Self::of(&field.base) {
                Self::OwnSelf => Self::FieldOfSelf,
                base => base.part(),
            },
            Expr::Unary(unary) if matches!(unary.op, UnOp::Deref(_)) => {
                Self::of(&unary.expr).part()
            }
            Expr::Index(index) if is_plain(&index.index) => Self::of(&index.expr).part(),
            // Passed through a function, a constant would no longer be promoted to a static.
            _ if is_constant(receiver) => Self::Unknown,
            Expr::Await(_)
            | Expr::Binary(_)
            | Expr::Block(_)
            | Expr::Call(_)
            | Expr::Cast(_)
            | Expr::If(_)
            | Expr::Match(_)
            | Expr::MethodCall(_)
            | Expr::Reference(_)
            | Expr::Struct(_)
            | Expr::Try(_)
            | Expr::Unary(_)
            | Expr::Unsafe(_) => Self::Value,
            // A macro may stand for a place, which cannot be passed through, or for anything that
            // cannot be said twice.
            _ => Self::Unknown,
        }
    }

    fn of_path(path: &ExprPath) -> Self {
        match path.path.get_ident() {
            Some(ident) if ident == "self" => Self::OwnSelf,
            Some(ident) if is_lowercase(ident) => Self::Variable,
            _ => Self::Named,
        }
    }

    /// Whether the call's receiver is passed through a function.
    pub(super) fn is_passed(&self) -> bool {
        matches!(self, Self::Value | Self::PartOfValue)
    }

    /// What a part of this is.
    fn part(self) -> Self {
        match self {
            Self::Value | Self::PartOfValue => Self::PartOfValue,
            Self::Unknown => Self::Unknown,
            _ => Self::Place,
        }
    }
}

pub(super) fn is_lowercase(ident: &Ident) -> bool {
    let name = ident.to_string();
    !name.trim_start_matches("r#").starts_with(|first: char| first.is_uppercase())
}

/// An index that can be looked at in a closure without moving anything.
fn is_plain(index: &Expr) -> bool {
    match index {
        Expr::Lit(_) | Expr::Path(_) => true,
        Expr::Field(field) => is_plain(&field.base),
        Expr::Paren(paren) => is_plain(&paren.expr),
        Expr::Reference(reference) => reference.mutability.is_none() && is_plain(&reference.expr),
        Expr::Binary(binary) => is_plain(&binary.left) && is_plain(&binary.right),
        _ => false,
    }
}

/// An expression that the compiler may promote to a static.
fn is_constant(value: &Expr) -> bool {
    match value {
        Expr::Lit(_) => true,
        Expr::Array(array) => array.elems.iter().all(is_constant),
        Expr::Binary(binary) => is_constant(&binary.left) && is_constant(&binary.right),
        Expr::Call(call) => is_constructor(&call.func) && call.args.iter().all(is_constant),
        Expr::Cast(cast) => is_constant(&cast.expr),
        Expr::Group(group) => is_constant(&group.expr),
        Expr::Paren(paren) => is_constant(&paren.expr),
        Expr::Path(path) => {
            path.path.segments.last().is_some_and(|last| !is_lowercase(&last.ident))
        }
        Expr::Reference(reference) => is_constant(&reference.expr),
        Expr::Repeat(repeat) => is_constant(&repeat.expr),
        Expr::Struct(structure) => structure.fields.iter().all(|field| is_constant(&field.expr)),
        Expr::Tuple(tuple) => tuple.elems.iter().all(is_constant),
        Expr::Unary(unary) => is_constant(&unary.expr),
        _ => false,
    }
}

fn is_constructor(function: &Expr) -> bool {
    matches!(function, Expr::Path(_)) && is_constant(function)
}
