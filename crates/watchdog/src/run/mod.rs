//! The process side: what is sensed becomes signals, and actions become deeds.

pub mod child;
pub mod files;
pub mod process;
pub mod registry;
pub mod socket;
