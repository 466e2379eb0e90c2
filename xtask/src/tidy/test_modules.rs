//! Where a fault costs a person a turn, every file has tests of its own, below the binaries: those run for each change, say which part
//! broke, and can reach what no process shows.

use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

use super::source::{Source, attributes, is_test, visit_production};
use crate::root;

/// The folders whose files have tests; a file beside a folder, such as `turn.rs`, belongs to it.
const FOLDERS: [&str; 5] = [
    "crates/proxy/src/inbound",
    "crates/proxy/src/route",
    "crates/proxy/src/turn",
    "crates/proxy/src/server",
    "crates/watchdog/src/decide",
];
/// Files without, each with the tests that cover it and the reason.
const COVERED: &[(&str, &str, &str)] = &[
    (
        "crates/proxy/src/route/attempt/drive.rs",
        TURNS,
        "one state machine: a turn is played through all of it",
    ),
    ("crates/proxy/src/route/attempt/state.rs", TURNS, "the states of the same machine"),
    ("crates/proxy/src/route/attempt/sending.rs", TURNS, "its way into a state"),
    ("crates/proxy/src/route/attempt/failing.rs", TURNS, "its way out of a failure"),
    ("crates/proxy/src/route/attempt/resting.rs", TURNS, "its way past a time that a provider named"),
    ("crates/proxy/src/route/attempt/rewriting.rs", TURNS, "its way from a refusal to the next request"),
    ("crates/proxy/src/route/attempt/platform.rs", TURNS, "its outside, which the tests bring themselves"),
];
/// Turns on scripted endpoints and a clock that stands still.
const TURNS: &str = "crates/proxy/src/route/attempt/tests";

/// Files of those folders that do something and have no module of tests.
pub(super) fn check(sources: &[Source], faults: &mut Vec<String>) {
    let is_there = |path: &Path| root().join(path).exists();
    for (file, tests, _) in COVERED {
        let source = sources.iter().find(|source| source.path == Path::new(file));
        if source.is_none_or(has_tests) || !is_there(Path::new(tests)) {
            faults.push(format!("{file}: is excused in xtask/src/tidy/test_modules.rs and need not be"));
        }
    }
    for source in sources.iter().filter(|source| belongs(&source.path) && does_something(source)) {
        let is_covered = COVERED.iter().any(|(file, ..)| source.path == Path::new(file));
        if !is_covered && !has_tests(source) {
            faults.push(format!(
                "{}: has no tests of its own; a `#[cfg(test)] mod tests` in it or beside it (xtask/src/tidy/test_modules.rs)",
                source.path.display()
            ));
        }
    }
}

fn belongs(path: &Path) -> bool {
    FOLDERS.iter().any(|folder| path.starts_with(folder) || path == Path::new(&format!("{folder}.rs")))
}

/// Whether a file has a function with a body outside of its tests: modules, types and constants alone have nothing to test.
fn does_something(source: &Source) -> bool {
    struct Bodies(bool);
    impl<'s> Visit<'s> for Bodies {
        fn visit_block(&mut self, _: &'s syn::Block) {
            self.0 = true;
        }
    }
    let mut bodies = Bodies(false);
    visit_production(&mut bodies, source);
    bodies.0
}

/// Whether a file has a module that exists only in tests, and a test in it.
fn has_tests(source: &Source) -> bool {
    source.syntax.items.iter().any(|item| match item {
        syn::Item::Mod(module) if is_test(attributes(item)) => match &module.content {
            Some((_, items)) => items.iter().any(holds_test),
            None => files(&source.path, &module.ident.to_string()).iter().any(|path| file_holds_test(path)),
        },
        _ => false,
    })
}

/// Where a module may stand that a file declares: as a file, or as a folder of files.
fn files(declared_in: &Path, module: &str) -> Vec<PathBuf> {
    let folder = declared_in.parent().unwrap_or(Path::new(""));
    let folder = match declared_in.file_stem().and_then(|stem| stem.to_str()) {
        Some("mod" | "lib" | "main") | None => folder.join(module),
        Some(stem) => folder.join(stem).join(module),
    };
    let inside = std::fs::read_dir(root().join(&folder)).into_iter().flatten();
    let inside = inside.filter_map(|entry| Some(folder.join(entry.ok()?.file_name())));
    std::iter::once(folder.with_extension("rs")).chain(inside).collect()
}

fn file_holds_test(path: &Path) -> bool {
    let text = std::fs::read_to_string(root().join(path)).unwrap_or_default();
    syn::parse_file(&text).is_ok_and(|file| file.items.iter().any(holds_test))
}

/// Whether there is a test in an item, one that a macro makes included.
fn holds_test(item: &syn::Item) -> bool {
    struct Tests(bool);
    impl<'s> Visit<'s> for Tests {
        fn visit_item_fn(&mut self, item: &'s syn::ItemFn) {
            self.0 |= is_test(&item.attrs);
            visit::visit_item_fn(self, item);
        }

        fn visit_macro(&mut self, item: &'s syn::Macro) {
            // Such as `proptest!`.
            let text = item.tokens.to_string();
            self.0 |= text.contains("# [test]");
        }
    }
    let mut tests = Tests(false);
    tests.visit_item(item);
    tests.0
}

#[cfg(test)]
mod tests {
    use super::super::source::of_text;
    use super::*;

    const FILE: &str = "crates/proxy/src/route/novel.rs";

    /// The faults of one file, beside those of the list of excuses.
    fn found(path: &str, text: &str) -> Vec<String> {
        let mut faults = Vec::new();
        check(&[of_text(path, text)], &mut faults);
        faults.retain(|fault| fault.starts_with(&format!("{path}: has no tests")));
        faults
    }

    #[test]
    fn a_file_that_does_something_and_has_no_test_is_found() {
        for text in [
            "pub fn f() {}",
            "struct A; impl A { fn f(&self) -> u8 { 7 } }",
            "trait A { fn f(&self) {} }",
            "fn f() {} #[cfg(test)] mod tests {}",
            "fn f() {} #[cfg(test)] mod tests { fn helper() {} }",
            "fn f() {} #[cfg(test)] mod tests;",
            "fn f() {} mod tests { #[test] fn t() {} }",
        ] {
            assert_eq!(found(FILE, text).len(), 1, "{text}");
        }
        assert_eq!(found("crates/proxy/src/turn.rs", "fn f() {}").len(), 1);
    }

    #[test]
    fn what_has_a_test_or_nothing_to_test_is_left_alone() {
        for text in [
            "pub mod a; pub use a::B; pub const C: u8 = 7;",
            "struct A { a: u8 } enum B { C } trait D { fn f(&self); }",
            "fn f() {} #[cfg(test)] mod tests { #[test] fn t() {} }",
            "fn f() {} #[cfg(test)] mod tests { #[tokio::test] async fn t() {} }",
            "fn f() {} #[cfg(test)] pub(super) mod tests { proptest::proptest! { #[test] fn t(a in 0..1) {} } }",
        ] {
            assert_eq!(found(FILE, text), Vec::<String>::new(), "{text}");
        }
        assert_eq!(found("crates/proxy/src/router.rs", "fn f() {}"), Vec::<String>::new(), "another folder");
    }

    #[test]
    fn a_module_of_tests_may_stand_beside_its_file() {
        let paths = |declared_in: &str| files(Path::new(declared_in), "tests");
        assert_eq!(paths("a/b.rs")[0], Path::new("a/b/tests.rs"));
        assert_eq!(paths("a/mod.rs")[0], Path::new("a/tests.rs"));
        let inside = paths("crates/proxy/src/route/attempt/mod.rs");
        assert!(inside.iter().any(|path| file_holds_test(path)), "{inside:?}");
    }
}
