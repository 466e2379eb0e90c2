//! The body of a Responses request, split into its fields once. What it goes on with, what is stored of it and the turn it asks for are
//! all read from these slices. Pure.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::chain;
use super::object::{ECHOED, Echo};
use crate::inbound::wire::bad_field::BadField;
use crate::inbound::wire::field::{Word, body, raw_fields};

raw_fields! {
    /// The body's fields, untouched. A field that is not here is of no concern to any upstream.
    pub(super) struct BodyFields {
        model,
        input,
        stream,
        conversation,
        prompt,
        background,
        include,
        instructions,
        max_output_tokens,
        max_tool_calls,
        metadata,
        parallel_tool_calls,
        previous_response_id,
        prompt_cache_key,
        prompt_cache_retention,
        reasoning,
        safety_identifier,
        service_tier,
        store,
        temperature,
        text,
        tool_choice,
        tools,
        top_logprobs,
        top_p,
        presence_penalty,
        frequency_penalty,
        truncation,
        user,
    }
}

/// The body of a request. Its fields are found and not yet read.
pub struct RequestBody<'a> {
    bytes: &'a [u8],
    fields: BodyFields<'a>,
}

impl<'a> RequestBody<'a> {
    /// Finds the fields of a body, in one pass over it.
    ///
    /// # Errors
    /// When the body is not one JSON object.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BadField> {
        let fields = body(bytes).map_err(|error| BadField::not_json(bytes, &error, "`model` and `input`"))?;
        Ok(Self { bytes, fields })
    }

    /// The response that the request goes on with, if it names one.
    pub fn previous_response_id(&self) -> Option<String> {
        serde_json::from_str(self.fields.previous_response_id?.get()).ok()
    }

    /// Whether the client wants a stream.
    pub fn wants_stream(&self) -> bool {
        self.fields.stream.is_some_and(|stream| stream.get() == "true")
    }

    /// Whether the client lets the response be stored, which is the API's default.
    pub fn is_stored(&self) -> bool {
        self.fields.store.is_none_or(|store| store.get() == "true")
    }

    /// The items of the request as a JSON array, to be kept for a later request to go on with; `None` when `input` is neither a
    /// string nor a list. `bytes` are the same as those the body was parsed from: a list is a slice of them, and no copy.
    pub fn stored_input(&self, bytes: &Bytes) -> Option<Bytes> {
        let input = self.fields.input?.get();
        if input.starts_with('[') && bytes.as_ptr_range().contains(&input.as_ptr()) {
            return Some(bytes.slice_ref(input.as_bytes()));
        }
        chain::items_of(input).map(|items| Bytes::from(items.into_owned()))
    }

    /// The same body with the items of an earlier response before its own; `None` when the two cannot be joined.
    pub fn with_history(&self, items: &[u8]) -> Option<Vec<u8>> {
        chain::joined(std::str::from_utf8(self.bytes).ok()?, self.fields.input.map(RawValue::get), items)
    }

    /// The person's own messages among the items, as the client wrote them: what a compaction leaves standing.
    pub fn user_messages(&self) -> Vec<Value> {
        #[derive(Deserialize)]
        struct RoleField<'a> {
            #[serde(borrow)]
            role: Option<Word<'a>>,
        }
        let items =
            self.fields.input.and_then(|input| serde_json::from_str::<Vec<&RawValue>>(input.get()).ok());
        let is_by_user = |item: &&RawValue| {
            serde_json::from_str::<RoleField<'_>>(item.get())
                .is_ok_and(|fields| fields.role.as_deref() == Some("user"))
        };
        let messages = items.unwrap_or_default().into_iter().filter(is_by_user);
        messages.filter_map(|item| serde_json::from_str(item.get()).ok()).collect()
    }

    /// The fields, still to be read.
    pub(super) fn fields(&self) -> &BodyFields<'a> {
        &self.fields
    }

    /// How long the body is, in bytes.
    pub(super) fn length(&self) -> usize {
        self.bytes.len()
    }
}

/// The fields that a response repeats, as the client wrote them.
pub(super) fn echo(fields: &BodyFields<'_>, model: String) -> Echo {
    let echoed: [Option<&RawValue>; ECHOED.len()] = [
        fields.background,
        fields.instructions,
        fields.max_output_tokens,
        fields.max_tool_calls,
        fields.metadata,
        fields.parallel_tool_calls,
        fields.previous_response_id,
        fields.prompt_cache_key,
        fields.prompt_cache_retention,
        fields.reasoning,
        fields.safety_identifier,
        fields.service_tier,
        fields.store,
        fields.temperature,
        fields.text,
        fields.tool_choice,
        fields.tools,
        fields.top_logprobs,
        fields.top_p,
        fields.presence_penalty,
        fields.frequency_penalty,
        fields.truncation,
        fields.user,
    ];
    Echo { model, fields: echoed.into_iter().map(|raw| raw.map(ToOwned::to_owned)).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(body: &str) -> RequestBody<'_> {
        RequestBody::parse(body.as_bytes()).expect(body)
    }

    #[test]
    fn a_request_says_what_it_goes_on_with() {
        let body = r#"{"model":"m","previous_response_id":"resp_1","input":"and now?"}"#;
        assert_eq!(parse(body).previous_response_id().as_deref(), Some("resp_1"));
        assert_eq!(parse(r#"{"previous_response_id":null}"#).previous_response_id(), None);
        assert_eq!(parse(r#"{"previous_response_id":7}"#).previous_response_id(), None);
        assert_eq!(parse(r#"{"input":"\"previous_response_id\""}"#).previous_response_id(), None);
        let value =
            |body: Option<Vec<u8>>| serde_json::from_slice::<Value>(&body.expect("joined")).expect("JSON");
        assert_eq!(
            value(parse(body).with_history(br#"[{"a":1}]"#))["input"],
            json!([{ "a": 1 }, { "type": "message", "role": "user", "content": "and now?" }])
        );
        let empty = parse(r#"{"model":"m","previous_response_id":"resp_1"}"#);
        assert_eq!(value(empty.with_history(b"[{\"a\":1}]"))["input"], json!([{ "a": 1 }]));
    }

    #[test]
    fn a_list_is_stored_as_the_slice_that_it_is() {
        let bytes = Bytes::from_static(br#"{"store":true,"input":[{"a":1}]}"#);
        let body = RequestBody::parse(&bytes).expect("a body");
        let input = body.stored_input(&bytes).expect("items");
        assert_eq!(&input[..], br#"[{"a":1}]"#);
        assert!(bytes.as_ptr_range().contains(&input.as_ptr()) && body.is_stored());
        let bytes = Bytes::from_static(br#"{"store":false,"input":"x"}"#);
        let body = RequestBody::parse(&bytes).expect("a body");
        let input = body.stored_input(&bytes).expect("items");
        assert_eq!(&input[..], br#"[{"type":"message","role":"user","content":"x"}]"#);
        assert!(!body.is_stored());
        assert!(parse("{}").is_stored() && !parse(r#"{"store":"yes"}"#).is_stored());
        assert_eq!(parse(r#"{"input":7}"#).stored_input(&Bytes::new()), None);
    }

    #[test]
    fn a_compaction_keeps_what_the_person_wrote() {
        let body = parse(
            r#"{"input":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"type":"reasoning"},{"role":7},8]}"#,
        );
        assert_eq!(body.user_messages(), [json!({ "role": "user", "content": "a" })]);
        assert!(parse(r#"{"input":"a"}"#).user_messages().is_empty());
    }
}
