//! K8: a history from Responses to Responses is mended.
