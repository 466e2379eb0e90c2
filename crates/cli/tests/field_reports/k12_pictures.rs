//! K12: one picture never ends a session.
