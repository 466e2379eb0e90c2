//! `POST /v1/messages/count_tokens`: the request is read by [`super::request::read`] as any other; here is the answer.

/// The answer for so many input tokens.
pub fn answer(input_tokens: u64) -> String {
    format!("{{\"input_tokens\":{input_tokens}}}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_number() {
        let value: serde_json::Value = serde_json::from_str(&super::answer(2095)).expect("JSON");
        assert_eq!(value, serde_json::json!({ "input_tokens": 2095 }));
    }
}
