//! What is wanted of a figure, and whether it is reached.

/// One figure that has a limit.
#[derive(Debug)]
pub(crate) struct Verdict {
    what: String,
    limit: f64,
    reached: f64,
    unit: &'static str,
}

impl Verdict {
    /// `what` may be `limit` at most.
    pub(crate) fn at_most(
        what: impl Into<String>,
        limit: f64,
        reached: f64,
        unit: &'static str,
    ) -> Self {
        Self { what: what.into(), limit, reached, unit }
    }

    /// What is not a number is not reached.
    fn holds(&self) -> bool {
        self.reached <= self.limit
    }

    pub(super) fn cells(&self) -> [String; 4] {
        let Self { what, limit, reached, unit } = self;
        let verdict = if self.holds() { "yes" } else { "**missed**" };
        let decimals = if *reached < 10.0 { 2 } else { 0 };
        let reached = format!("{reached:.decimals$}{unit}");
        [what.clone(), format!("{limit}{unit}"), reached, verdict.to_owned()]
    }
}
