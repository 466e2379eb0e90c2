//! Pictures that a provider refuses: a note stands in the place of each, and the rest of the history is whole.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Mutex;

use latimer_adapters::teaching::Pictures;
use latimer_protocol::turn::{Content, Image, Item};

use crate::sync::lock;

/// Stands where a picture was.
const PLACEHOLDER: &str = "(a picture stood here; the provider of this model refused it)";
/// Pictures that are remembered for each target, and targets.
const MAX_PICTURES: usize = 256;
const MAX_TARGETS: usize = 256;

/// The pictures that targets refused, by a hash of each: a history brings them back in every turn. Not kept over a restart.
#[derive(Debug, Default)]
pub struct RefusedPictures(Mutex<HashMap<String, HashSet<u64>>>);

impl RefusedPictures {
    /// A target refused this picture, and took the request without it.
    pub(super) fn remember(&self, target: &str, picture: u64) {
        let mut targets = lock(&self.0);
        if targets.len() >= MAX_TARGETS && !targets.contains_key(target) {
            targets.clear();
        }
        let known = targets.entry(target.to_owned()).or_default();
        if known.len() >= MAX_PICTURES {
            known.clear();
        }
        known.insert(picture);
    }

    /// The pictures that this target refused; `None` for most, which costs nothing to ask.
    fn of(&self, target: &str) -> Option<HashSet<u64>> {
        lock(&self.0).get(target).cloned()
    }

    /// The history with a note in the place of each picture that is refused, known before or taught in this turn. `None` where there
    /// is none.
    pub(super) fn replaced(
        &self,
        target: &str,
        items: &[Item],
        taught: impl Iterator<Item = Pictures>,
    ) -> Option<Vec<Item>> {
        let known = self.of(target).unwrap_or_default();
        let mut out = places(items, taught);
        if !known.is_empty() {
            let images = images(items).enumerate();
            out.extend(images.filter(|(_, image)| known.contains(&hash(image))).map(|(place, _)| place));
        }
        (!out.is_empty()).then(|| without(items, &out))
    }
}

/// The pictures to remember: those that the refusals named, or the only one there is.
pub(super) fn refused(items: &[Item], taught: impl Iterator<Item = Pictures>) -> Vec<u64> {
    let taught: Vec<Pictures> = taught.collect();
    if taught.is_empty() {
        return Vec::new();
    }
    let is_named = taught.iter().all(|pictures| *pictures != Pictures::All);
    let out = places(items, taught.into_iter());
    let images: Vec<&Image> = images(items).collect();
    if !is_named && images.len() > 1 {
        return Vec::new();
    }
    images
        .into_iter()
        .enumerate()
        .filter(|(place, _)| out.contains(place))
        .map(|(_, image)| hash(image))
        .collect()
}

/// The places of these pictures among all. Each place that was taught counts only the pictures that stood then.
fn places(items: &[Item], taught: impl Iterator<Item = Pictures>) -> HashSet<usize> {
    let mut out = HashSet::new();
    let mut all = None;
    for pictures in taught {
        let count = *all.get_or_insert_with(|| images(items).count());
        let mut standing = (0..count).filter(|place| !out.contains(place));
        match pictures {
            Pictures::All => return (0..count).collect(),
            Pictures::Nth(nth) => {
                let place = standing.nth(nth);
                out.extend(place);
            }
        }
    }
    out
}

fn images(items: &[Item]) -> impl Iterator<Item = &Image> {
    items.iter().flat_map(contents).filter_map(|part| match part {
        Content::Image(image) => Some(image),
        _ => None,
    })
}

fn contents(item: &Item) -> &[Content] {
    match item {
        Item::Message(message) => &message.content,
        Item::Output(output) => &output.content,
        Item::Reasoning(_) | Item::Call(_) => &[],
    }
}

fn without(items: &[Item], out: &HashSet<usize>) -> Vec<Item> {
    let mut place = 0;
    let mut items = items.to_vec();
    for item in &mut items {
        let content = match item {
            Item::Message(message) => &mut message.content,
            Item::Output(output) => &mut output.content,
            Item::Reasoning(_) | Item::Call(_) => continue,
        };
        for part in content {
            if matches!(part, Content::Image(_)) {
                if out.contains(&place) {
                    *part = Content::Text(PLACEHOLDER.to_owned());
                }
                place += 1;
            }
        }
    }
    items
}

fn hash(image: &Image) -> u64 {
    let mut hasher = DefaultHasher::new();
    image.url.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use latimer_protocol::id::CallId;
    use latimer_protocol::turn::{CallOutput, Message, Role};

    use super::*;

    fn picture(url: &str) -> Content {
        Content::Image(Image { url: url.to_owned(), detail: None })
    }

    fn history() -> Vec<Item> {
        let text = |text: &str| Content::Text(text.to_owned());
        vec![
            Item::Message(Message { role: Role::User, content: vec![text("see"), picture("a")] }),
            Item::Output(CallOutput { id: CallId::from("1"), content: vec![picture("b"), text("ok")] }),
            Item::Message(Message { role: Role::User, content: vec![picture("c")] }),
        ]
    }

    fn shown(items: &[Item]) -> String {
        let word = |part: &Content| match part {
            Content::Image(image) => image.url.clone(),
            Content::Text(text) if text == PLACEHOLDER => "-".to_owned(),
            Content::Text(text) => text.clone(),
            _ => "?".to_owned(),
        };
        items.iter().flat_map(contents).map(word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_note_stands_in_the_place_of_the_picture_that_is_refused() {
        let known = RefusedPictures::default();
        let replaced = |taught: &[Pictures]| {
            known.replaced("a/m", &history(), taught.iter().copied()).map(|items| shown(&items))
        };
        assert_eq!(replaced(&[]), None);
        assert_eq!(replaced(&[Pictures::Nth(1)]).as_deref(), Some("see a - ok c"));
        assert_eq!(
            replaced(&[Pictures::Nth(0), Pictures::Nth(0)]).as_deref(),
            Some("see - - ok c"),
            "as they stood then"
        );
        assert_eq!(replaced(&[Pictures::All]).as_deref(), Some("see - - ok -"));
        assert_eq!(replaced(&[Pictures::Nth(7)]), None);
    }

    #[test]
    fn what_was_refused_is_remembered_for_that_target_alone() {
        let known = RefusedPictures::default();
        let refused = refused(&history(), [Pictures::Nth(2)].into_iter());
        assert_eq!(refused.len(), 1);
        known.remember("a/m", refused[0]);
        let replaced = known.replaced("a/m", &history(), std::iter::empty()).expect("one");
        assert_eq!(shown(&replaced), "see a b ok -");
        assert_eq!(known.replaced("b/m", &history(), std::iter::empty()), None);
        assert!(
            super::refused(&history(), [Pictures::All].into_iter()).is_empty(),
            "nobody knows which it was"
        );
        let one = &history()[..1];
        assert_eq!(super::refused(one, [Pictures::All].into_iter()).len(), 1);
    }
}
