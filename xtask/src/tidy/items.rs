//! Rules about single items: how long a function is, what a type is called, how much of its state is flags, what its doc says.

use std::collections::BTreeMap;
use std::path::Path;

use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use super::source::{Source, derives, doc, is_test, visit_production};

/// The longest function, in lines from its signature to its end.
const MAX_FUNCTION: usize = 90;
/// 99 of 100 functions are no longer than this.
const MAX_FUNCTION_P99: usize = 50;
/// Flags that one type may hold as state; more of them are an enum that nobody wrote.
const MAX_FLAGS: usize = 2;
/// Types whose flags are no state, each with the reason.
const FLAGS: &[(&str, &str)] =
    &[("Types", "a set: the seven type names of JSON Schema, any of them together")];
/// Names that say nothing: a past participle as a noun, a metaphor, a mood. `ARCHITECTURE.md` has the words in use.
const BANNED_TYPES: [&str; 28] = [
    "Asked",
    "Said",
    "Told",
    "Kept",
    "Made",
    "Written",
    "Taken",
    "Given",
    "Found",
    "Lost",
    "Stuck",
    "House",
    "Guest",
    "Doorway",
    "Organs",
    "Mind",
    "Keeper",
    "News",
    "Wish",
    "Holdings",
    "Hope",
    "Scene",
    "Rung",
    "Books",
    "Surroundings",
    "Manner",
    "Way",
    "Wire",
];
/// The same for constants.
const BANNED_CONSTANTS: [&str; 7] =
    ["PATIENCE", "SOON", "MOST", "LOOK", "LAST_WORDS", "BURIAL", "AT_LEISURE"];

/// Checks every item of the sources; hands back the lengths of all functions, the longest first.
pub(super) fn check(sources: &[Source], faults: &mut Vec<String>) -> Vec<(usize, String)> {
    let mut items = Items { source: None, functions: Vec::new(), types: BTreeMap::new(), faults };
    for source in sources {
        items.source = Some(source);
        visit_production(&mut items, source);
    }
    let Items { mut functions, types, .. } = items;
    functions.sort_unstable_by(|a, b| b.cmp(a));
    for (lines, place) in functions.iter().take_while(|(lines, _)| *lines > MAX_FUNCTION) {
        faults.push(format!("{place}: a function of {lines} lines; at most {MAX_FUNCTION}"));
    }
    if let Some((lines, place)) = functions.get(functions.len() / 100)
        && *lines > MAX_FUNCTION_P99
    {
        faults.push(format!(
            "{place}: one function in a hundred is longer than {lines} lines; at most {MAX_FUNCTION_P99}"
        ));
    }
    for ((folder, name), places) in types.into_iter().filter(|(_, places)| places.len() > 1) {
        faults.push(format!("{folder}: {} types are called {name}: {}", places.len(), places.join(", ")));
    }
    functions
}

struct Items<'s, 'f> {
    source: Option<&'s Source>,
    functions: Vec<(usize, String)>,
    /// The crate and the name of each type that more than its own module sees.
    types: BTreeMap<(String, String), Vec<String>>,
    faults: &'f mut Vec<String>,
}

impl Items<'_, '_> {
    fn place(&self, item: &impl syn::spanned::Spanned) -> String {
        let path = self.source.map_or(Path::new(""), |source| &source.path);
        format!("{}:{}", path.display(), item.span().start().line)
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let lines = block.span().end().line + 1 - signature.span().start().line;
        self.functions.push((lines, format!("{} fn {}", self.place(signature), signature.ident)));
    }

    fn type_name(&mut self, visibility: &syn::Visibility, ident: &syn::Ident) {
        let name = ident.to_string();
        if BANNED_TYPES.contains(&name.as_str()) {
            self.faults.push(format!("{}: {name} is no name (xtask/src/tidy/items.rs)", self.place(ident)));
        }
        if !matches!(visibility, syn::Visibility::Inherited) {
            let folder = self.source.map(|source| source.crate_folder.clone()).unwrap_or_default();
            let place = self.place(ident);
            self.types.entry((folder, name)).or_default().push(place);
        }
    }

    fn documented(&mut self, attributes: &[syn::Attribute], ident: &syn::Ident) {
        let lines = doc(attributes);
        if let [line] = &lines[..]
            && only_repeats(line, &ident.to_string())
        {
            self.faults
                .push(format!("{}: the doc of {ident} only repeats its name: {line}", self.place(ident)));
        }
    }
}

impl<'s> Visit<'s> for Items<'s, '_> {
    fn visit_item_mod(&mut self, item: &'s syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'s syn::ItemFn) {
        if !is_test(&item.attrs) {
            self.function(&item.sig, &item.block);
            self.documented(&item.attrs, &item.sig.ident);
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'s syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            self.function(&item.sig, &item.block);
            self.documented(&item.attrs, &item.sig.ident);
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_struct(&mut self, item: &'s syn::ItemStruct) {
        self.type_name(&item.vis, &item.ident);
        self.documented(&item.attrs, &item.ident);
        let is_data = derives(&item.attrs)
            .iter()
            .any(|name| ["Serialize", "Deserialize", "Args", "Parser"].contains(&name.as_str()));
        let flag = |field: &&syn::Field| {
            matches!(field.vis, syn::Visibility::Inherited)
                && matches!(&field.ty, syn::Type::Path(path) if path.path.is_ident("bool"))
        };
        let flags = item.fields.iter().filter(flag).count();
        if !is_data && flags > MAX_FLAGS && !FLAGS.iter().any(|(name, _)| item.ident == name) {
            self.faults.push(format!(
                "{}: {} has {flags} private flags; write the states as a type",
                self.place(&item.ident),
                item.ident
            ));
        }
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'s syn::ItemEnum) {
        self.type_name(&item.vis, &item.ident);
        self.documented(&item.attrs, &item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'s syn::ItemTrait) {
        self.type_name(&item.vis, &item.ident);
        self.documented(&item.attrs, &item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'s syn::ItemType) {
        self.type_name(&item.vis, &item.ident);
        self.documented(&item.attrs, &item.ident);
    }

    fn visit_item_const(&mut self, item: &'s syn::ItemConst) {
        let name = item.ident.to_string();
        let banned = |word: &&str| {
            name == **word || name.starts_with(&format!("{word}_")) || name.ends_with(&format!("_{word}"))
        };
        if let Some(word) = BANNED_CONSTANTS.iter().find(|word| banned(word)) {
            self.faults.push(format!(
                "{}: {name}: a limit is MAX_…, a time …_TIMEOUT or …_INTERVAL, never {word}",
                self.place(&item.ident)
            ));
        }
        self.documented(&item.attrs, &item.ident);
        visit::visit_item_const(self, item);
    }

    fn visit_field(&mut self, field: &'s syn::Field) {
        if let Some(ident) = &field.ident
            && !matches!(field.vis, syn::Visibility::Inherited)
        {
            self.documented(&field.attrs, ident);
        }
        visit::visit_field(self, field);
    }
}

/// Whether a doc of one line holds no word beside those of the name it belongs to.
fn only_repeats(line: &str, name: &str) -> bool {
    const FILLERS: [&str; 16] = [
        "the", "a", "an", "of", "this", "its", "it", "is", "one", "for", "to", "that", "as", "all", "new",
        "returns",
    ];
    let words = |text: &str| {
        let mut words: Vec<String> = Vec::new();
        let mut before = ' ';
        for letter in text.chars() {
            let begins = letter.is_ascii_uppercase() && before.is_ascii_lowercase();
            match words.last_mut() {
                Some(word) if letter.is_ascii_alphanumeric() && before.is_ascii_alphanumeric() && !begins => {
                    word.push(letter.to_ascii_lowercase());
                }
                _ if letter.is_ascii_alphanumeric() => words.push(letter.to_ascii_lowercase().to_string()),
                _ => {}
            }
            before = letter;
        }
        words
    };
    let stem = |word: &str| word.strip_suffix('s').unwrap_or(word).to_owned();
    let name: Vec<String> = words(name).iter().map(|word| stem(word)).collect();
    let mut own = words(line).into_iter().filter(|word| !FILLERS.contains(&word.as_str()));
    !line.is_empty() && own.all(|word| name.contains(&stem(&word)))
}

#[cfg(test)]
mod tests {
    use super::super::source::of_text;
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let mut faults = Vec::new();
        check(&[of_text("crates/a/src/b.rs", text)], &mut faults);
        faults
    }

    #[test]
    fn each_rule_finds_what_it_is_for() {
        let long = format!("fn long() {{\n{}}}", "f();\n".repeat(89));
        for (text, fault) in [
            ("pub mod x { pub struct A; } pub(crate) enum A {}", "2 types are called A"),
            ("struct Asked;", "Asked is no name"),
            ("const MOST_BYTES: u8 = 1;", "never MOST"),
            ("const READ_PATIENCE: u8 = 1;", "never PATIENCE"),
            ("struct A { a: bool, b: bool, c: bool }", "3 private flags"),
            ("/// The id of the response.\nfn response_id() {}", "only repeats its name"),
            (&long, "a function of 91 lines"),
        ] {
            let faults = found(text);
            assert!(faults.iter().any(|found| found.contains(fault)), "{text}: {faults:?}");
        }
    }

    #[test]
    fn what_is_fine_is_left_alone() {
        for text in [
            "struct A { pub a: bool, pub b: bool, pub c: bool }",
            "#[derive(Debug, Deserialize)] struct A { a: bool, b: bool, c: bool }",
            "/// Sixteen hexadecimal digits.\nfn response_id() {}",
            "#[cfg(test)] mod tests { struct Asked; }",
            "mod x { struct A; } struct A;",
        ] {
            assert_eq!(found(text), Vec::<String>::new(), "{text}");
        }
    }
}
