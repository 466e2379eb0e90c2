//! Which limit a turn would be over, in words, and when one may come again. Pure.

use super::limits::{Rate, count_text, money_text};

/// After so long a turn that may free something is worth another try.
pub(super) const RETRY_SECONDS: u64 = 2;

/// The longest that a client may be expected to wait.
const MAX_WAIT_SECONDS: u64 = 60;

/// Which limit a turn would be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverLimit {
    /// Requests in a time. The seconds until one more may come.
    Requests(Rate, u64),
    /// Tokens in a time. The seconds until it ends.
    Tokens(Rate, u64),
    /// Money in a time. The seconds until it ends.
    Budget(Rate, u64),
    /// So many turns at once.
    Parallel(u32),
}

impl OverLimit {
    /// When one may come again, in seconds.
    pub fn wait_seconds(self) -> u64 {
        match self {
            Self::Requests(_, wait) | Self::Tokens(_, wait) | Self::Budget(_, wait) => wait.max(1),
            Self::Parallel(_) => RETRY_SECONDS,
        }
    }

    /// Whether the limit holds for so long that a client had better not wait.
    pub fn lasts(self) -> bool {
        self.wait_seconds() > MAX_WAIT_SECONDS
    }

    /// Whether the end of a turn that is open may free it.
    pub(super) fn may_end_soon(self) -> bool {
        !matches!(self, Self::Requests(..)) && self.wait_seconds() <= RETRY_SECONDS
    }

    /// Its name in logs and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Requests(..) => "requests",
            Self::Tokens(..) => "tokens",
            Self::Budget(..) => "budget",
            Self::Parallel(_) => "parallel",
        }
    }

    /// What the key may do, and when it may again. `name` is the key's.
    pub fn message(self, name: &str) -> String {
        let wait = wait_text(self.wait_seconds());
        match self {
            Self::Requests(Rate { amount, per }, _) => {
                format!(
                    "the key `{name}` may make {} requests a {}; the next one may come in {wait}",
                    count_text(amount),
                    per.words()
                )
            }
            Self::Tokens(Rate { amount, per }, _) => {
                format!(
                    "the key `{name}` may use {} tokens a {}, and has; the next turn may come in {wait}",
                    count_text(amount),
                    per.words()
                )
            }
            Self::Budget(Rate { amount, per }, _) => {
                format!(
                    "the budget of the key `{name}` is ${} a {}, and it is spent; the next turn may come in {wait}",
                    money_text(amount),
                    per.words()
                )
            }
            Self::Parallel(max) => {
                format!(
                    "the key `{name}` may have {max} turns open at once; another one may begin when one of them ends"
                )
            }
        }
    }
}

fn wait_text(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}
