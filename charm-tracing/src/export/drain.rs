//! Sending a row of payloads in order: merged into few requests, split where the backend refuses,
//! each dealt with before the next. Pure but for the `post` and `dealt_with` that it is given.

use std::ops::Range;
use std::time::Duration;

use super::gate::{Rejected, Verdict};
use super::payload::Payload;

/// How many bytes a request may have before compression. Collectors take 20 MiB and answer 400
/// above it.
pub(super) const MAX_REQUEST_BYTES: usize = 4 * 1024 * 1024;

/// What became of a row of payloads.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// How many of them, from the front, are dealt with: accepted, or refused for good.
    pub(super) done: usize,
    /// How many of those were refused.
    pub(super) refused: u64,
    /// Why the last of the refused was.
    pub(super) refusal: Option<String>,
    /// What the backend took and then rejected in part.
    pub(super) rejected: Option<Rejected>,
    /// Why the rest was not sent.
    pub(super) stopped: Option<Stopped>,
}

/// Why sending stopped before the end of the row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// The time was over between two requests.
    OutOfTime,
    /// The backend does not take anything now.
    Failed { why: String, after: Option<Duration>, request_bytes: usize },
}

impl Sent {
    /// Whether the backend took at least one of them.
    pub(super) fn accepted_any(&self) -> bool {
        u64::try_from(self.done).unwrap_or(u64::MAX) > self.refused
    }
}

/// Sends `payloads` in their order, in requests of up to `limit` bytes. Whenever the first `n` of
/// them are dealt with, `dealt_with(n)` is told.
pub(super) fn send(
    payloads: &[Payload],
    limit: usize,
    post: impl FnMut(&Payload) -> Verdict,
    dealt_with: impl FnMut(usize),
) -> Sent {
    let mut row = Row { payloads, post, dealt_with, sent: Sent::default() };
    for range in requests(payloads, limit) {
        row.send(range);
        if row.sent.stopped.is_some() {
            break;
        }
    }
    row.sent
}

/// Which neighbours go into one request: as many as fit, one at least.
fn requests(payloads: &[Payload], limit: usize) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut size = 0;
    for (index, payload) in payloads.iter().enumerate() {
        match ranges.last_mut() {
            Some(range) if size + payload.plain_size() <= limit => range.end = index + 1,
            _ => {
                size = 0;
                ranges.push(index..index + 1);
            }
        }
        size += payload.plain_size();
    }
    ranges
}

struct Row<'a, P, D> {
    payloads: &'a [Payload],
    post: P,
    dealt_with: D,
    sent: Sent,
}

impl<P: FnMut(&Payload) -> Verdict, D: FnMut(usize)> Row<'_, P, D> {
    /// Sends one request; where it is refused as a whole, its halves, until the one is found that
    /// is to blame.
    fn send(&mut self, range: Range<usize>) {
        let request = Payload::merged(&self.payloads[range.clone()]);
        match (self.post)(&request) {
            Verdict::Accepted { rejected } => {
                self.sent.rejected = rejected.or(self.sent.rejected.take());
                self.done(range.end);
            }
            Verdict::Never { why } if range.len() == 1 => {
                self.sent.refused += 1;
                self.sent.refusal = Some(why);
                self.done(range.end);
            }
            Verdict::Never { .. } => self.send_halves(range),
            Verdict::Later { why, after } => {
                let request_bytes = request.plain_size();
                self.sent.stopped = Some(Stopped::Failed { why, after, request_bytes });
            }
            Verdict::Unasked => self.sent.stopped = Some(Stopped::OutOfTime),
        }
    }

    fn send_halves(&mut self, range: Range<usize>) {
        let middle = range.start + range.len() / 2;
        self.send(range.start..middle);
        if self.sent.stopped.is_none() {
            self.send(middle..range.end);
        }
    }

    fn done(&mut self, count: usize) {
        self.sent.done = count;
        (self.dealt_with)(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCEPTED: Verdict = Verdict::Accepted { rejected: None };

    fn payloads(count: u8) -> Vec<Payload> {
        (0..count).map(|number| Payload::stored(vec![0x0a, number])).collect()
    }

    /// Sends `count` payloads to a backend that refuses those in `poison`; which requests it got
    /// (by the numbers in them), and what became of the row.
    fn send_with_poison(count: u8, poison: &[u8]) -> (Vec<Vec<u8>>, Sent, Vec<usize>) {
        let (mut requests, mut done) = (Vec::new(), Vec::new());
        let post = |request: &Payload| {
            let numbers: Vec<u8> = request.bytes().iter().copied().skip(1).step_by(2).collect();
            let refused = numbers.iter().any(|number| poison.contains(number));
            requests.push(numbers);
            if refused { Verdict::Never { why: "status 400".into() } } else { ACCEPTED }
        };
        let sent = send(&payloads(count), MAX_REQUEST_BYTES, post, |count| done.push(count));
        (requests, sent, done)
    }

    #[test]
    fn what_fits_goes_in_one_request() {
        let (requests, sent, done) = send_with_poison(100, &[]);
        assert_eq!((requests.len(), sent.done, done), (1, 100, vec![100]));
        assert!(sent.accepted_any());
    }

    #[test]
    fn a_row_is_cut_at_the_limit() {
        let mut sizes = Vec::new();
        let post = |request: &Payload| {
            sizes.push(request.plain_size());
            ACCEPTED
        };
        let row = [payloads(5), vec![Payload::stored(vec![0x0a; 9])], payloads(1)].concat();
        assert_eq!(send(&row, 4, post, |_| ()).done, 7);
        assert_eq!(sizes, [4, 4, 2, 9, 2]);
    }

    #[test]
    fn poison_is_isolated_wherever_it_lies() {
        for poison in [&[0][..], &[3], &[7], &[0, 7], &[2, 3], &[0, 1, 2, 3, 4, 5, 6, 7]] {
            let (requests, sent, done) = send_with_poison(8, poison);
            let accepted = requests.iter().filter(|r| r.iter().all(|n| !poison.contains(n)));
            let mut accepted: Vec<u8> = accepted.flatten().copied().collect();
            accepted.extend(poison);
            accepted.sort_unstable();
            assert_eq!(accepted, [0, 1, 2, 3, 4, 5, 6, 7], "each is accepted or refused, once");
            assert_eq!((sent.done, sent.refused), (8, poison.len() as u64));
            assert!(done.is_sorted() && done.last() == Some(&8));
            assert_eq!(sent.accepted_any(), poison.len() < 8);
        }
    }

    #[test]
    fn a_failure_in_the_middle_keeps_what_was_dealt_with() {
        let mut answers =
            [ACCEPTED, Verdict::Later { why: "refused".into(), after: None }].into_iter();
        let mut done = Vec::new();
        let post = |_: &Payload| answers.next().unwrap_or(Verdict::Unasked);
        let sent = send(&payloads(6), 4, post, |count| done.push(count));
        assert_eq!((sent.done, done), (2, vec![2]));
        let why = "refused".into();
        assert_eq!(sent.stopped, Some(Stopped::Failed { why, after: None, request_bytes: 4 }));
    }

    #[test]
    fn being_out_of_time_is_no_failure() {
        let sent = send(&payloads(6), 4, |_| Verdict::Unasked, |_| ());
        assert_eq!((sent.done, sent.stopped), (0, Some(Stopped::OutOfTime)));
    }
}
