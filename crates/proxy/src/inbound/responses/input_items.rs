//! The input of a stored response, in pages, and the answer to its deletion. Pure. Source: `GET /v1/responses/{id}/input_items` in
//! OpenAI's API reference.

use serde_json::{Map, Value, json};

use crate::inbound::wire::bad_field::BadField;
use crate::inbound::wire::path::Path;

/// Items on a page, unless the client says.
const DEFAULT_PAGE: usize = 20;
/// The most items on a page.
const MAX_PAGE: usize = 100;

/// Which page of the input a client wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    limit: usize,
    newest_first: bool,
    after: Option<String>,
}

impl Page {
    /// Reads the query of a `GET`, as it stands behind the question mark. What nobody knows is passed over.
    ///
    /// # Errors
    /// When `limit` is no number from 1 to 100, or `order` is neither `asc` nor `desc`.
    pub fn read(query: &str) -> Result<Self, BadField> {
        let mut page = Self { limit: DEFAULT_PAGE, newest_first: true, after: None };
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match (name, value) {
                ("limit", limit) => {
                    let number = limit.parse().ok().filter(|number| (1..=MAX_PAGE).contains(number));
                    page.limit = number.ok_or_else(|| wrong("limit", "a number from 1 to 100"))?;
                }
                ("order", "asc") => page.newest_first = false,
                ("order", "desc") => page.newest_first = true,
                ("order", _) => return Err(wrong("order", "`asc` or `desc`")),
                ("after", id) => page.after = Some(id.to_owned()),
                _ => {}
            }
        }
        Ok(page)
    }
}

fn wrong(param: &str, wanted: &str) -> BadField {
    BadField::invalid(&Path::bracketed(param), format_args!("should be {wanted}"))
}

/// A page of the input of an answer. `items` are all items of the conversation, the answer's own at the end.
pub fn input_items(id: &str, items: &[u8], response: &[u8], page: &Page) -> String {
    let all: Vec<Value> = serde_json::from_slice(items).unwrap_or_default();
    let response: Value = serde_json::from_slice(response).unwrap_or_default();
    let own = response.get("output").and_then(Value::as_array).map_or(0, Vec::len);
    let inputs = all.len().saturating_sub(own);
    let named = all.into_iter().take(inputs).enumerate();
    let mut input: Vec<Value> = named.map(|(place, item)| with_id(id, place, item)).collect();
    if page.newest_first {
        input.reverse();
    }
    let name = |item: &Value| item.get("id").and_then(Value::as_str).map(str::to_owned);
    let after = page.after.as_ref();
    let start = after.map_or(0, |after| {
        let place = input.iter().position(|item| name(item).as_ref() == Some(after));
        place.map_or(input.len(), |place| place + 1)
    });
    let has_more = input.len().saturating_sub(start) > page.limit;
    let data: Vec<Value> = input.into_iter().skip(start).take(page.limit).collect();
    let (first, last) = (data.first().and_then(name), data.last().and_then(name));
    json!({ "object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more })
        .to_string()
}

/// The item with an id and a type, which clients may leave out and always get.
fn with_id(response: &str, place: usize, item: Value) -> Value {
    let Value::Object(mut fields) = item else { return item };
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or("message").to_owned();
    let prefix = match kind.as_str() {
        "message" => "msg",
        "function_call" => "fc",
        "function_call_output" => "fco",
        "custom_tool_call" => "ctc",
        "custom_tool_call_output" => "ctco",
        "reasoning" => "rs",
        _ => "item",
    };
    if !fields.get("id").is_some_and(Value::is_string) {
        let tail = response.strip_prefix("resp_").unwrap_or(response);
        fields.insert("id".to_owned(), json!(format!("{prefix}_{tail}{place:04x}")));
    }
    if kind == "message" {
        in_full(&mut fields);
    }
    fields.insert("type".to_owned(), json!(kind));
    Value::Object(fields)
}

/// A message may be sent with a bare text; it comes back in parts.
fn in_full(fields: &mut Map<String, Value>) {
    if let Some(Value::String(text)) = fields.get("content") {
        let by_model = fields.get("role").and_then(Value::as_str) == Some("assistant");
        let part = if by_model {
            json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
        } else {
            json!({ "type": "input_text", "text": text })
        };
        fields.insert("content".to_owned(), json!([part]));
    }
    fields.entry("status").or_insert_with(|| json!("completed"));
}

/// The answer to a deletion.
pub fn deleted(id: &str) -> String {
    json!({ "id": id, "object": "response", "deleted": true }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &str) -> Value {
        let items = json!([
            { "role": "user", "content": "a" },
            { "type": "function_call", "id": "fc_own", "call_id": "c", "name": "f", "arguments": "{}" },
            { "type": "function_call_output", "call_id": "c", "output": "x" },
            { "type": "message", "id": "msg_out", "role": "assistant", "content": [] },
        ]);
        let response = json!({ "output": [{ "type": "message", "id": "msg_out" }] });
        let page = Page::read(query).expect("a page");
        let list =
            input_items("resp_ab", items.to_string().as_bytes(), response.to_string().as_bytes(), &page);
        serde_json::from_str(&list).expect("JSON")
    }

    fn ids(list: &Value) -> Vec<&str> {
        list["data"].as_array().expect("a list").iter().filter_map(|item| item["id"].as_str()).collect()
    }

    #[test]
    fn the_input_comes_back_in_pages_and_every_item_has_an_id() {
        let whole = page("");
        assert_eq!(ids(&whole), ["fco_ab0002", "fc_own", "msg_ab0000"]);
        assert_eq!((&whole["has_more"], &whole["last_id"]), (&json!(false), &json!("msg_ab0000")));
        assert_eq!(whole["data"][2]["content"], json!([{ "type": "input_text", "text": "a" }]));
        let first = page("limit=1&order=asc");
        assert_eq!((ids(&first), &first["has_more"]), (vec!["msg_ab0000"], &json!(true)));
        assert_eq!(ids(&page("order=asc&after=msg_ab0000")), ["fc_own", "fco_ab0002"]);
        assert_eq!(ids(&page("after=nothing")), [] as [&str; 0]);
    }

    #[test]
    fn wrong_queries_are_named() {
        for (query, param) in [("limit=0", "limit"), ("limit=x", "limit"), ("order=up", "order")] {
            assert_eq!(Page::read(query).expect_err(query).path.as_deref(), Some(param));
        }
    }
}
