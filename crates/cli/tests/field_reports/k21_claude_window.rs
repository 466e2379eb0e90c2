//! K21: Claude Code is told the window of its model.
