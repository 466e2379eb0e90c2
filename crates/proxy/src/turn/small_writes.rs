//! Writes of a few bytes without an allocation each.

use bytes::{Bytes, BytesMut};

/// Writes of so many bytes share a buffer; a larger one is handed out as it is.
pub(super) const MAX_SMALL_WRITE: usize = 1024;

/// A buffer that writes share. It is used again once hyper has sent what it holds, so a delta costs a copy of its bytes and no allocation.
#[derive(Default)]
pub(super) struct SmallWrites(BytesMut);

impl SmallWrites {
    /// A copy of these bytes; `None` of none.
    pub(super) fn copy(&mut self, bytes: &[u8]) -> Option<Bytes> {
        if bytes.is_empty() {
            return None;
        }
        if self.0.capacity() < bytes.len() {
            self.0.reserve(2 * MAX_SMALL_WRITE);
        }
        self.0.extend_from_slice(bytes);
        Some(self.0.split().freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_share_a_buffer_that_is_used_again() {
        let mut writes = SmallWrites::default();
        assert_eq!(writes.copy(b""), None);
        let first = writes.copy(b"one").expect("bytes");
        let second = writes.copy(b"two").expect("bytes");
        assert_eq!((&*first, &*second), (&b"one"[..], &b"two"[..]));
        assert_eq!(second.as_ptr() as usize - first.as_ptr() as usize, 3, "one buffer");
        drop((first, second));
        for _ in 0..1000 {
            assert_eq!(writes.copy(&[7; MAX_SMALL_WRITE]).expect("bytes").len(), MAX_SMALL_WRITE);
        }
        assert!(writes.0.capacity() <= 4 * MAX_SMALL_WRITE, "{}", writes.0.capacity());
    }
}
