//! Tools whose schema Anthropic's own models know by heart, as plain functions: the client runs them, so any model may call
//! them once it is told what they take.

use crate::text::{MAX_WORD, shown};

/// A tool that the client runs.
pub(super) struct Builtin {
    /// The beginning of its `type`; a date follows.
    prefix: &'static str,
    /// What it does, for the model.
    pub(super) description: &'static str,
    /// The JSON Schema of its arguments.
    pub(super) schema: &'static str,
}

const BUILTINS: [Builtin; 6] = [
    Builtin {
        prefix: "bash_",
        description: "Runs a command in a shell session that lives on between calls.",
        schema: r#"{"type":"object","properties":{"command":{"type":"string","description":"The command to run. Needed unless the session is restarted."},"restart":{"type":"boolean","description":"True to begin a new session."}}}"#,
    },
    // The first editors insert `new_str`, the later ones `insert_text`; the first row that fits counts.
    Builtin { prefix: "text_editor_20241022", description: EDITOR, schema: FIRST_EDITOR },
    Builtin { prefix: "text_editor_20250124", description: EDITOR, schema: FIRST_EDITOR },
    Builtin {
        prefix: "text_editor_",
        description: EDITOR,
        schema: r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert"]},"path":{"type":"string","description":"The file or the folder."},"view_range":{"type":"array","items":{"type":"integer"},"description":"For view: first and last line, counted from 1; -1 for the end."},"file_text":{"type":"string","description":"For create: the whole file."},"old_str":{"type":"string","description":"For str_replace: the text as it stands, once in the file."},"new_str":{"type":"string","description":"For str_replace: the new text."},"insert_line":{"type":"integer","description":"For insert: the line after which to insert; 0 for the beginning."},"insert_text":{"type":"string","description":"For insert: the text."}},"required":["command","path"]}"#,
    },
    Builtin {
        prefix: "memory_",
        description: "Keeps notes between conversations as files below /memories. Look there before you begin.",
        schema: r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert","delete","rename"]},"path":{"type":"string","description":"The file or the folder, below /memories; for all commands but rename."},"view_range":{"type":"array","items":{"type":"integer"},"description":"For view: first and last line."},"file_text":{"type":"string","description":"For create: the whole file."},"old_str":{"type":"string","description":"For str_replace: the text as it stands."},"new_str":{"type":"string","description":"For str_replace: the new text."},"insert_line":{"type":"integer","description":"For insert: the line after which to insert."},"insert_text":{"type":"string","description":"For insert: the text."},"old_path":{"type":"string","description":"For rename: from."},"new_path":{"type":"string","description":"For rename: to."}},"required":["command"]}"#,
    },
    Builtin {
        prefix: "computer_",
        description: "Controls mouse and keyboard, and takes screenshots.",
        schema: r#"{"type":"object","properties":{"action":{"type":"string","enum":["screenshot","left_click","right_click","middle_click","double_click","triple_click","mouse_move","left_click_drag","left_mouse_down","left_mouse_up","scroll","type","key","hold_key","wait","cursor_position","zoom"]},"coordinate":{"type":"array","items":{"type":"integer"},"description":"[x, y] in pixels from the upper left."},"start_coordinate":{"type":"array","items":{"type":"integer"},"description":"For left_click_drag: where it begins."},"region":{"type":"array","items":{"type":"integer"},"description":"For zoom: [x1, y1, x2, y2]."},"text":{"type":"string","description":"What to type, or the keys to press, such as ctrl+s."},"scroll_direction":{"type":"string","enum":["up","down","left","right"]},"scroll_amount":{"type":"integer"},"duration":{"type":"number","description":"For wait and hold_key: seconds."}},"required":["action"]}"#,
    },
];

const EDITOR: &str = "Shows, creates and edits text files.";
const FIRST_EDITOR: &str = r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert","undo_edit"]},"path":{"type":"string","description":"The file or the folder."},"view_range":{"type":"array","items":{"type":"integer"},"description":"For view: first and last line, counted from 1; -1 for the end."},"file_text":{"type":"string","description":"For create: the whole file."},"old_str":{"type":"string","description":"For str_replace: the text as it stands, once in the file."},"new_str":{"type":"string","description":"For str_replace and insert: the new text."},"insert_line":{"type":"integer","description":"For insert: the line after which to insert; 0 for the beginning."}},"required":["command","path"]}"#;

/// Who runs a tool that has a type of its own, and so what it is to any other provider.
pub(super) enum RunBy {
    /// The client: a function like any other.
    Client(&'static Builtin),
    /// Only Anthropic runs it; the note says so.
    Anthropic(String),
}

/// The tool of this `type`.
pub(super) fn find(kind: &str) -> RunBy {
    let known = BUILTINS.iter().find(|known| kind.starts_with(known.prefix));
    known.map_or_else(
        || {
            RunBy::Anthropic(format!(
                "a tool of type `{}` runs on Anthropic's servers only and was left out",
                shown(kind, MAX_WORD)
            ))
        },
        RunBy::Client,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_is_an_object() {
        for known in &BUILTINS {
            let schema: serde_json::Value = serde_json::from_str(known.schema).expect("JSON");
            assert_eq!(schema["type"], "object", "{}", known.prefix);
        }
    }

    #[test]
    fn the_editor_of_each_version_has_its_own_insert() {
        let has = |kind: &str| match find(kind) {
            RunBy::Client(known) => known.schema.contains("insert_text"),
            RunBy::Anthropic(note) => panic!("{note}"),
        };
        assert!(!has("text_editor_20250124") && has("text_editor_20250429") && has("text_editor_20250728"));
        assert!(matches!(find("web_search_20250305"), RunBy::Anthropic(_)));
    }
}
