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

#[cfg(test)]
mod tests {
    use crate::config::parse::tests::{endpoint, problems_of_endpoint};
    use crate::config::{History, Options, presets};

    #[test]
    fn each_setting_has_its_key() {
        let keys = "options = { structured = false, zero_retention = true, edit_nudge = true, bearer_keys = true, command_code_version = \"9.1\", antigravity_version = \"2.0\", hosts = [\"https://a.test/\", \"http://127.0.0.1:7\"] }";
        let wanted = Options {
            command_code_version: "9.1".to_owned(),
            structured: false,
            zero_retention: true,
            hosts: vec!["https://a.test".to_owned(), "http://127.0.0.1:7".to_owned()],
            antigravity_version: Some("2.0".to_owned()),
            edit_nudge: true,
            bearer_keys: true,
        };
        assert_eq!(endpoint(keys).options, wanted);
        assert_eq!(endpoint("options = {}").options, Options::default());
        assert_eq!(endpoint("").options, Options::default());
    }

    #[test]
    fn hosts_of_a_preset_hold_until_the_file_names_others() {
        let preset = presets::PRESETS.iter().find(|preset| preset.hosts.len() > 1).expect("one with hosts");
        let named = format!("preset = \"{}\"\n", preset.name);
        assert_eq!(endpoint(&named).options.hosts, preset.hosts);
        let own = endpoint(&format!("{named}options = {{ hosts = \"https://a.test\" }}"));
        assert_eq!(own.options.hosts, ["https://a.test"], "one needs no list");
        assert!(endpoint(&format!("{named}options = {{ hosts = [] }}")).options.hosts.is_empty());
    }

    #[test]
    fn tokens_go_over_https_or_stay_on_this_machine() {
        for host in ["http://a.test", "http://127.0.0.1.a.test", "a.test", "ftp://a.test", ""] {
            let found =
                problems_of_endpoint(&format!("options = {{ hosts = [\"https://fine.test\", \"{host}\"] }}"));
            let wanted = "4:43: endpoint[0].options.hosts: should be URLs that begin with https://";
            assert_eq!(found, [wanted], "{host}");
        }
    }

    #[test]
    fn a_history_is_whole_unless_the_file_or_the_preset_cuts_it() {
        assert_eq!(endpoint("").history, History::WHOLE);
        let keys =
            "history = { new_outputs = 1, old_outputs = 2, newest = 3, most_items = 4, adaptive = true }";
        let wanted = History {
            new_outputs: Some(1),
            old_outputs: Some(2),
            newest: 3,
            max_items: Some(4),
            adaptive: true,
        };
        assert_eq!(endpoint(keys).history, wanted);
        let preset =
            presets::PRESETS.iter().find(|preset| preset.history != History::WHOLE).expect("one that cuts");
        let some = endpoint(&format!("preset = \"{}\"\nhistory = {{ newest = 2 }}", preset.name));
        assert_eq!(
            some.history,
            History { newest: 2, ..preset.history },
            "what is not said stays the preset's"
        );
    }
}
