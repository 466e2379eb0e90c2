//! The Responses protocol in front.
