//! From asynchronous code to a database that blocks its thread.

use super::store::AgentStoreError;

/// Has this done on a thread that may block.
///
/// # Errors
/// What the work says; or the process ends meanwhile.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AgentStoreError> + Send + 'static,
) -> Result<T, AgentStoreError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(AgentStoreError::BrokenOff))
}
