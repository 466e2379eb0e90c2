//! What this process holds, as the system tells it.

/// Bytes this process holds in memory now; 0 where the system does not tell.
pub(super) fn resident_memory() -> u64 {
    std::fs::read_to_string("/proc/self/statm").ok().and_then(|statm| resident_bytes(&statm)).unwrap_or(0)
}

/// The second field of `statm` counts pages; proc(5).
fn resident_bytes(statm: &str) -> Option<u64> {
    const PAGE_BYTES: u64 = 4096;
    statm.split_whitespace().nth(1)?.parse::<u64>().ok()?.checked_mul(PAGE_BYTES)
}

/// Open file descriptors of this process; 0 where the system does not tell.
pub(super) fn open_descriptors() -> u64 {
    std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_field_counts_pages() {
        assert_eq!(resident_bytes("9000 25 11 3 0 7 0\n"), Some(25 * 4096));
        for unreadable in ["", "9000", "9000 many"] {
            assert_eq!(resident_bytes(unreadable), None, "{unreadable:?}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_tells_about_this_process() {
        assert!(resident_memory() > 1 << 16);
        assert!(open_descriptors() > 2);
    }
}
