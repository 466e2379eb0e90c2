//! What `codex exec` is started with. Pure.
//!
//! The prompt goes over its input, instructions and schema are files: arguments have a limit, and every user of the machine can read them.

use std::ffi::OsString;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::agents::codex::config::{self, ConfigError};
use crate::agents::codex::effort;
use crate::agents::instructions;
use crate::agents::query::AgentQuery;
use crate::agents::settings::AgentSettings;

/// The file that the last message is written to.
pub const ANSWER: &str = "answer.txt";

/// A file that Codex is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Its name in the folder of the turn.
    pub name: &'static str,
    /// What it is.
    pub kind: InputKind,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// In the place of Codex's own instructions.
    Instructions,
    /// The schema of the answer.
    Schema,
    /// A picture.
    Picture,
}

/// Names for pictures: as many as one turn may have.
const PICTURES: [&str; 8] =
    ["picture-1", "picture-2", "picture-3", "picture-4", "picture-5", "picture-6", "picture-7", "picture-8"];

/// The files of a turn.
///
/// # Errors
/// A picture is no base64 data URL, or there are too many.
pub fn files(query: &AgentQuery, settings: &AgentSettings) -> Result<Vec<InputFile>, String> {
    let mut files = Vec::new();
    if let Some(text) = instructions::for_agent(&query.instructions, settings) {
        files.push(InputFile {
            name: "instructions.md",
            kind: InputKind::Instructions,
            bytes: text.into_bytes(),
        });
    }
    if let Some(schema) = &query.schema {
        let bytes = serde_json::to_vec(schema).unwrap_or_default();
        files.push(InputFile { name: "schema.json", kind: InputKind::Schema, bytes });
    }
    let pictures = query.pictures();
    if pictures.len() > PICTURES.len() {
        return Err(format!("`codex exec` takes {} pictures at most in a turn", PICTURES.len()));
    }
    for (name, url) in PICTURES.into_iter().zip(pictures) {
        let data = url.split_once(";base64,").map(|(_, data)| data);
        let bytes = data.and_then(|data| BASE64_STANDARD.decode(data).ok());
        let bytes = bytes.ok_or("a picture is no base64 data URL")?;
        files.push(InputFile { name, kind: InputKind::Picture, bytes });
    }
    Ok(files)
}

/// The arguments of a turn whose files stand in `folder`.
///
/// # Errors
/// The configuration holds a value that cannot be written.
pub fn arguments(
    query: &AgentQuery,
    settings: &AgentSettings,
    cwd: &Path,
    folder: &Path,
    files: &[InputFile],
) -> Result<Vec<OsString>, ConfigError> {
    let mut all: Vec<OsString> = Vec::new();
    let mut put = |flag: &str, value: OsString| all.extend([flag.into(), value]);
    put("-s", settings.safety.sandbox.name().into());
    put("-o", folder.join(ANSWER).into());
    put("-C", cwd.into());
    if !query.model.is_empty() {
        put("-m", query.model.clone().into());
    }
    let mut config = config::thread_config(settings);
    config.insert("approval_policy".to_owned(), settings.safety.ask.name_in_config().into());
    if let Some(effort) = query.effort.as_deref().and_then(effort) {
        config.insert("model_reasoning_effort".to_owned(), effort.into());
    }
    for file in files {
        let path = folder.join(file.name);
        match file.kind {
            InputKind::Instructions => {
                config
                    .insert("model_instructions_file".to_owned(), path.to_string_lossy().into_owned().into());
            }
            InputKind::Schema => put("--output-schema", path.into()),
            InputKind::Picture => put("-i", path.into()),
        }
    }
    for argument in config::arguments(&config)? {
        put("-c", argument.into());
    }
    let mut arguments: Vec<OsString> =
        ["exec", "--ephemeral", "--skip-git-repo-check", "--json"].map(OsString::from).into();
    arguments.append(&mut all);
    // Behind `-i` a word would be another picture.
    arguments.extend(["--".into(), "-".into()]);
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::query::{AgentItem, AgentRole, Part};
    use crate::agents::settings::AgentProgram;

    #[test]
    fn neither_words_nor_instructions_are_arguments() {
        let settings = AgentSettings::usual(AgentProgram::CodexExec);
        let picture = "data:image/png;base64,iVBORw0KGgo=".to_owned();
        let parts = vec![Part::Text { text: "PROMPT".to_owned() }, Part::Image { url: picture }];
        let query = AgentQuery {
            instructions: "INSTRUCTIONS".to_owned(),
            items: vec![AgentItem::Message { role: AgentRole::User, parts }],
            model: "gpt-5.5".to_owned(),
            effort: Some("HIGH".to_owned()),
            schema: Some(serde_json::json!({ "type": "object", "title": "SCHEMA" })),
            ..AgentQuery::default()
        };
        let files = files(&query, &settings).expect("files");
        let all =
            arguments(&query, &settings, Path::new("/empty"), Path::new("/turn"), &files).expect("arguments");
        let all: Vec<String> = all.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
        let line = all.join(" ");
        for word in ["PROMPT", "INSTRUCTIONS", "SCHEMA"] {
            assert!(!line.contains(word), "{line}");
        }
        for part in [
            "exec --ephemeral --skip-git-repo-check --json -s read-only -o /turn/answer.txt -C /empty -m gpt-5.5",
            "--output-schema /turn/schema.json -i /turn/picture-1",
            "-c model_reasoning_effort=\"high\"",
            "-c model_instructions_file=\"/turn/instructions.md\"",
            "-c features.shell_tool=false",
            "-c approval_policy=\"never\"",
        ] {
            assert!(line.contains(part), "{part}\n{line}");
        }
        assert!(line.ends_with(" -- -"), "{line}");
    }
}
