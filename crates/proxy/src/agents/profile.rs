//! Profiles: who works, on which model, and with which instructions.

use latimer_adapters::agents::agents_md::{self, Composed, Parts, Section, Weight};
use serde::{Deserialize, Serialize};

use super::names::{is_profile_name, read_seconds, words};
use crate::config::Effort;

/// What the names of models begin with that are profiles.
pub const MODEL_START: &str = "agent:";
/// The longest instructions, and the longest section, in bytes.
const MAX_TEXT: usize = 256 * 1024;
/// The most sections.
const MAX_SECTIONS: usize = 64;
/// How long a run may take where nobody says.
pub const DEFAULT_TIMEOUT: u64 = 600;
/// The longest that a run may take, in seconds: a week.
pub const MAX_TIMEOUT: u64 = 7 * 24 * 3600;

words! {
    /// What becomes of a run that is over.
    Cleanup {
        /// It stays until somebody deletes it.
        Keep = "keep",
        /// It is deleted after `agents.keep_runs`.
        Delete = "delete",
    }
}

/// A profile. The same in a file, in the table and in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentProfile {
    /// Its name.
    pub id: String,
    /// What answers: a model of an endpoint, or a route.
    pub model: String,
    /// Standing instructions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Further instructions, each with a heading.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<ProfileSection>,
    /// What the agent is to remember: the text of an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Whether each question is kept with its answer, in a file of its own below `agent-archive` of the state directory.
    #[serde(default)]
    pub archive: bool,
    /// How much it is asked to think.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// How long a run may take, in seconds.
    #[serde(default = "default_timeout", deserialize_with = "read_seconds")]
    pub timeout: u64,
    /// What becomes of its runs when they are over.
    #[serde(default = "default_cleanup")]
    pub cleanup: Cleanup,
    /// Whether a run is told the unread messages of the profile before its input.
    #[serde(default)]
    pub inbox: bool,
    /// Whether a run that a restart has broken off begins again.
    #[serde(default)]
    pub retry: bool,
    /// When it was made, in Unix seconds.
    #[serde(default)]
    pub created: u64,
    /// When it was last changed, in Unix seconds.
    #[serde(default)]
    pub updated: u64,
}

/// Further instructions with a heading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileSection {
    /// The heading.
    pub name: String,
    /// What it says below that.
    pub text: String,
    /// Whether it is left out where there is no room.
    #[serde(default)]
    pub optional: bool,
}

fn default_timeout() -> u64 {
    DEFAULT_TIMEOUT
}

fn default_cleanup() -> Cleanup {
    Cleanup::Delete
}

/// Why a profile is none: the field, and what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {words}")]
pub struct ProfileError {
    /// Which one cannot be meant.
    pub field: &'static str,
    /// What is wrong with it, and what it should be.
    pub words: String,
}

impl ProfileError {
    fn new(field: &'static str, words: impl Into<String>) -> Self {
        Self { field, words: words.into() }
    }
}

impl AgentProfile {
    /// Whether everything that it says can be meant.
    ///
    /// # Errors
    /// The first field that cannot.
    pub fn check(&self) -> Result<(), ProfileError> {
        if !is_profile_name(&self.id) {
            return Err(ProfileError::new("id", "should be 1 to 64 letters, digits, `.`, `_` or `-`"));
        }
        if self.model.trim().is_empty() || self.model.len() > 256 {
            return Err(ProfileError::new("model", "should be the name of a model or of a route"));
        }
        if self.model.starts_with(MODEL_START) {
            let words = format!(
                "is `{}`, which is a profile itself: it would lead back to where it comes from; name a model of an endpoint, or a route",
                self.model
            );
            return Err(ProfileError::new("model", words));
        }
        let texts = [("instructions", self.instructions.as_deref()), ("memory", self.memory.as_deref())];
        if let Some((field, _)) =
            texts.into_iter().find(|(_, text)| text.is_some_and(|text| text.len() > MAX_TEXT))
        {
            return Err(ProfileError::new(field, format!("is longer than {MAX_TEXT} bytes")));
        }
        let is_too_long =
            |section: &ProfileSection| section.text.len() > MAX_TEXT || section.name.len() > 256;
        if self.sections.len() > MAX_SECTIONS || self.sections.iter().any(is_too_long) {
            let words =
                format!("holds more than {MAX_SECTIONS} sections, or one of more than {MAX_TEXT} bytes");
            return Err(ProfileError::new("sections", words));
        }
        if self.effort.as_deref().is_some_and(|effort| Effort::of(effort).is_none()) {
            let names: Vec<&str> = Effort::NAMES.iter().map(|(name, _)| *name).collect();
            return Err(ProfileError::new("effort", format!("should be one of {}", names.join(", "))));
        }
        if self.timeout == 0 || self.timeout > MAX_TIMEOUT {
            let words = format!("should be 1 to {MAX_TIMEOUT} seconds");
            return Err(ProfileError::new("timeout", words));
        }
        Ok(())
    }

    /// All of its instructions as one text; `None` where it has none. What is too long loses its largest optional sections.
    pub fn composed(&self) -> Option<Composed> {
        let memory = self.memory.as_deref().filter(|memory| !memory.trim().is_empty());
        if self.sections.is_empty() && memory.is_none() {
            let text = self.instructions.clone().filter(|text| !text.trim().is_empty())?;
            return Some(Composed { text, omitted: Vec::new(), sizes: None });
        }
        let own = self.instructions.as_deref().filter(|text| !text.trim().is_empty());
        let own = own.map(|text| Section {
            title: "Instructions".to_owned(),
            text: text.to_owned(),
            weight: Weight::Core,
        });
        let sections = self.sections.iter().map(|section| Section {
            title: section.name.clone(),
            text: section.text.clone(),
            weight: if section.optional { Weight::Optional } else { Weight::Core },
        });
        Some(agents_md::compose(&Parts {
            source: format!("the profile `{}` (`latimer agents profiles show {}`)", self.id, self.id),
            memory: memory.map(str::to_owned),
            sections: own.into_iter().chain(sections).collect(),
        }))
    }

    /// As which model it can be asked for at any door.
    pub fn model_name(&self) -> String {
        format!("{MODEL_START}{}", self.id)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn profile(id: &str) -> AgentProfile {
        let text = format!("{{\"id\":\"{id}\",\"model\":\"m\"}}");
        serde_json::from_str(&text).expect("a profile")
    }

    #[test]
    fn what_cannot_be_meant_is_said_by_its_field() {
        let fine = profile("night.watch");
        assert_eq!((fine.check(), fine.timeout, fine.cleanup), (Ok(()), 600, Cleanup::Delete));
        let wrong = |change: fn(&mut AgentProfile)| {
            let mut profile = profile("a");
            change(&mut profile);
            profile.check().expect_err("wrong").field
        };
        assert_eq!(wrong(|profile| profile.id = "a b".to_owned()), "id");
        assert_eq!(wrong(|profile| profile.model.clear()), "model");
        assert_eq!(wrong(|profile| profile.model = "agent:b".to_owned()), "model");
        assert_eq!(wrong(|profile| profile.timeout = 0), "timeout");
        assert_eq!(wrong(|profile| profile.effort = Some("nonsense".to_owned())), "effort");
        assert_eq!(wrong(|profile| profile.memory = Some("x".repeat(MAX_TEXT + 1))), "memory");
        let timed: AgentProfile =
            serde_json::from_str("{\"id\":\"a\",\"model\":\"m\",\"timeout\":\"10m\"}").expect("a profile");
        assert_eq!(timed.timeout, 600);
        assert!(serde_json::from_str::<AgentProfile>("{\"id\":\"a\",\"model\":\"m\",\"modle\":1}").is_err());
    }

    #[test]
    fn instructions_alone_stay_as_they_are_and_sections_get_headings() {
        let mut made = profile("a");
        assert_eq!(made.composed(), None);
        made.instructions = Some("Be brief.".to_owned());
        assert_eq!(made.composed().expect("some").text, "Be brief.");
        let section = |name: &str, bytes: usize, optional| ProfileSection {
            name: name.to_owned(),
            text: "x".repeat(bytes),
            optional,
        };
        made.sections = vec![section("Large", 40_000, true), section("Small", 10, false)];
        let composed = made.composed().expect("some");
        assert_eq!(composed.omitted, ["Large"]);
        assert!(composed.text.contains("# Instructions\n\nBe brief.") && composed.text.contains("# Small"));
    }
}
