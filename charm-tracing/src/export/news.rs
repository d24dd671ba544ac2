//! What delivery says in the log: one line an execution at most, and only when something changed.

use std::mem;

use super::gate::Rejected;
use super::queue::Queue;

/// A line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) weight: Weight,
    pub(crate) text: String,
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Somebody should know.
    Warning,
    /// It is as the charm's author wanted it.
    Expected,
}

/// What happened in one execution's delivery.
#[derive(Debug, Default)]
pub(super) struct News {
    /// The backend took something: what this execution's root said of the past is told.
    pub(super) delivered: bool,
    /// Why traces wait.
    pub(super) waits: Option<String>,
    /// What is wrong with the backend's certificates, though some are good.
    pub(super) doubt: Option<String>,
    /// How many of the executions in the buffer are this one.
    pub(super) own: u64,
    /// How many waiting executions the backend took.
    pub(super) recovered: Option<u64>,
    /// How many records were refused for good, and why the last one.
    pub(super) refused: Option<(u64, String)>,
    pub(super) rejected: Option<Rejected>,
    /// How many records are lost, because there is no buffer to keep them in.
    pub(super) lost: u64,
}

impl News {
    /// The line, if there is something that was not said before. Notes in the queue's state what
    /// is now said.
    pub(super) fn line(self, queue: &mut Queue) -> Option<Line> {
        let without_buffer = queue.is_off() && queue.problem.is_none();
        let weight = if without_buffer && self.refused.is_none() && self.rejected.is_none() {
            Weight::Expected
        } else {
            Weight::Warning
        };
        let said = [
            queue.problem.take(),
            self.waiting(queue),
            self.doubts(queue),
            self.recovery(queue),
            evicting(queue),
            self.refusals(queue),
            self.rejected.as_ref().map(ToString::to_string),
        ];
        if self.delivered {
            queue.state.evicted = 0;
            queue.state.refused = self.refused.map_or(0, |(count, _)| count);
        }
        let said: Vec<String> = said.into_iter().flatten().collect();
        (!said.is_empty()).then(|| Line { weight, text: said.join("; ") })
    }

    fn waiting(&self, queue: &mut Queue) -> Option<String> {
        if self.lost > 0 {
            let why = self.waits.as_deref().unwrap_or("the last attempt failed a short while ago");
            return Some(format!("{why}; there is no buffer, so this trace is lost"));
        }
        let why = self.waits.as_ref()?;
        let known = mem::replace(&mut queue.state.said.waiting, true);
        (!known).then(|| format!("{why}; traces wait in `{}`", queue.path().display()))
    }

    fn doubts(&self, queue: &mut Queue) -> Option<String> {
        let known = mem::replace(&mut queue.state.said.doubting, self.doubt.is_some());
        self.doubt.clone().filter(|_| !known)
    }

    fn recovery(&self, queue: &mut Queue) -> Option<String> {
        let delivered = self.recovered.filter(|_| self.waits.is_none())?;
        let state = &mut queue.state;
        state.said.evicting = false;
        let given_up = match state.evicted {
            0 => String::new(),
            count => format!(", {} had been given up", executions(count)),
        };
        let waited = mem::take(&mut state.said.waiting);
        let were = if delivered == 1 { "was" } else { "were" };
        waited.then(|| format!("{} that waited {were} delivered{given_up}", executions(delivered)))
    }

    fn refusals(&self, queue: &mut Queue) -> Option<String> {
        let Some((count, why)) = &self.refused else { return None };
        let known = mem::replace(&mut queue.state.said.refusing, true);
        let records = if *count == 1 { "record" } else { "records" };
        (!known).then(|| format!("the backend refused {count} {records} for good ({why})"))
    }
}

/// The line, and what went wrong with the buffer after it was put together.
pub(super) fn with_problem(line: Option<Line>, problem: Option<String>) -> Option<Line> {
    let Some(problem) = problem else { return line };
    let said = line.map(|line| line.text).into_iter().chain([problem]).collect::<Vec<_>>();
    Some(Line { weight: Weight::Warning, text: said.join("; ") })
}

fn evicting(queue: &mut Queue) -> Option<String> {
    let state = &mut queue.state;
    let new = state.evicted > 0 && !state.said.evicting;
    state.said.evicting |= new;
    new.then(|| "the buffer is full: the oldest traces are given up for newer ones".to_owned())
}

fn executions(count: u64) -> String {
    format!("{count} {}", if count == 1 { "execution" } else { "executions" })
}
