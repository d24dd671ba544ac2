//! The way out: finished spans → OTLP request bytes → network or disk.
//!
//! One street. [`encode`] makes payloads of spans, [`Delivery`] decides where they go (the table in
//! ARCHITECTURE.md, row for row), `transport` asks the backend, `queue` is the buffer. What is
//! remembered from one execution to the next is `state`, what an answer means is `gate`.

mod drain;
mod encode;
mod flush;
mod gate;
mod news;
mod payload;
mod protobuf;
mod queue;
mod state;
mod tls;
mod transport;

use std::mem;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use charm_tracing_buffer::{Batch, Record};

use self::drain::{MAX_REQUEST_BYTES, Sent, Stopped};
pub(crate) use self::encode::encode;
pub(crate) use self::flush::{Flushed, Flusher};
use self::gate::{Verdict, classify};
use self::news::News;
pub(crate) use self::news::{Line, Weight};
pub(crate) use self::payload::Payload;
use self::queue::Claim;
pub(crate) use self::queue::Queue;
use self::transport::Transport;
use crate::config::Destination;

/// How many stored bytes are taken from the buffer at a time; compressed, that is several requests.
const PEEK_BYTES: usize = MAX_REQUEST_BYTES;

/// The smallest that requests for the backlog are made when the backend does not take larger ones
/// in time.
const LEAST_REQUEST_BYTES: u32 = 64 * 1024;

/// The end of one execution: where its payloads go.
#[derive(Debug)]
pub(crate) struct Delivery<'a> {
    pub(crate) destination: &'a Result<Option<Destination>, String>,
    pub(crate) queue: &'a mut Queue,
    /// No request is under way after this.
    pub(crate) deadline: Instant,
    /// Any number, for the jitter of the back-off.
    pub(crate) dice: u64,
}

impl Delivery<'_> {
    /// Sends or keeps what is left of the execution, and the backlog if the backend takes it. Says
    /// what has changed, in one line. The queue has recalled what it knows.
    pub(crate) fn run(
        mut self,
        mut live: Vec<Payload>,
        flushed: Flushed,
        report: impl FnOnce(Option<Line>),
    ) {
        let mut news = News::default();
        self.queue.state.evicted += flushed.evicted;
        self.queue.problem = self.queue.problem.take().or(flushed.problem);
        live.extend(flushed.unkept);
        match self.way_out() {
            Ok(transport) => {
                news.doubt = transport.doubt().map(str::to_owned);
                let row = self.row(live, flushed.records, &mut news);
                self.send(&transport, row, &mut news);
            }
            Err(Closed::BackingOff) => self.keep(&live, &mut news),
            Err(Closed::Waits(why)) => {
                self.keep(&live, &mut news);
                news.waits = Some(why);
            }
        }
        let said = news.line(self.queue);
        self.queue.write_back();
        report(news::with_problem(said, self.queue.problem.take()));
    }

    /// What is sent before the backlog: what is live. An execution of which the buffer holds a part
    /// leaves as a whole: with that part, if nothing older waits there, else from there. So does
    /// one whose backend is too slow for two requests, one for it and one for the backlog.
    fn row(&mut self, mut live: Vec<Payload>, flushed: usize, news: &mut News) -> Row {
        let together = self.queue.state.together;
        if flushed > 0
            && !together
            && let Some(row) = self.whole(&mut live, flushed, news)
        {
            return row;
        }
        if flushed > 0 || together {
            live.retain(|payload| !self.queue.push(payload));
            news.own = 1;
        }
        Row { live: live.len(), payloads: live, flushed: None, claim: None }
    }

    /// The whole execution as one row, if the part of it that was flushed is all that waits; of a
    /// very long one as much as is read at a time, and the rest is the backlog.
    fn whole(&mut self, live: &mut Vec<Payload>, flushed: usize, news: &mut News) -> Option<Row> {
        if self.queue.waiting_events() != 1 {
            return None;
        }
        let claim = self.queue.claim()?;
        let (batch, own) = self.queue.peek_own(PEEK_BYTES)?;
        let flushed_first = stored(batch.records().get(..own)?);
        if own < flushed {
            news.own = 1;
        }
        let mut payloads = mem::take(live);
        let live = payloads.len();
        payloads.extend(flushed_first);
        Some(Row { payloads, live, flushed: Some(batch), claim: Some(claim) })
    }

    /// The backend, if an attempt may be made.
    fn way_out(&self) -> Result<Transport, Closed> {
        let none = || Closed::Waits("there is no backend yet".to_owned());
        let destination = self.destination.as_ref().map_err(|why| Closed::Waits(why.clone()))?;
        let destination = destination.as_ref().ok_or_else(none)?;
        let transport = Transport::new(destination).map_err(Closed::Waits)?;
        if self.queue.state.may_try(transport.fingerprint(), now()) {
            Ok(transport)
        } else {
            Err(Closed::BackingOff)
        }
    }

    /// Sends the row, then, if that was taken, the backlog.
    fn send(&mut self, transport: &Transport, row: Row, news: &mut News) {
        let Row { payloads, live, flushed, claim } = row;
        let mut pace = Pace::until(self.deadline);
        let queue = &mut *self.queue;
        let dealt_with = |done: usize| {
            if let Some(batch) = &flushed {
                queue.acknowledge_own(batch, done.saturating_sub(live));
            }
        };
        let post = |request: &Payload| pace.post(transport, request);
        let sent = drain::send(&payloads, MAX_REQUEST_BYTES, post, dealt_with);
        self.keep(&payloads[sent.done.min(live)..live], news);
        if sent.done < payloads.len() {
            news.own = 1;
        }
        let taken = payloads.is_empty() || sent.accepted_any();
        if sent.done == 0 && sent.stopped == Some(Stopped::OutOfTime) {
            news.waits = Some("the export timeout leaves no time to send them".to_owned());
        }
        self.conclude(transport, sent, news);
        if taken && news.waits.is_none() && self.queue.has_records() {
            self.drain(transport, claim, &mut pace, news);
        }
    }

    /// Sends the backlog, oldest first, until it is empty, the time is over or the backend fails;
    /// unless another execution is about it.
    fn drain(
        &mut self,
        transport: &Transport,
        claim: Option<Claim>,
        pace: &mut Pace,
        news: &mut News,
    ) {
        let Some(_claim) = claim.or_else(|| self.queue.claim()) else { return };
        let before = self.queue.waiting_events() + self.queue.lost_events();
        let mut done = 0;
        while let Some(batch) = self.queue.peek(PEEK_BYTES) {
            let sent = self.send_stored(&batch, pace, transport);
            done += sent.done;
            let stopped = sent.stopped.is_some() || self.queue.is_off();
            self.conclude(transport, sent, news);
            if stopped {
                break;
            }
        }
        if self.queue.is_off() {
            // What still waits cannot be found out any more.
            return;
        }
        self.adapt(done);
        let (waiting, lost) = (self.queue.waiting_events(), self.queue.lost_events());
        // It is the newest: as long as anything waits, it does.
        let own = if waiting == 0 { news.own } else { 0 };
        let delivered = before.saturating_sub(waiting + lost + own);
        news.recovered = Some(delivered).filter(|delivered| *delivered > 0);
    }

    fn send_stored(&mut self, batch: &Batch, pace: &mut Pace, transport: &Transport) -> Sent {
        let (limit, queue) = (self.request_limit(), &mut *self.queue);
        let dealt_with = |count| {
            queue.acknowledge(batch, count);
        };
        drain::send(
            &stored(batch.records()),
            limit,
            |request| pace.post(transport, request),
            dealt_with,
        )
    }

    /// Notes for the next time how a drain went that `done` records were dealt with in.
    fn adapt(&mut self, done: usize) {
        if self.queue.has_records() {
            self.queue.state.together |= done == 0;
        } else {
            self.queue.state.request_bytes = 0;
            self.queue.state.together = false;
        }
    }

    /// Draws the conclusions from what became of a row.
    fn conclude(&mut self, transport: &Transport, sent: Sent, news: &mut News) {
        let state = &mut self.queue.state;
        if sent.accepted_any() {
            if !transport.has_hung() {
                state.succeeded(transport.fingerprint());
            }
            state.said.refusing &= sent.refused > 0;
            news.delivered = true;
        }
        if sent.refused > 0 {
            state.refused += sent.refused;
            let (known, _) = news.refused.take().unwrap_or_default();
            news.refused = Some((known + sent.refused, sent.refusal.unwrap_or_default()));
        }
        news.rejected = sent.rejected.or(news.rejected.take());
        if let Some(Stopped::Failed { why, after, request_bytes }) = sent.stopped {
            state.failed(transport.fingerprint(), now(), after, self.dice);
            state.request_bytes = smaller(request_bytes, state.request_bytes);
            news.waits =
                Some(format!("the backend at {} does not take them: {why}", transport.name()));
        } else if transport.has_hung() {
            state.failed(transport.fingerprint(), now(), None, self.dice);
            news.waits =
                Some(format!("the backend at {} does not end its answers", transport.name()));
        }
    }

    /// Puts on disk what cannot be sent now.
    fn keep(&mut self, payloads: &[Payload], news: &mut News) {
        let kept = payloads.iter().filter(|payload| self.queue.push(payload)).count();
        news.lost += u64::try_from(payloads.len() - kept).unwrap_or(u64::MAX);
    }

    fn request_limit(&self) -> usize {
        match self.queue.state.request_bytes {
            0 => MAX_REQUEST_BYTES,
            bytes => usize::try_from(bytes).unwrap_or(MAX_REQUEST_BYTES),
        }
    }
}

/// What is sent before the backlog, in its order: first what was not flushed, for it holds the
/// root, and a backend that takes only so much of a trace should take that.
#[derive(Debug)]
struct Row {
    payloads: Vec<Payload>,
    /// So many of them, the first, are nowhere else.
    live: usize,
    /// The others are in the buffer, at its front.
    flushed: Option<Batch>,
    /// Held where they are.
    claim: Option<Claim>,
}

/// Records as payloads.
fn stored(records: &[Record]) -> Vec<Payload> {
    records.iter().map(|record| Payload::stored(record.bytes.clone())).collect()
}

/// Why no attempt is made.
enum Closed {
    /// There is nothing to try yet.
    Waits(String),
    /// The last attempt failed a short while ago.
    BackingOff,
}

/// Requests one after the other, for as long as there is time for one more like those before it:
/// what a backend takes without being able to say so in time comes again, and then it has it twice.
struct Pace {
    deadline: Instant,
    slowest: Duration,
}

impl Pace {
    fn until(deadline: Instant) -> Self {
        Self { deadline, slowest: Duration::ZERO }
    }

    fn post(&mut self, transport: &Transport, request: &Payload) -> Verdict {
        let began = Instant::now();
        if began + self.slowest >= self.deadline {
            return Verdict::Unasked;
        }
        let verdict = classify(transport.post(request, self.deadline));
        self.slowest = self.slowest.max(began.elapsed());
        verdict
    }
}

/// Half of what was too much to be taken in time, unless it was little already.
fn smaller(failed_bytes: usize, limit: u32) -> u32 {
    match u32::try_from(failed_bytes).unwrap_or(u32::MAX) {
        little if little <= LEAST_REQUEST_BYTES => limit,
        much => (much / 2).max(LEAST_REQUEST_BYTES),
    }
}

/// Milliseconds since the epoch.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
