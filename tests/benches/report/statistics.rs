//! Many measurements of one thing, in three numbers.

/// A median, and the quartiles beside it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) lower: f64,
    pub(crate) median: f64,
    pub(crate) upper: f64,
}

impl Spread {
    /// Of no measurements at all it is NaN, which no comparison mistakes for a figure.
    pub(crate) fn of(measurements: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = measurements.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let [lower, median, upper] = [1, 2, 3].map(|quarter| quartile(&sorted, quarter));
        Self { lower, median, upper }
    }

    /// The same in another unit.
    pub(crate) fn times(self, factor: f64) -> Self {
        let Self { lower, median, upper } = self;
        Self { lower: lower * factor, median: median * factor, upper: upper * factor }
    }

    /// `median (lower to upper)`.
    pub(crate) fn with_quartiles(self, decimals: usize) -> String {
        let Self { lower, median, upper } = self;
        format!("{median:.decimals$} ({lower:.decimals$} to {upper:.decimals$})")
    }
}

/// Between the two measurements that it falls between, it lies on the line from one to the other.
fn quartile(sorted: &[f64], quarter: usize) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let (below, rest) = (last * quarter / 4, last * quarter % 4);
    let above = (below + 1).min(last);
    let share = [0.0, 0.25, 0.5, 0.75][rest];
    sorted[below] + (sorted[above] - sorted[below]) * share
}
