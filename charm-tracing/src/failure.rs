//! Why a call failed, in the error's own words.
//!
//! What an error says is the charm's own code: it is asked before anything is locked, up to so many
//! bytes, and where it panics that ends here.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write};
use std::iter;
use std::panic::{self, AssertUnwindSafe};

/// Why a call failed, not yet put into words.
#[derive(Clone, Copy)]
pub struct Failure<'a> {
    /// The error's Rust type.
    pub error_type: &'static str,
    /// What the error says.
    pub message: &'a dyn fmt::Display,
    /// What it wraps.
    pub source: Option<&'a (dyn Error + 'static)>,
}

impl fmt::Debug for Failure<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Failure")
            .field("error_type", &self.error_type)
            .finish_non_exhaustive()
    }
}

impl Failure<'_> {
    /// Asks the error what it says.
    pub(crate) fn into_text(self) -> FailureText {
        let message = in_words(self.message);
        let sources = causes(self.source);
        FailureText { error_type: Cow::Borrowed(self.error_type), message, sources }
    }
}

/// The failure of a call, in words. Built from user code's `Display` before the collector is
/// locked.
#[derive(Debug)]
pub(crate) struct FailureText {
    pub(crate) error_type: Cow<'static, str>,
    pub(crate) message: String,
    /// What the error's sources say, outermost first.
    pub(crate) sources: Vec<String>,
}

impl FailureText {
    /// What led to the error, as `anyhow` shows it; `None` where nothing did.
    pub(crate) fn stacktrace(&self) -> Option<String> {
        let causes = self.sources.join("\n    ");
        let text = format_args!("{}\n\nCaused by:\n    {causes}", self.message);
        (!causes.is_empty()).then(|| in_words(&text))
    }

    /// Whether this is an error that says `message`, or wraps one that does. That a text occurs in
    /// another by chance hides no error: one that is shown twice is better than one that is not.
    pub(crate) fn carries(&self, message: &str) -> bool {
        let ends_with_it = |text: &String| {
            let before = text.strip_suffix(message);
            before.is_some_and(|before| before.is_empty() || before.ends_with(": "))
        };
        !message.is_empty() && iter::once(&self.message).chain(&self.sources).any(ends_with_it)
    }
}

/// What an error wraps, outermost first. `source` is the charm's own code, like its `Display`.
fn causes(first: Option<&(dyn Error + 'static)>) -> Vec<String> {
    const MOST: usize = 32;
    let chain = || {
        let chain = iter::successors(first, |error: &&dyn Error| (*error).source());
        chain.take(MOST).map(|error| in_words(error)).collect()
    };
    panic::catch_unwind(AssertUnwindSafe(chain)).unwrap_or_default()
}

/// What `said` says, up to so many bytes: an error that quotes a whole file is not to push the rest
/// of the trace out. A `Display` that fails has said what it has said; one that panics is the
/// charm's own code going wrong in a place where without tracing it would not have run, so the
/// panic ends here.
pub(crate) fn in_words(said: &dyn fmt::Display) -> String {
    let mut words = Words(String::new());
    let say = AssertUnwindSafe(|| write!(words, "{said}"));
    let said = panic::catch_unwind(say);
    if said.is_err() {
        words.0.push_str("(this message panicked)");
    }
    words.0
}

struct Words(String);

impl Words {
    const MOST_BYTES: usize = 8 * 1024;
}

impl Write for Words {
    /// Fails when it is full, so that the rest is not even put into words.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = Self::MOST_BYTES.saturating_sub(self.0.len());
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        let whole = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        self.0.push_str(&text[..whole]);
        self.0.push('…');
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_many_words_is_cut() {
        let (short, long) = ("ü".repeat(4096), "ü".repeat(5_000_000));
        assert_eq!(in_words(&short), short);
        assert_eq!(in_words(&long), format!("{short}…"));
        assert_eq!(in_words(&format_args!("a{long}")).len(), 1 + 4095 * 2 + "…".len());
    }

    #[test]
    fn a_display_that_panics_does_so_for_itself() {
        struct Panics;
        impl fmt::Display for Panics {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("half of ")?;
                panic!("on purpose");
            }
        }
        assert_eq!(in_words(&Panics), "half of (this message panicked)");
    }

    #[test]
    fn a_display_that_fails_has_said_what_it_has_said() {
        struct Fails;
        impl fmt::Display for Fails {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("half of")?;
                Err(fmt::Error)
            }
        }
        assert_eq!(in_words(&Fails), "half of");
    }

    #[test]
    fn an_error_carries_what_it_wraps_and_nothing_that_it_happens_to_contain() {
        for (message, source, child, carries) in [
            ("not found", "", "not found", true),
            ("cannot start: not found", "", "not found", true),
            ("cannot start", "not found", "not found", true),
            ("cannot start", "no service: not found", "not found", true),
            ("service hello.service not found", "", "not found", false),
            ("not found, try again", "", "not found", false),
            ("cannot start", "", "", false),
            ("", "", "", false),
        ] {
            let sources = Some(source.to_owned()).filter(|source| !source.is_empty());
            let failure = FailureText {
                error_type: "E".into(),
                message: message.to_owned(),
                sources: sources.into_iter().collect(),
            };
            assert_eq!(failure.carries(child), carries, "{message:?}, {source:?}: {child:?}");
        }
    }
}
