//! Finds out whether what a function returned is an `Err`, and what can be said about it.
//!
//! The expansion calls `Outcome::of(&result).record(&span)` without knowing the type of `result`.
//! The compiler does: it takes the first `record` whose bounds hold, going from `Outcome` through
//! what it dereferences to. The bounds ask nothing about lifetimes, because method lookup does not
//! see them.

use std::any::type_name;
use std::error::Error;
use std::fmt::{Debug, Display};
use std::ops::Deref;

use crate::failure::Failure;
use crate::span::{SpanGuard, SpanHandle};

/// What a failure is recorded on.
pub trait Recorder {
    /// Records that the call failed.
    fn fail(&self, failure: Failure<'_>);
}

impl Recorder for SpanGuard {
    fn fail(&self, failure: Failure<'_>) {
        SpanGuard::fail(self, failure);
    }
}

impl Recorder for SpanHandle {
    fn fail(&self, failure: Failure<'_>) {
        SpanHandle::fail(self, failure);
    }
}

/// A ladder of wrappers; each is asked when the one before cannot answer.
macro_rules! ladder {
    ($($(#[$doc:meta])* $Step:ident => $Next:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $Step<'a, R>($Next<'a, R>);

        impl<'a, R> $Step<'a, R> {
            /// Puts a result on the ladder.
            #[inline]
            pub fn of(result: &'a R) -> Self {
                Self($Next::of(result))
            }

            fn result(&self) -> &'a R {
                self.0.result()
            }
        }

        impl<'a, R> Deref for $Step<'a, R> {
            type Target = $Next<'a, R>;

            #[inline]
            fn deref(&self) -> &$Next<'a, R> {
                &self.0
            }
        }
    )*};
}

ladder! {
    /// What a traced function returned: errors that are `Error`.
    Outcome => Wrapped;
    /// Errors that lead to an `Error`: boxes of one, `anyhow::Error`.
    Wrapped => Displayed;
    /// Errors that are `Display`.
    Displayed => Debugged;
    /// Errors that are `Debug`.
    Debugged => Named;
    /// Errors of which only the type is known.
    Named => Unobserved;
}

/// What is no `Result`.
#[derive(Debug)]
pub struct Unobserved<'a, R>(&'a R);

impl<'a, R> Unobserved<'a, R> {
    /// Ends the ladder.
    #[inline]
    pub fn of(result: &'a R) -> Self {
        Self(result)
    }

    fn result(&self) -> &'a R {
        self.0
    }

    /// Records nothing.
    #[inline]
    #[expect(clippy::unused_self, reason = "called like the others")]
    pub fn record(&self, _: &impl Recorder) {}
}

impl<T, E: Error> Outcome<'_, Result<T, E>> {
    /// Records an `Err` with what it says and what it wraps.
    #[inline]
    pub fn record(&self, span: &impl Recorder) {
        if let Err(error) = self.result() {
            fail(span, error, error, error.source());
        }
    }
}

impl<T, E: Display + Deref<Target: Error>> Wrapped<'_, Result<T, E>> {
    /// Records an `Err` with what it says and what the error that it leads to wraps.
    #[inline]
    pub fn record(&self, span: &impl Recorder) {
        if let Err(error) = self.result() {
            fail(span, error, error, error.deref().source());
        }
    }
}

impl<T, E: Display> Displayed<'_, Result<T, E>> {
    /// Records an `Err` with what it says.
    #[inline]
    pub fn record(&self, span: &impl Recorder) {
        if let Err(error) = self.result() {
            fail(span, error, error, None);
        }
    }
}

impl<T, E: Debug> Debugged<'_, Result<T, E>> {
    /// Records an `Err` with its `Debug` form.
    #[inline]
    pub fn record(&self, span: &impl Recorder) {
        if let Err(error) = self.result() {
            fail(span, error, &format_args!("{error:?}"), None);
        }
    }
}

impl<T, E> Named<'_, Result<T, E>> {
    /// Records an `Err` with its type's name.
    #[inline]
    pub fn record(&self, span: &impl Recorder) {
        if let Err(error) = self.result() {
            fail(span, error, &type_name::<E>(), None);
        }
    }
}

#[cold]
fn fail<E>(
    span: &impl Recorder,
    _: &E,
    message: &dyn Display,
    source: Option<&(dyn Error + 'static)>,
) {
    span.fail(Failure { error_type: type_name::<E>(), message, source });
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::{fmt, io};

    use super::*;

    #[derive(Default)]
    struct Recorded(RefCell<Option<[String; 3]>>);

    impl Recorder for Recorded {
        fn fail(&self, failure: Failure<'_>) {
            let source = failure.source.map(ToString::to_string);
            *self.0.borrow_mut() = Some([
                failure.error_type.to_owned(),
                failure.message.to_string(),
                source.unwrap_or_default(),
            ]);
        }
    }

    macro_rules! recorded {
        ($result:expr) => {{
            let span = Recorded::default();
            Outcome::of(&$result).record(&span);
            span.0.into_inner()
        }};
    }

    fn says(error_type: &str, message: &str, source: &str) -> Option<[String; 3]> {
        let said = [error_type, message, source].map(str::to_owned);
        Some(said).filter(|[_, message, _]| !message.is_empty())
    }

    #[derive(Debug)]
    struct Outer(io::Error);

    impl Display for Outer {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("outer")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    fn outer() -> Outer {
        Outer(io::Error::other("inner"))
    }

    #[derive(Debug)]
    struct OnlyDebug;

    struct Opaque;

    #[test]
    fn an_error_says_what_it_says_and_what_it_wraps() {
        let name = type_name::<Outer>();
        assert_eq!(recorded!(Err::<(), _>(outer())), says(name, "outer", "inner"));
    }

    #[test]
    fn a_box_leads_to_the_error_in_it() {
        let result: Result<(), Box<dyn Error + Send + Sync>> = Err(outer().into());
        let [_, message, source] = recorded!(result).unwrap();
        assert_eq!((message.as_str(), source.as_str()), ("outer", "inner"));
    }

    #[test]
    fn text_is_displayed() {
        assert_eq!(recorded!(Err::<(), _>("no")), says("&str", "no", ""));
        let name = type_name::<String>();
        assert_eq!(recorded!(Err::<(), _>("no".to_owned())), says(name, "no", ""));
    }

    #[test]
    fn what_cannot_be_displayed_is_shown_by_debug_or_by_type() {
        let name = type_name::<OnlyDebug>();
        assert_eq!(recorded!(Err::<(), _>(OnlyDebug)), says(name, "OnlyDebug", ""));
        let name = type_name::<Opaque>();
        assert_eq!(recorded!(Err::<(), _>(Opaque)), says(name, name, ""));
    }

    #[test]
    fn a_generic_error_is_known_by_its_bounds() {
        fn bounded<E: Display>(error: E) -> Option<[String; 3]> {
            recorded!(Err::<(), E>(error))
        }
        assert_eq!(bounded("no"), says("&str", "no", ""));
    }

    #[test]
    fn an_error_may_borrow() {
        fn borrowed(text: &str) -> Option<[String; 3]> {
            recorded!(Err::<(), &str>(text))
        }
        assert_eq!(borrowed("no"), says("&str", "no", ""));
    }

    #[test]
    fn success_and_what_is_no_result_record_nothing() {
        assert_eq!(recorded!(Ok::<_, OnlyDebug>(1)), None);
        assert_eq!(recorded!(Some(1)), None);
        assert_eq!(recorded!(Opaque), None);
    }
}
