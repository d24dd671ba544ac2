//! Network or disk: what an answer means, and when the next attempt may be made. Pure; the time
//! and the dice are passed in.

use std::fmt;
use std::time::Duration;

use super::state::State;
use super::transport::{NoReply, Reply};

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The backend has it. What it rejected of it is lost for good.
    Accepted { rejected: Option<Rejected> },
    /// It may be taken later; the backend may say when.
    Later { why: String, after: Option<Duration> },
    /// It can never be taken.
    Never { why: String },
    /// There was no time left to ask.
    Unasked,
}

/// A partial success: final by the specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejected {
    pub(crate) spans: i64,
    pub(crate) message: String,
}

impl fmt::Display for Rejected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { spans, message } = self;
        write!(formatter, "the backend rejected {spans} spans of what it took: {message}")
    }
}

/// Reads an answer as the OTLP specification has it: 429, 502, 503 and 504 and failures of the
/// transport are worth another attempt, no other error is.
///
/// Of redirects it does not speak. They are not followed, so that no trace goes where nobody sent
/// it; but nothing was refused either, and an endpoint that is about to change to `https` often
/// redirects. So they wait.
pub(crate) fn classify(answer: Result<Reply, NoReply>) -> Verdict {
    match answer {
        Ok(Reply { status: 200..=299, rejected, .. }) => Verdict::Accepted { rejected },
        Ok(Reply { status: status @ (300..=399 | 429 | 502 | 503 | 504), retry_after, .. }) => {
            Verdict::Later { why: format!("it answers with status {status}"), after: retry_after }
        }
        // An endpoint that has changed to `https` before the charm knows it.
        Ok(Reply { wants_tls: true, .. }) => Verdict::Later {
            why: "it speaks TLS and was asked in plaintext".to_owned(),
            after: None,
        },
        Ok(Reply { status, .. }) => Verdict::Never { why: format!("status {status}") },
        Err(error) => Verdict::Later { why: error.to_string(), after: None },
    }
}

/// The first wait after a failure, doubled with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// No wait is longer, whatever the backend asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

impl State {
    /// Whether an attempt may be made at `now` (milliseconds since the epoch). A new endpoint or
    /// certificate is a new chance. A time further off than the longest wait comes from a clock
    /// that was wrong.
    pub(crate) fn may_try(&self, destination: u64, now: u64) -> bool {
        let wait = self.not_before.saturating_sub(now);
        self.failures == 0
            || self.destination != destination
            || wait == 0
            || wait > millis(LONGEST_WAIT)
    }

    /// Notes a failure: the next attempt is a wait away, with up to a quarter of jitter
    /// (`dice` is any number) so that the units of an application do not come back all at once.
    pub(crate) fn failed(
        &mut self,
        destination: u64,
        now: u64,
        after: Option<Duration>,
        dice: u64,
    ) {
        self.failures =
            if self.destination == destination { self.failures.saturating_add(1) } else { 1 };
        self.destination = destination;
        let doublings = u32::from(self.failures.saturating_sub(1)).min(16);
        let own = FIRST_WAIT.saturating_mul(1 << doublings);
        let wait = millis(after.unwrap_or(own).min(LONGEST_WAIT));
        let jitter = if after.is_some() { 0 } else { wait / 4 * (dice % 1024) / 1024 };
        self.not_before = now.saturating_add(wait - jitter);
    }

    /// Notes that the backend takes requests.
    pub(crate) fn succeeded(&mut self, destination: u64) {
        (self.failures, self.not_before, self.destination) = (0, 0, destination);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: u64 = 1;
    const NOW: u64 = 1_790_000_000_000;

    fn reply(status: u16) -> Reply {
        Reply { status, retry_after: None, rejected: None, wants_tls: false }
    }

    #[test]
    fn only_redirects_and_what_the_specification_names_is_tried_again() {
        for status in 100..600 {
            let verdict = classify(Ok(reply(status)));
            match status {
                200..=299 => assert_eq!(verdict, Verdict::Accepted { rejected: None }),
                300..=399 | 429 | 502 | 503 | 504 => {
                    assert!(matches!(verdict, Verdict::Later { .. }));
                }
                _ => assert!(matches!(verdict, Verdict::Never { .. }), "{status}"),
            }
        }
    }

    #[test]
    fn waits_double_up_to_five_minutes() {
        let mut state = State::default();
        let mut waits = Vec::new();
        for _ in 0..12 {
            state.failed(HERE, NOW, None, 0);
            waits.push((state.not_before - NOW) / 1000);
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]);
    }

    #[test]
    fn jitter_takes_off_up_to_a_quarter() {
        for dice in [0, 1, 511, 1023, u64::MAX] {
            let mut state = State::default();
            state.failed(HERE, NOW, None, dice);
            let wait = state.not_before - NOW;
            assert!((1500..=2000).contains(&wait), "{wait}");
        }
    }

    #[test]
    fn what_the_backend_asks_for_is_honoured_up_to_five_minutes() {
        for (asked, wait) in [(7, 7), (0, 0), (3600, 300)] {
            let mut state = State::default();
            state.failed(HERE, NOW, Some(Duration::from_secs(asked)), 999);
            assert_eq!(state.not_before, NOW + wait * 1000);
        }
    }

    #[test]
    fn no_attempt_is_made_while_waiting_but_for_another_destination() {
        let mut state = State::default();
        assert!(state.may_try(HERE, NOW));
        state.failed(HERE, NOW, None, 0);
        assert!(!state.may_try(HERE, NOW + 1999));
        assert!(state.may_try(HERE, NOW + 2000));
        assert!(state.may_try(HERE + 1, NOW));
        assert!(state.may_try(HERE, NOW - 3_600_000), "the clock was set back");
        state.succeeded(HERE);
        assert!(state.may_try(HERE, NOW));
    }
}
