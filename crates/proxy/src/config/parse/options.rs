//! `options` and `history` of an endpoint.

use crate::config::presets::Preset;
use crate::config::read::{ProblemCollector, Table};
use crate::config::schema;
use crate::config::{History, Options};

pub(super) fn options(
    table: &Table<'_, '_>,
    preset: Option<&'static Preset>,
    notes: &mut ProblemCollector<'_>,
) -> Options {
    let mut options = Options::default();
    if let Some(preset) = preset {
        options.hosts = preset.hosts.iter().map(|host| (*host).to_owned()).collect();
    }
    let Some(table) = table.table("options", notes) else { return options };
    table.only(&schema::OPTIONS, notes);
    let switches: [(&str, &mut bool); 4] = [
        ("structured", &mut options.structured),
        ("zero_retention", &mut options.zero_retention),
        ("edit_nudge", &mut options.edit_nudge),
        ("bearer_keys", &mut options.bearer_keys),
    ];
    for (name, switch) in switches {
        if let Some(on) = table.boolean(name, notes) {
            *switch = on;
        }
    }
    if let Some(version) = table.string("command_code_version", notes) {
        options.command_code_version = version;
    }
    options.antigravity_version = table.string("antigravity_version", notes);
    if let Some(hosts) = table.get("hosts") {
        options.hosts = Vec::new();
        for (span, host) in hosts.strings(notes) {
            let host = host.trim_end_matches('/').to_owned();
            let loopback = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"];
            if !host.starts_with("https://") && !loopback.iter().any(|start| host.starts_with(start)) {
                notes.problem(span, &hosts.path, "should be URLs that begin with https://");
            }
            options.hosts.push(host);
        }
    }
    options
}

pub(super) fn history(
    table: &Table<'_, '_>,
    preset: Option<&'static Preset>,
    notes: &mut ProblemCollector<'_>,
) -> History {
    let mut history = preset.map_or(History::WHOLE, |preset| preset.history);
    let Some(table) = table.table("history", notes) else { return history };
    table.only(&schema::HISTORY, notes);
    let number = |name: &str, notes: &mut ProblemCollector<'_>| {
        table.number(name, notes).and_then(|number| usize::try_from(number).ok())
    };
    history.new_outputs = number("new_outputs", notes).or(history.new_outputs);
    history.old_outputs = number("old_outputs", notes).or(history.old_outputs);
    history.newest = number("newest", notes).unwrap_or(history.newest);
    history.max_items = number("most_items", notes).or(history.max_items);
    history.adaptive = table.boolean("adaptive", notes).unwrap_or(history.adaptive);
    history
}
