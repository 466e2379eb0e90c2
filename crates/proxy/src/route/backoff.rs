//! How long to wait before the next attempt. Pure: the attempt's number, the provider's wish and a random number in.

use std::time::Duration;

/// The first wait.
const BASE: Duration = Duration::from_millis(500);
/// The longest wait of our own choosing.
const CAP: Duration = Duration::from_secs(8);
/// The longest wait a provider may ask for before its answer is passed on to the client.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// The wait before attempt number `retry` (1 is the first retry), or `None` when the provider asks for longer than latimer
/// is willing to hold a client.
///
/// Without a wish: 0.5 s doubling to 8 s, spread over ±25 % by `random` so that many clients do not come back together.
pub fn wait(retry: u32, retry_after: Option<Duration>, random: u8) -> Option<Duration> {
    if let Some(asked) = retry_after {
        return (asked <= MAX_RETRY_AFTER).then_some(asked);
    }
    let plain = BASE.saturating_mul(1 << retry.saturating_sub(1).min(10)).min(CAP);
    let spread = 0.75 + 0.5 * f64::from(random) / 255.0;
    Some(plain.mul_f64(spread))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_a_cap_within_the_spread() {
        for (retry, plain) in [(1, 500), (2, 1000), (3, 2000), (5, 8000), (40, 8000)] {
            let plain = Duration::from_millis(plain);
            assert_eq!(wait(retry, None, 0), Some(plain.mul_f64(0.75)));
            assert_eq!(wait(retry, None, 255), Some(plain.mul_f64(1.25)));
        }
    }

    #[test]
    fn a_provider_is_obeyed_up_to_a_minute() {
        assert_eq!(wait(1, Some(Duration::from_secs(60)), 9), Some(Duration::from_secs(60)));
        assert_eq!(wait(1, Some(Duration::from_secs(61)), 9), None);
    }
}
