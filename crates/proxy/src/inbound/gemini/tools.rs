//! Function declarations and the choice among them. Pure.

use std::collections::BTreeMap;

use latimer_protocol::turn::{Tool, ToolChoice};
use serde_json::value::RawValue;

use super::names::Names;
use super::schema;
use crate::inbound::notes::Notes;
use crate::inbound::wire::bad_field::BadField;
use crate::inbound::wire::field::{Word, given, one_or_more, optional, optional_object, raw_fields};
use crate::inbound::wire::path::Path;
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

raw_fields! {
    /// A declaration; the answer's schema is of no concern to any upstream.
    #[serde(rename_all = "camelCase")]
    struct DeclarationFields {
        name,
        description,
        parameters,
        #[serde(alias = "parameters_json_schema")]
        parameters_json_schema,
    }
}

/// Reads `tools`. What runs on Google's servers is left out with a note.
pub(super) fn declare(
    raw: Option<&RawValue>,
    names: &mut Names,
    out: &mut Vec<Tool>,
    notes: &mut Notes,
) -> Result<(), BadField> {
    let at = Path::bracketed("tools");
    // Maps, and not structs: every other key is a tool of its own.
    let tools: Vec<BTreeMap<String, &RawValue>> = one_or_more(raw, &at, "a list of tools")?;
    for (place, tool) in tools.iter().enumerate() {
        let at = at.index(place);
        for (key, value) in tool {
            match key.as_str() {
                "functionDeclarations" | "function_declarations" => {
                    let at = at.field("functionDeclarations");
                    let functions: Vec<DeclarationFields<'_>> =
                        one_or_more(Some(value), &at, "a list of functions")?;
                    for (place, fields) in functions.iter().enumerate() {
                        function(fields, &at.index(place), names, out, notes)?;
                    }
                }
                hosted if HOSTED.contains(&hosted) => notes.add(format!(
                    "the tool `{hosted}` runs on Google's servers, has no equal upstream and was left out"
                )),
                other => notes.add(format!("an unknown tool `{}` was left out", shown(other, MAX_WORD))),
            }
        }
    }
    Ok(())
}

fn function(
    fields: &DeclarationFields<'_>,
    at: &Path<'_>,
    names: &mut Names,
    out: &mut Vec<Tool>,
    notes: &mut Notes,
) -> Result<(), BadField> {
    let name: Option<Word<'_>> = optional(fields.name, &at.field("name"), "a string")?;
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Err(BadField::invalid(&at.field("name"), "is missing; every function needs a name"));
    };
    let Some(hub) = names.declare(&name) else {
        notes.add(format!(
            "the function `{}` was declared twice; the first one counts",
            shown(&name, MAX_WORD)
        ));
        return Ok(());
    };
    let description = optional(fields.description, &at.field("description"), "a string")?;
    let schema = given(fields.parameters_json_schema).or(given(fields.parameters));
    let parameters = match (given(fields.parameters_json_schema), given(fields.parameters)) {
        (Some(raw), _) => schema::pass(raw),
        (None, Some(raw)) => schema::raise(raw),
        (None, None) => None,
    };
    if schema.is_some() && parameters.is_none() {
        notes.add(format!("the parameters of `{}` are no schema and were left out", shown(&name, MAX_WORD)));
    }
    out.push(Tool { name: hub, description, parameters, strict: None });
    Ok(())
}

/// Reads `toolConfig`. Functions that are not allowed are no longer declared.
pub(super) fn choice(
    raw: Option<&RawValue>,
    names: &Names,
    declared: &mut Vec<Tool>,
    notes: &mut Notes,
) -> Result<ToolChoice, BadField> {
    raw_fields! {
        #[serde(rename_all = "camelCase")]
        struct ToolConfigFields {
            #[serde(alias = "function_calling_config")]
            function_calling_config,
        }
    }
    raw_fields! {
        #[serde(rename_all = "camelCase")]
        struct CallingConfigFields {
            mode,
            #[serde(alias = "allowed_function_names")]
            allowed_function_names,
        }
    }
    let at = Path::bracketed("toolConfig");
    let Some(fields) = optional_object::<ToolConfigFields<'_>>(raw, &at)? else {
        return Ok(ToolChoice::Auto);
    };
    let at = at.field("functionCallingConfig");
    let Some(fields) = optional_object::<CallingConfigFields<'_>>(fields.function_calling_config, &at)?
    else {
        return Ok(ToolChoice::Auto);
    };
    let mode: Option<Word<'_>> = optional(fields.mode, &at.field("mode"), "a string")?;
    let must = match mode.as_deref().unwrap_or("AUTO").to_ascii_uppercase().as_str() {
        "AUTO" | "VALIDATED" | "MODE_UNSPECIFIED" | "" => false,
        "ANY" => true,
        "NONE" => return Ok(ToolChoice::None),
        _ => {
            return Err(BadField::invalid(&at.field("mode"), "should be AUTO, ANY, VALIDATED or NONE"));
        }
    };
    let at = at.field("allowedFunctionNames");
    let allowed: Vec<String> =
        optional(fields.allowed_function_names, &at, "a list of names")?.unwrap_or_default();
    if !allowed.is_empty() {
        let allowed: Vec<_> = allowed.iter().map(|name| names.hub(name)).collect();
        if !declared.iter().any(|tool| allowed.iter().any(|name| *name == tool.name)) {
            return Err(BadField::invalid(&at, "names no function that is declared in `tools`"));
        }
        declared.retain(|tool| allowed.iter().any(|name| *name == tool.name));
    }
    Ok(match (must, declared.as_slice()) {
        (false, _) => ToolChoice::Auto,
        (true, []) => {
            notes.add("a call was demanded, and no function is declared: the model decides");
            ToolChoice::Auto
        }
        (true, [only]) => ToolChoice::Function(only.name.clone()),
        (true, _) => ToolChoice::Required,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(json: &str) -> Result<(Vec<Tool>, Notes, Names), BadField> {
        let raw = RawValue::from_string(json.to_owned()).expect("JSON");
        let (mut names, mut tools, mut notes) = (Names::default(), Vec::new(), Notes::default());
        declare(Some(&raw), &mut names, &mut tools, &mut notes).map(|()| (tools, notes, names))
    }

    fn chosen(json: &str) -> Result<(ToolChoice, usize), BadField> {
        let raw = RawValue::from_string(json.to_owned()).expect("JSON");
        let (mut tools, mut notes, names) =
            declared(r#"[{"functionDeclarations":[{"name":"a"},{"name":"b.c"}]}]"#).expect("tools");
        choice(Some(&raw), &names, &mut tools, &mut notes).map(|choice| (choice, tools.len()))
    }

    #[test]
    fn what_google_runs_is_noted_and_a_function_without_a_name_refused() {
        let (tools, notes, _) = declared(
            r#"[{"googleSearch":{}},{"novel":{}},{"function_declarations":{"name":"a","parameters":7}}]"#,
        )
        .expect("tools");
        assert_eq!((tools.len(), notes.len()), (1, 3), "{notes:?}");
        let error = declared(r#"[{"functionDeclarations":[{}]}]"#).expect_err("no name");
        assert_eq!(
            error.message,
            "`tools[0].functionDeclarations[0].name` is missing; every function needs a name"
        );
    }

    #[test]
    fn only_allowed_functions_stay() {
        let config = |inner: &str| format!(r#"{{"functionCallingConfig":{{{inner}}}}}"#);
        assert_eq!(chosen("{}"), Ok((ToolChoice::Auto, 2)));
        assert_eq!(chosen(&config(r#""mode":"any""#)), Ok((ToolChoice::Required, 2)));
        let only = chosen(&config(r#""mode":"ANY","allowedFunctionNames":["b.c"]"#));
        assert_eq!(only, Ok((ToolChoice::Function("b_c".to_owned()), 1)));
        let error = chosen(&config(r#""allowed_function_names":["gone"]"#)).expect_err("unknown");
        assert_eq!(error.path.as_deref(), Some("toolConfig.functionCallingConfig.allowedFunctionNames"));
    }
}
