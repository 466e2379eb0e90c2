//! Serving: connections in, each request to its route, and stopping without breaking a stream.
//!
//! ```text
//! serve ──► dispatch ──► router                     which row of the table, which action
//!             │    ├───► access, request_body       who may come in, and with how much
//!             │    ├───► turn                       the answer of a model
//!             │    └───► admin, health, models, …   documents that need no model
//!             └───► websocket                       the same turns over one connection
//! proxy, endpoints, overrides, lag                  what outlives a connection
//! ```
//!
//! The server imports turns, and never the other way round.

mod access;
mod accounts;
mod action;
mod admin;
mod admission;
mod agents;
mod api;
mod asker;
mod client_keys;
mod connections;
mod dispatch;
mod documents;
mod endpoints;
mod entry;
mod forwarded;
mod found_clients;
mod health;
mod jobs;
mod lag;
mod live_feed;
mod metrics;
mod overrides;
mod page;
mod page_codes;
mod page_logins;
mod page_session;
mod process_stats;
pub mod proof;
mod proxy;
mod readiness;
mod refusals;
mod request_body;
mod request_names;
mod router;
mod serve;
mod stored_responses;
mod transport;
mod watchdog;
mod websocket;
mod workers;

pub use self::proxy::Proxy;
pub use self::serve::Doors;
pub use self::transport::Protection;
