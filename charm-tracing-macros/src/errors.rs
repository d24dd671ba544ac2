//! Mistakes, collected so that one compile reports them all.
//!
//! Each is a message on the exact token that is wrong: lower case, no full stop, code in backticks,
//! saying what to write instead. What was collected is emitted next to the user's item, never in
//! its place, so that no other error follows from the first.

use std::fmt::Display;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(crate) struct Errors(Option<syn::Error>);

/// Expands an item: what `expand` makes of it, or the item itself where it cannot be traced,
/// followed by every mistake that was found on the way.
pub(crate) fn collected(
    item: TokenStream,
    expand: impl FnOnce(&TokenStream, &mut Errors) -> Option<TokenStream>,
) -> TokenStream {
    let mut errors = Errors::default();
    let mut tokens = expand(&item, &mut errors).unwrap_or(item);
    tokens.extend(errors.0.map(syn::Error::into_compile_error));
    tokens
}

impl Errors {
    /// Adds a mistake that `tokens` make.
    pub(crate) fn on(&mut self, tokens: &impl ToTokens, message: impl Display) {
        self.add(syn::Error::new_spanned(tokens, message));
    }

    /// Adds a mistake at a place that is no token tree of its own.
    pub(crate) fn at(&mut self, span: Span, message: impl Display) {
        self.add(syn::Error::new(span, message));
    }

    /// Adds a mistake that was found by `syn`.
    pub(crate) fn add(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            none => *none = Some(error),
        }
    }
}

/// "did you mean" for a name that is close to one of `known`, else the list of them.
pub(crate) fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let close = known
        .iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3)
        .min_by_key(|(distance, _)| *distance);
    match close {
        Some((_, candidate)) => format!("did you mean `{candidate}`?"),
        None => match known.as_slice() {
            [] => "there is none".to_owned(),
            [only] => format!("there is `{only}`"),
            known => format!("there are {}", list(known)),
        },
    }
}

/// The names in backticks, with commas between them.
fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// How many single-character edits lead from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("skip", "skip"), 0);
        assert_eq!(distance("skp", "skip"), 1);
        assert_eq!(distance("sikp", "skip"), 2);
        assert_eq!(distance("", "skip"), 4);
    }

    #[test]
    fn a_close_name_is_suggested_and_a_distant_one_is_not() {
        let known = ["service_name", "skip"];
        assert_eq!(suggestion("servce_name", known), "did you mean `service_name`?");
        assert_eq!(suggestion("endpoint", known), "there are `service_name`, `skip`");
    }
}
