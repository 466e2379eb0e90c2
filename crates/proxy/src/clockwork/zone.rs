//! Time zones by their names of the IANA.

use jiff::tz::TimeZone;

/// A time zone, and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    zone: TimeZone,
    name: String,
}

/// There is no zone of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no time zone `{0}`: write a name of the IANA, such as `Europe/Vienna`, `America/New_York` or `UTC`"
)]
pub struct UnknownZone(String);

/// The longest name that is looked up.
const MAX_NAME: usize = 64;

impl Zone {
    /// The zone of this name.
    ///
    /// # Errors
    /// There is none, neither on this machine nor in the table that is built in.
    pub fn named(name: &str) -> Result<Self, UnknownZone> {
        let unknown = || UnknownZone(crate::text::shown(name, MAX_NAME));
        if name.len() > MAX_NAME {
            return Err(unknown());
        }
        let zone = TimeZone::get(name).map_err(|_| unknown())?;
        // As it is listed: names are found in any case.
        let name = zone.iana_name().unwrap_or(name).to_owned();
        Ok(Self { zone, name })
    }

    /// The zone of this machine; UTC where it has none with a name.
    pub fn of_machine() -> Self {
        let zone = TimeZone::system();
        match zone.iana_name().map(str::to_owned) {
            Some(name) => Self { zone, name },
            None => Self::utc(),
        }
    }

    /// Without summer time, the same everywhere.
    pub fn utc() -> Self {
        Self { zone: TimeZone::UTC, name: "UTC".to_owned() }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn zone(&self) -> &TimeZone {
        &self.zone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_have_names_and_a_wrong_one_says_how_they_are_written() {
        assert_eq!(Zone::named("Europe/Vienna").expect("a zone").name(), "Europe/Vienna");
        assert_eq!(Zone::named("utc").expect("a zone").name(), "UTC");
        for wrong in ["Vienna", "", "../../etc/passwd", "/etc/localtime", &"x".repeat(5000)] {
            let error = Zone::named(wrong).expect_err("no zone").to_string();
            assert!(error.contains("`Europe/Vienna`") && error.len() < 250, "{error}");
        }
        assert!(!Zone::of_machine().name().is_empty());
    }
}
