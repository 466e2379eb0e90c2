//! K20: a tool's output that is JSON goes to Gemini as text.
