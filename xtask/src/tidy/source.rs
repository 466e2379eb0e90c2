//! The project's Rust files, parsed once for all rules.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use syn::visit::Visit;

use crate::root;

/// One Rust file of a crate's `src` folder.
pub(super) struct Source {
    /// Relative to the workspace.
    pub(super) path: PathBuf,
    /// The folder of its crate, such as `crates/proxy`.
    pub(super) crate_folder: String,
    /// Its module, from the crate's root: `["route", "pool"]`. Programs have a module tree of their own, under their name.
    pub(super) module: Vec<String>,
    /// Its lines.
    pub(super) text: String,
    /// Its items.
    pub(super) syntax: syn::File,
}

/// Parses the tracked Rust files below the `src` folder of each crate; files that hold only tests are left out.
pub(super) fn parse(files: &[PathBuf]) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in files {
        let Some((crate_folder, inner)) = split(path) else { continue };
        if inner.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs"))) {
            continue;
        }
        let text = std::fs::read_to_string(root().join(path))
            .with_context(|| format!("reading {}", path.display()))?;
        let syntax = syn::parse_file(&text).with_context(|| format!("parsing {}", path.display()))?;
        let module = module(inner);
        sources.push(Source { path: path.clone(), crate_folder, module, text, syntax });
    }
    Ok(sources)
}

/// The crate's folder, and the path below its `src`.
fn split(path: &Path) -> Option<(String, &Path)> {
    if path.extension()?.to_str()? != "rs" {
        return None;
    }
    let folder = path.ancestors().find(|folder| folder.ends_with("src"))?.parent()?;
    let inner = path.strip_prefix(folder.join("src")).ok()?;
    Some((folder.to_str()?.to_owned(), inner))
}

fn module(inner: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        inner.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib")) {
        parts.pop();
    }
    parts
}

/// Whether an item exists only in tests.
pub(super) fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        path.is_ident("test")
            || path.segments.last().is_some_and(|segment| segment.ident == "test")
            || (path.is_ident("cfg")
                && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test")))
    })
}

/// The lines of an item's own doc comment.
pub(super) fn doc(attributes: &[syn::Attribute]) -> Vec<String> {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => {
                Some(text.value().trim().to_owned())
            }
            _ => None,
        },
        _ => None,
    });
    lines.collect()
}

/// Names that a derive brings in.
pub(super) fn derives(attributes: &[syn::Attribute]) -> Vec<String> {
    let mut names = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        let _ = attribute.parse_nested_meta(|meta| {
            names.extend(meta.path.segments.last().map(|segment| segment.ident.to_string()));
            Ok(())
        });
    }
    names
}

/// Visits everything of a file that is not a test.
pub(super) fn visit_production<'s, V: Visit<'s>>(visitor: &mut V, source: &'s Source) {
    for item in source.syntax.items.iter().filter(|item| !is_test(attributes(item))) {
        visitor.visit_item(item);
    }
}

/// The attributes of an item.
pub(super) fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

#[cfg(test)]
pub(super) fn of_text(path: &str, text: &str) -> Source {
    let path = PathBuf::from(path);
    let (crate_folder, module) =
        split(&path).map(|(folder, inner)| (folder, module(inner))).expect("a source file");
    Source {
        path: path.clone(),
        crate_folder,
        module,
        text: text.to_owned(),
        syntax: syn::parse_file(text).expect("Rust"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_knows_its_module() {
        for (path, folder, module) in [
            ("crates/a/src/lib.rs", "crates/a", ""),
            ("crates/a/src/b/mod.rs", "crates/a", "b"),
            ("crates/a/src/b.rs", "crates/a", "b"),
            ("crates/a/src/b/c.rs", "crates/a", "b::c"),
            ("crates/a/src/main.rs", "crates/a", "main"),
            ("crates/a/src/bin/p.rs", "crates/a", "bin::p"),
        ] {
            let source = of_text(path, "");
            assert_eq!(
                (source.crate_folder.as_str(), source.module.join("::").as_str()),
                (folder, module),
                "{path}"
            );
        }
    }
}
