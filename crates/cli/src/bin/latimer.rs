//! The `latimer` binary; everything lives in the library.
fn main() {}
