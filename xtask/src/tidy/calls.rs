//! Calls that each have one place: the clock, tasks, files that hold something of a person's.

use syn::visit::{self, Visit};

use super::source::{Source, is_test, visit_production};

/// A call that only some files may make.
struct Ban {
    /// The last two segments of its path.
    call: [&'static str; 2],
    /// What to use instead, and why.
    instead: &'static str,
    /// Files that may, each with the reason.
    places: &'static [(&'static str, &'static str)],
}

/// The edges of the processes, which read the clocks.
const CLOCKS: [(&str, &str); 5] = [
    ("crates/adapters/src/clock.rs", "the adapters' clock"),
    ("crates/cli/src/clock.rs", "the commands' clock"),
    ("crates/proxy/src/clock.rs", "the proxy's clock"),
    ("crates/proxy/src/server/websocket/session.rs", "tokio's clock, which its tests pause"),
    ("crates/watchdog/src/run/clock.rs", "the watchdog's clock"),
];

/// Who begins tasks, and what ends them.
const TASKS: [(&str, &str); 16] = [
    (
        "crates/adapters/src/agents/line_process.rs",
        "reads and writes one process, and ends with it or with its last handle",
    ),
    (
        "crates/adapters/src/opencode/server.rs",
        "reads the events of one server, and ends with it or with its last handle",
    ),
    (
        "crates/adapters/src/codebuff/run.rs",
        "a run is finished even when its turn was dropped; bounded by its request's timeout",
    ),
    ("crates/adapters/src/scripted/server.rs", "ends with the scripted provider that holds its handle"),
    ("crates/adapters/src/scripted/service.rs", "ends with the scripted service that holds its handle"),
    ("crates/cli/src/command/demo.rs", "ends with the demo"),
    (
        "crates/cli/src/command/serve.rs",
        "lives as long as the process: signals and the configuration's watcher",
    ),
    ("crates/cli/src/runtime.rs", "waits for signals as long as the process lives"),
    (
        "crates/proxy/src/accounts/account.rs",
        "a refresh is finished and written down even when nobody waits for it any more",
    ),
    ("crates/proxy/src/server/workers.rs", "the tracker counts connections and waits for them at the stop"),
    ("crates/watchdog/src/run/actions/notify.rs", "a notification, with a timeout"),
    ("crates/watchdog/src/run/child.rs", "ends with the pipes of the child"),
    ("crates/watchdog/src/run/control.rs", "accepts people's requests, and is aborted with their socket"),
    ("crates/watchdog/src/run/maintenance.rs", "aborted when a proxy takes the port"),
    ("crates/watchdog/src/run/supervisor.rs", "watches one child, and ends with it"),
    ("crates/watchdog/src/run/watchdog_loop/execute.rs", "one action, whose end is a signal of the loop"),
];

/// Who writes to a terminal.
const PRINTERS: [(&str, &str); 4] = [
    ("crates/cli/src/command/completions.rs", "a script for a shell, in which nothing is from outside"),
    ("crates/cli/src/logging.rs", "the log, whose lines are cleaned there"),
    ("crates/cli/src/panic_log.rs", "the line of a panic, which may be one of the log itself"),
    ("crates/cli/src/terminal.rs", "the one door of all commands"),
];

const BANS: &[Ban] = &[
    Ban {
        call: ["Instant", "now"],
        instead: "time is an argument; the clock of the crate reads it",
        places: &CLOCKS,
    },
    Ban {
        call: ["SystemTime", "now"],
        instead: "time is an argument; the clock of the crate reads it",
        places: &CLOCKS,
    },
    Ban { call: ["tokio", "spawn"], instead: "a task needs an owner that ends it", places: &TASKS },
    Ban {
        call: ["io", "stdout"],
        instead: "what is printed passes `terminal`, which shows control characters and takes secrets out",
        places: &PRINTERS,
    },
    Ban {
        call: ["io", "stderr"],
        instead: "what is printed passes `terminal`, which shows control characters and takes secrets out",
        places: &PRINTERS,
    },
    Ban {
        call: ["fs", "write"],
        instead: "a private file is written whole, with its mode, and follows no link",
        places: &[],
    },
];

/// Banned calls outside of their places, in code that is no test.
pub(super) fn check(sources: &[Source], faults: &mut Vec<String>) {
    for source in sources.iter().filter(|source| source.crate_folder != "xtask") {
        let mut calls = Calls { source, faults };
        visit_production(&mut calls, source);
    }
}

struct Calls<'s, 'f> {
    source: &'s Source,
    faults: &'f mut Vec<String>,
}

impl<'s> Visit<'s> for Calls<'s, '_> {
    fn visit_item_mod(&mut self, item: &'s syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'s syn::ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_expr_path(&mut self, path: &'s syn::ExprPath) {
        let segments: Vec<String> =
            path.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        for ban in BANS {
            let may = ban.places.iter().any(|(place, _)| self.source.path == std::path::Path::new(place));
            if segments.ends_with(&ban.call.map(str::to_owned)) && !may {
                let line = path.path.segments.first().map_or(0, |segment| segment.ident.span().start().line);
                let [module, function] = ban.call;
                let place = format!("{}:{line}", self.source.path.display());
                self.faults.push(format!(
                    "{place}: {module}::{function}: {} (xtask/src/tidy/calls.rs)",
                    ban.instead
                ));
            }
        }
        visit::visit_expr_path(self, path);
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::of_text;
    use super::*;

    #[test]
    fn a_banned_call_is_found_however_it_is_spelt_and_not_in_tests() {
        for (text, count) in [
            ("fn f() { Instant::now(); }", 1),
            ("fn f() { let now = std::time::Instant::now; }", 1),
            ("fn f() { tokio::time::Instant::now(); later::now(); }", 1),
            ("#[cfg(test)] mod tests { fn f() { Instant::now(); } }", 0),
            ("#[test] fn f() { Instant::now(); }", 0),
        ] {
            let mut faults = Vec::new();
            check(&[of_text("crates/a/src/b.rs", text)], &mut faults);
            assert_eq!(faults.len(), count, "{text}: {faults:?}");
        }
    }
}
