//! The mind of the watchdog as a whole: every fault by table, the flow of an order, what must hold whatever happens, and
//! whole nights.

mod faults;
mod flow;
mod laws;
mod life;
mod nights;
mod support;
mod tiers;
