//! Durations and sizes as people write them in a configuration. Pure.

use std::time::Duration;

/// A duration such as `10s`, `500ms`, `5m`, `1h`; `None` for anything else. More than nothing, and a week at most: beyond it a slip of the key is likelier than an intention.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number: u64 = number.parse().ok()?;
    let millis = match unit.trim() {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let duration = Duration::from_millis(number.checked_mul(millis)?);
    (!duration.is_zero() && duration <= Duration::from_secs(7 * 86_400)).then_some(duration)
}

/// A size such as `64MiB`, `500kB`, `1000B`, in bytes; `None` for anything else, and for 0.
pub fn size(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number: u64 = number.parse().ok()?;
    let factor = match unit.trim() {
        "B" => 1,
        "kB" | "KB" => 1000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor).filter(|size| *size > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes() {
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("5m"), Some(Duration::from_secs(300)));
        for text in ["", "5", "s", "0s", "-5s", "5 parsecs", "99999999999999999999s", "400h"] {
            assert_eq!(duration(text), None, "{text}");
        }
        assert_eq!(size("64MiB"), Some(64 << 20));
        for text in ["64", "0B", "MiB", "99999999999999999999GiB", "1e3B"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
