//! The `latimer` command.
