//! The Chat Completions wire: [`request`] as written, [`chunk`] as read.

pub mod chunk;
mod lenient;
pub mod request;

pub use lenient::Text;
