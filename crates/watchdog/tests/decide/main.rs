//! What the watchdog decides, as a whole: every fault by table, the flow of an order, what must hold whatever happens, and
//! whole nights.

mod any_signal;
mod fault_cases;
mod faults;
mod flow;
mod laws;
mod life;
mod nights;
mod support;
mod tiers;
