//! K11: broken arguments are mended or asked for again.
