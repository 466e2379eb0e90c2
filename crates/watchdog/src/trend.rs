//! Prediction: numbers with their times in, a trend out. Memory that grows steadily is a fault before it is a limit.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Time;

/// Samples closer than this to the one before are left out, so that the window spans long enough.
const MIN_SAMPLE_INTERVAL: Duration = Duration::from_secs(5);
/// The most samples: twenty minutes of them.
const MAX_SAMPLES: usize = 240;
/// A trend needs so many samples …
const MIN_SAMPLES: usize = 30;
/// … over so long a time.
const MIN_SPAN: Duration = Duration::from_secs(300);
/// How well a straight line must fit to be called steady (the coefficient of determination).
const MIN_FIT: f64 = 0.8;

/// The last numbers of one kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrendEstimator {
    samples: VecDeque<(Time, u64)>,
}

/// A steady growth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// How much it grows in an hour.
    pub per_hour: f64,
    /// Where the line stands now.
    pub now: f64,
}

impl Trend {
    /// When it will be at this number; none when that is more than a week away.
    pub fn reaches(&self, limit: u64) -> Option<Duration> {
        let hours = ((as_float(limit) - self.now) / self.per_hour).max(0.0);
        (hours < 168.0).then(|| Duration::from_secs_f64(hours * 3600.0))
    }
}

impl TrendEstimator {
    /// One more number. One that is older than the last, or too close to it, is left out.
    pub fn push(&mut self, at: Time, value: u64) {
        if self.samples.back().is_some_and(|(last, _)| at.since(*last) < MIN_SAMPLE_INTERVAL) {
            return;
        }
        self.samples.push_back((at, value));
        if self.samples.len() > MAX_SAMPLES {
            self.samples.pop_front();
        }
    }

    /// Another process: its numbers have nothing to do with those before.
    pub fn clear(&mut self) {
        self.samples.clear();
    }

    /// The trend, if the numbers grow steadily and there are enough of them.
    pub fn trend(&self) -> Option<Trend> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        if self.samples.len() < MIN_SAMPLES || last.0.since(first.0) < MIN_SPAN {
            return None;
        }
        let points = || {
            self.samples
                .iter()
                .map(|(at, value)| (at.since(first.0).as_secs_f64() / 3600.0, as_float(*value)))
        };
        let count = as_float(self.samples.len() as u64);
        let sum = points().fold((0.0, 0.0), |sum, (x, y)| (sum.0 + x, sum.1 + y));
        let mean = (sum.0 / count, sum.1 / count);
        let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
        for (x, y) in points() {
            let (x, y) = (x - mean.0, y - mean.1);
            (xx, xy, yy) = (xx + x * x, xy + x * y, yy + y * y);
        }
        // All at one moment, or all the same number: no line, or a flat one.
        if xx <= 0.0 || yy <= 0.0 || xy <= 0.0 {
            return None;
        }
        let (per_hour, fit) = (xy / xx, xy * xy / (xx * yy));
        let x = last.0.since(first.0).as_secs_f64() / 3600.0;
        (fit >= MIN_FIT && per_hour.is_finite())
            .then_some(Trend { per_hour, now: mean.1 + per_hour * (x - mean.0) })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a trend of bytes needs no more than 52 bits")]
fn as_float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn slope(seconds: u64, value: impl Fn(u64) -> u64) -> TrendEstimator {
        let mut slope = TrendEstimator::default();
        for second in 0..seconds {
            slope.push(Time::from_secs(1000 + second), value(second));
        }
        slope
    }

    #[test]
    fn steady_growth_is_seen_before_the_limit() {
        // One mebibyte in ten seconds, with a sawtooth on it, as an allocator makes one.
        let trend = slope(600, |s| 60 * MIB + s * MIB / 10 + (s % 7) * MIB / 4).trend().expect("a trend");
        let per_hour = trend.per_hour / as_float(MIB);
        assert!((340.0..380.0).contains(&per_hour), "{per_hour}");
        let left = trend.reaches(180 * MIB).expect("soon");
        assert!((500..700).contains(&left.as_secs()), "{left:?}");
        assert_eq!(trend.reaches(60 * MIB), Some(Duration::ZERO), "it is over it already");
    }

    #[test]
    fn what_is_no_leak_has_no_trend() {
        assert_eq!(slope(600, |_| 60 * MIB).trend(), None, "flat");
        assert_eq!(
            slope(600, |s| 60 * MIB + (s / 30 % 2) * 20 * MIB).trend(),
            None,
            "up and down with the load"
        );
        assert_eq!(slope(600, |s| 200 * MIB - s * MIB / 10).trend(), None, "falling");
        assert_eq!(slope(200, |s| 60 * MIB + s * MIB).trend(), None, "too short a time");
        assert_eq!(slope(600, |s| if s < 500 { 60 * MIB } else { 120 * MIB }).trend(), None, "one step");
        let mut cleared = slope(600, |s| 60 * MIB + s * MIB);
        cleared.clear();
        assert_eq!(cleared.trend(), None);
    }

    proptest! {
        #[test]
        fn numbers_of_any_kind_are_taken(samples in prop::collection::vec((any::<u64>(), any::<u64>()), 0..600)) {
            let mut slope = TrendEstimator::default();
            for (at, value) in samples {
                slope.push(Time::from_millis(at), value);
                if let Some(trend) = slope.trend() {
                    prop_assert!(trend.per_hour > 0.0);
                    let _ = trend.reaches(value);
                }
            }
            prop_assert!(slope.samples.len() <= MAX_SAMPLES);
        }
    }
}
