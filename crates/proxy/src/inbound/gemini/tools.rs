//! Function declarations and the choice among them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use latimer_protocol::turn::{Tool, ToolChoice};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::BadRequest;
use super::names::Names;
use super::read::{At, field, given, list};
use super::schema;
use crate::text::{MAX_WORD, shown};

/// Tools that only Google's own servers can run.
const HOSTED: [&str; 16] = [
    "googleSearch",
    "google_search",
    "googleSearchRetrieval",
    "google_search_retrieval",
    "urlContext",
    "url_context",
    "codeExecution",
    "code_execution",
    "computerUse",
    "computer_use",
    "fileSearch",
    "file_search",
    "googleMaps",
    "google_maps",
    "enterpriseWebSearch",
    "mcpServers",
];

/// A declaration; the answer's schema is of no concern to any upstream.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Declaration<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    description: Option<&'a RawValue>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
    #[serde(borrow, alias = "parameters_json_schema")]
    parameters_json_schema: Option<&'a RawValue>,
}

/// Reads `tools`. What runs on Google's servers is left out with a note.
pub(super) fn declare(
    raw: Option<&RawValue>,
    names: &mut Names,
    out: &mut Vec<Tool>,
    notes: &mut Vec<String>,
) -> Result<(), BadRequest> {
    let at = At::root("tools");
    // Maps, and not structs: every other key is a tool of its own.
    let tools: Vec<BTreeMap<Cow<'_, str>, &RawValue>> = list(raw, &at, "a list of tools")?;
    for (place, tool) in tools.iter().enumerate() {
        let at = at.index(place);
        for (key, value) in tool {
            match key.as_ref() {
                "functionDeclarations" | "function_declarations" => {
                    let at = at.field("functionDeclarations");
                    let functions: Vec<Declaration<'_>> = list(Some(value), &at, "a list of functions")?;
                    for (place, wire) in functions.iter().enumerate() {
                        function(wire, &at.index(place), names, out, notes)?;
                    }
                }
                hosted if HOSTED.contains(&hosted) => notes.push(format!(
                    "the tool `{hosted}` runs on Google's servers, has no equal upstream and was left out"
                )),
                other => notes.push(format!("an unknown tool `{}` was left out", shown(other, MAX_WORD))),
            }
        }
    }
    Ok(())
}

fn function(
    wire: &Declaration<'_>,
    at: &At<'_>,
    names: &mut Names,
    out: &mut Vec<Tool>,
    notes: &mut Vec<String>,
) -> Result<(), BadRequest> {
    let name: Option<Cow<'_, str>> = field(wire.name, &at.field("name"), "a string")?;
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Err(BadRequest::at(
            &at.field("name"),
            format_args!("is missing; every function needs a name"),
        ));
    };
    let Some(hub) = names.declare(&name) else {
        notes.push(format!(
            "the function `{}` was declared twice; the first one counts",
            shown(&name, MAX_WORD)
        ));
        return Ok(());
    };
    let description = field(wire.description, &at.field("description"), "a string")?;
    let schema = given(wire.parameters_json_schema).or(given(wire.parameters));
    let parameters = match (given(wire.parameters_json_schema), given(wire.parameters)) {
        (Some(raw), _) => schema::pass(raw),
        (None, Some(raw)) => schema::raise(raw),
        (None, None) => None,
    };
    if schema.is_some() && parameters.is_none() {
        notes.push(format!("the parameters of `{}` are no schema and were left out", shown(&name, MAX_WORD)));
    }
    out.push(Tool { name: hub, description, parameters, strict: None });
    Ok(())
}

/// Reads `toolConfig`. Functions that are not allowed are no longer declared.
pub(super) fn choice(
    raw: Option<&RawValue>,
    names: &Names,
    declared: &mut Vec<Tool>,
    notes: &mut Vec<String>,
) -> Result<ToolChoice, BadRequest> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire<'a> {
        #[serde(borrow, alias = "function_calling_config")]
        function_calling_config: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Calling<'a> {
        #[serde(borrow)]
        mode: Option<&'a RawValue>,
        #[serde(borrow, alias = "allowed_function_names")]
        allowed_function_names: Option<&'a RawValue>,
    }
    let at = At::root("toolConfig");
    let Some(wire) = field::<Wire<'_>>(raw, &at, "an object")? else { return Ok(ToolChoice::Auto) };
    let at = at.field("functionCallingConfig");
    let Some(wire) = field::<Calling<'_>>(wire.function_calling_config, &at, "an object")? else {
        return Ok(ToolChoice::Auto);
    };
    let mode: Option<Cow<'_, str>> = field(wire.mode, &at.field("mode"), "a string")?;
    let must = match mode.as_deref().unwrap_or("AUTO").to_ascii_uppercase().as_str() {
        "AUTO" | "VALIDATED" | "MODE_UNSPECIFIED" | "" => false,
        "ANY" => true,
        "NONE" => return Ok(ToolChoice::None),
        _ => {
            return Err(BadRequest::at(
                &at.field("mode"),
                format_args!("should be AUTO, ANY, VALIDATED or NONE"),
            ));
        }
    };
    let at = at.field("allowedFunctionNames");
    let allowed: Vec<String> =
        field(wire.allowed_function_names, &at, "a list of names")?.unwrap_or_default();
    if !allowed.is_empty() {
        let allowed: Vec<Cow<'_, str>> = allowed.iter().map(|name| names.hub(name)).collect();
        if !declared.iter().any(|tool| allowed.iter().any(|name| *name == tool.name)) {
            return Err(BadRequest::at(&at, format_args!("names no function that is declared in `tools`")));
        }
        declared.retain(|tool| allowed.iter().any(|name| *name == tool.name));
    }
    Ok(match (must, declared.as_slice()) {
        (false, _) => ToolChoice::Auto,
        (true, []) => {
            notes.push("a call was demanded, and no function is declared: the model decides".to_owned());
            ToolChoice::Auto
        }
        (true, [only]) => ToolChoice::Function(only.name.clone()),
        (true, _) => ToolChoice::Required,
    })
}
