//! What this process holds, as the system tells it.

/// Bytes this process holds in memory now; 0 where the system does not tell.
pub(super) fn resident_memory() -> u64 {
    const PAGE: u64 = 4096;
    std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| statm.split_whitespace().nth(1)?.parse::<u64>().ok())
        .map_or(0, |pages| pages * PAGE)
}

/// File descriptors of this process; 0 where the system does not tell.
pub(super) fn descriptors() -> u64 {
    std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64)
}
