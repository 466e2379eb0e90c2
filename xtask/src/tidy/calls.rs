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

const BANS: &[Ban] = &[
    Ban { call: ["Instant", "now"], instead: "time is an argument; the edge of a process reads it", places: &[] },
    Ban { call: ["SystemTime", "now"], instead: "time is an argument; the edge of a process reads it", places: &[] },
    Ban { call: ["tokio", "spawn"], instead: "a task has an owner that ends it: a `JoinSet`", places: &[] },
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
        let segments: Vec<String> = path.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        for ban in BANS {
            let may = ban.places.iter().any(|(place, _)| self.source.path.ends_with(place));
            if segments.ends_with(&ban.call.map(str::to_owned)) && !may {
                let line = path.path.segments.first().map_or(0, |segment| segment.ident.span().start().line);
                let [module, function] = ban.call;
                let place = format!("{}:{line}", self.source.path.display());
                self.faults.push(format!("{place}: {module}::{function}: {} (xtask/src/tidy/calls.rs)", ban.instead));
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
