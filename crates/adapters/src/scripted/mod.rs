//! A provider without a network: a Chat Completions server on loopback that plays a scenario.
//!
//! The demo, the tests and the benches stand on it. A [`Scenario`] says what to answer, down to single bytes and how the
//! connection dies; a [`Provider`] serves it on a port of its own and remembers what it was asked.
//!
//! ```
//! use latimer_adapters::scripted::{Provider, Scenario, ScriptedAnswer};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let scenario = Scenario::new([
//!     ScriptedAnswer::error(429, serde_json::json!({"error": {"message": "slow down"}})).header("retry-after", "1"),
//!     ScriptedAnswer::text("hello"),
//! ]);
//! let provider = Provider::start(scenario).await?;
//! assert!(provider.base_url().starts_with("http://127.0.0.1:"));
//! # std::io::Result::Ok(()) }).unwrap();
//! ```

mod builders;
mod head;
mod play;
mod record;
mod render;
mod scenario;
mod server;
mod service;

pub use record::RecordedRequest;
pub use scenario::{Bytes64, Encoding, Framing, ReasoningField, Scenario, ScriptedAnswer, Step};
pub use server::Provider;
pub use service::{Service, ServiceRequest};
