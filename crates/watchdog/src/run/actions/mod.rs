//! Actions: what an order does to the system. Each is on the closed list of [`Action`](crate::action::Action).

pub mod capture;
pub mod cleanup;
pub mod notify;
pub mod routes;
