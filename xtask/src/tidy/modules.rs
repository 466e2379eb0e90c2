//! Arrows between modules: siblings import each other one way only, and nobody imports from a floor above.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

use super::source::{Source, is_test, visit_production};

/// One import between two siblings below the same parent.
type Edge = (String, String);

/// Loops between siblings, one fault for each group of files that import each other in a circle.
///
/// A parent and its own children may know each other: only edges between the children of one module count, each standing for
/// everything below it.
pub(super) fn loops(sources: &[Source], faults: &mut Vec<String>) {
    for (parent, edges) in edges(sources) {
        for group in circles(edges.keys()) {
            let within = |edge: &&Edge| group.contains(&edge.0) && group.contains(&edge.1);
            let places: Vec<String> = edges
                .iter()
                .filter(|(edge, _)| within(edge))
                .map(|((from, to), place)| format!("{from} -> {to} ({place})"))
                .collect();
            faults.push(format!("{parent}: an import loop: {}", places.join(", ")));
        }
    }
}

/// Imports that go up: `floors` lists the modules of one parent from the ground up, those of one floor in one list.
pub(super) fn floors(sources: &[Source], parent: &str, floors: &[&[&str]], faults: &mut Vec<String>) {
    let floor = |module: &str| floors.iter().position(|floor| floor.contains(&module));
    let all = edges(sources);
    let Some(edges) = all.get(parent) else { return };
    for ((from, to), place) in edges {
        match (floor(from), floor(to)) {
            (Some(lower), Some(upper)) if lower < upper => {
                faults.push(format!(
                    "{place}: {from} stands on a floor below {to} and imports it (xtask/src/tidy/mod.rs)"
                ));
            }
            (Some(_), Some(_)) => {}
            (None, _) => faults.push(format!("{parent}: {from} has no floor (xtask/src/tidy/mod.rs)")),
            (_, None) => faults.push(format!("{parent}: {to} has no floor (xtask/src/tidy/mod.rs)")),
        }
    }
}

/// The edges between siblings by their parent, each with a place that shows it.
fn edges(sources: &[Source]) -> BTreeMap<String, BTreeMap<Edge, String>> {
    let mut modules: BTreeMap<&str, BTreeSet<&[String]>> = BTreeMap::new();
    for source in sources {
        modules.entry(&source.crate_folder).or_default().insert(&source.module);
    }
    let mut all: BTreeMap<String, BTreeMap<Edge, String>> = BTreeMap::new();
    for source in sources {
        let Some(known) = modules.get(source.crate_folder.as_str()) else { continue };
        let mut imports = Imports { module: source.module.clone(), found: BTreeSet::new() };
        visit_production(&mut imports, source);
        for path in imports.found {
            // The longest beginning that is a module; the rest names an item in it.
            let Some(target) =
                (1..=path.len()).rev().filter_map(|end| path.get(..end)).find(|path| known.contains(path))
            else {
                continue;
            };
            let common = source.module.iter().zip(target).take_while(|(a, b)| a == b).count();
            let (Some(from), Some(to)) = (source.module.get(common), target.get(common)) else { continue };
            let parent = [&[source.crate_folder.clone(), "src".to_owned()], &source.module[..common]]
                .concat()
                .join("/");
            all.entry(parent)
                .or_default()
                .entry((from.clone(), to.clone()))
                .or_insert_with(|| source.path.display().to_string());
        }
    }
    all
}

/// Groups of nodes that can reach each other.
fn circles<'e>(edges: impl Iterator<Item = &'e Edge>) -> Vec<BTreeSet<String>> {
    let mut reach: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in edges {
        reach.entry(from).or_default().insert(to);
    }
    loop {
        let mut grew = false;
        let nodes: Vec<&str> = reach.keys().copied().collect();
        for node in nodes {
            let further: BTreeSet<&str> =
                reach[node].iter().filter_map(|next| reach.get(next)).flatten().copied().collect();
            let known = reach.entry(node).or_default();
            let before = known.len();
            known.extend(further);
            grew |= known.len() > before;
        }
        if !grew {
            break;
        }
    }
    let mut groups: Vec<BTreeSet<String>> = Vec::new();
    for (node, reached) in &reach {
        if reached.contains(node) && !groups.iter().any(|group| group.contains(*node)) {
            let back = |other: &&&str| reach.get(**other).is_some_and(|reached| reached.contains(node));
            groups.push(reached.iter().filter(back).map(|other| (*other).to_owned()).collect());
        }
    }
    groups
}

/// The paths within its crate that a module names.
struct Imports {
    /// The module the visitor is in, inline ones included.
    module: Vec<String>,
    /// From the crate's root.
    found: BTreeSet<Vec<String>>,
}

impl Imports {
    /// A path as it is written, from the crate's root; `None` for one that does not begin at a known place.
    fn resolve(&self, path: &[String]) -> Option<Vec<String>> {
        let mut segments = path.iter().peekable();
        let mut base = match segments.peek()?.as_str() {
            "crate" => {
                segments.next();
                Vec::new()
            }
            "self" => {
                segments.next();
                self.module.clone()
            }
            "super" => self.module.clone(),
            _ => return None,
        };
        while segments.next_if(|segment| *segment == "super").is_some() {
            base.pop();
        }
        base.extend(segments.cloned());
        Some(base)
    }

    fn add(&mut self, path: &[String]) {
        self.found.extend(self.resolve(path));
    }

    fn add_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.add(&with(&name.ident)),
            syn::UseTree::Rename(name) => self.add(&with(&name.ident)),
            syn::UseTree::Glob(_) => self.add(before),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(before, tree)),
        }
    }

    /// Paths in the arguments of a macro, which are tokens only.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.add(&std::mem::take(&mut path));
                    }
                    colons = 0;
                    path.push(ident.to_string());
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.add(&std::mem::take(&mut path));
                    colons = 0;
                    self.add_tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.add(&std::mem::take(&mut path));
                    colons = 0;
                }
            }
        }
        self.add(&path);
    }
}

impl<'s> Visit<'s> for Imports {
    fn visit_item_mod(&mut self, item: &'s syn::ItemMod) {
        if !is_test(&item.attrs) {
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_fn(&mut self, item: &'s syn::ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'s syn::ItemUse) {
        if !is_test(&item.attrs) {
            self.add_tree(&[], &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'s syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(&segments);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'s syn::Macro) {
        self.add_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    fn visit_visibility(&mut self, _: &'s syn::Visibility) {}
}

#[cfg(test)]
mod tests {
    use super::super::source::of_text;
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> =
            files.iter().map(|(path, text)| of_text(&format!("crates/a/src/{path}"), text)).collect();
        let mut faults = Vec::new();
        loops(&sources, &mut faults);
        faults
    }

    #[test]
    fn a_circle_of_siblings_is_found_however_it_is_written() {
        let one_way = found(&[("b.rs", "use crate::c::X;"), ("c.rs", "use crate::b_like::Y;")]);
        assert_eq!(one_way, Vec::<String>::new());
        for back in [
            "use super::b::X;",
            "use crate::{b::X, d};",
            "fn f() -> crate::b::X { todo() }",
            "fn f() { println!(\"{}\", super::b::X); }",
            "mod inner { use super::super::b::X; }",
        ] {
            let faults = found(&[("b.rs", "use crate::c::X;"), ("c.rs", back)]);
            assert_eq!(faults.len(), 1, "{back}: {faults:?}");
            assert!(faults[0].starts_with("crates/a/src: an import loop: b -> c"), "{faults:?}");
        }
    }

    #[test]
    fn a_parent_and_its_children_may_know_each_other_and_tests_may_know_everything() {
        let children = [("b/mod.rs", "mod c; use self::c::X;"), ("b/c.rs", "use super::Y; use crate::b::Z;")];
        assert_eq!(found(&children), Vec::<String>::new());
        let tests = [("b.rs", "use crate::c::X;"), ("c.rs", "#[cfg(test)] mod tests { use crate::b::X; }")];
        assert_eq!(found(&tests), Vec::<String>::new());
    }

    #[test]
    fn what_stands_below_a_sibling_counts_for_it() {
        let faults =
            found(&[("b/x.rs", "use crate::c::y::Y;"), ("c/y.rs", ""), ("c/z.rs", "use crate::b::x::X;")]);
        assert_eq!(faults.len(), 1, "{faults:?}");
    }

    #[test]
    fn nobody_imports_from_above() {
        let sources = [of_text("crates/a/src/b.rs", "use crate::c::X;"), of_text("crates/a/src/c.rs", "")];
        let mut faults = Vec::new();
        floors(&sources, "crates/a/src", &[&["c"], &["b"]], &mut faults);
        assert_eq!(faults, Vec::<String>::new());
        floors(&sources, "crates/a/src", &[&["b"], &["c"]], &mut faults);
        assert_eq!(faults.len(), 1, "{faults:?}");
    }
}
