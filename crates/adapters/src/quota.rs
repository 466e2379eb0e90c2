//! What is left of a provider's allowances: read from the headers of any answer, or asked for where the provider has a place for it.

mod headers;
mod place;

pub use headers::readings;
pub use place::QuotaPlace;
