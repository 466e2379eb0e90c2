//! Function names. This protocol takes `.` and `:` in them and the hub does not, so such names are changed for the turn.

use std::borrow::Cow;

/// The longest name the hub takes.
const LONGEST: usize = 64;

/// The functions of one request, and which of them go by another name in the hub.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// The hub's name of every function.
    hub: Vec<String>,
    /// The hub's name and the client's, where they differ.
    changed: Vec<(String, String)>,
}

impl Names {
    /// The name the client knows.
    pub fn client<'n>(&'n self, hub: &'n str) -> &'n str {
        self.changed.iter().find(|(known, _)| known == hub).map_or(hub, |(_, client)| client)
    }

    /// The hub's name; also for a function of an earlier time, which is not declared any more.
    pub fn hub<'n>(&'n self, client: &'n str) -> Cow<'n, str> {
        match self.changed.iter().find(|(_, known)| known == client) {
            Some((hub, _)) => Cow::Borrowed(hub),
            None => fitted(client),
        }
    }

    /// Takes a function up and gives its name in the hub; `None` for one that is there already.
    pub(super) fn declare(&mut self, client: &str) -> Option<String> {
        let fit = fitted(client);
        let is_known = |hub: &String| self.client(hub) == client;
        if self.hub.iter().any(is_known) {
            return None;
        }
        let mut hub = fit.clone().into_owned();
        let mut number = 2u32;
        while self.hub.contains(&hub) {
            let tail = format!("_{number}");
            hub = fit.chars().take(LONGEST - tail.len()).collect();
            hub.push_str(&tail);
            number += 1;
        }
        if hub != client {
            self.changed.push((hub.clone(), client.to_owned()));
        }
        self.hub.push(hub.clone());
        Some(hub)
    }
}

/// The name in the characters and the length that the hub takes.
fn fitted(name: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.len() <= LONGEST && name.chars().all(fits) {
        return Cow::Borrowed(name);
    }
    let safe = name.chars().map(|c| if fits(c) { c } else { '_' }).take(LONGEST);
    let safe: String = safe.collect();
    Cow::Owned(if safe.is_empty() { "_".to_owned() } else { safe })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_changed_apart_and_changed_back() {
        let mut names = Names::default();
        let long = "a".repeat(80);
        let given = ["run", "mcp.lab:add", "mcp_lab_add", "mcp:lab.add", &long, "ö", ""];
        let hubs: Vec<String> = given.iter().filter_map(|name| names.declare(name)).collect();
        assert_eq!(&hubs[..4], ["run", "mcp_lab_add", "mcp_lab_add_2", "mcp_lab_add_3"]);
        for (client, hub) in given.iter().zip(&hubs) {
            assert_eq!(names.client(hub), *client);
            assert_eq!(names.hub(client), *hub, "{client}");
            assert!(hub.len() <= LONGEST && !hub.is_empty() && hub.is_ascii());
        }
        assert_eq!(names.declare("mcp.lab:add"), None);
        assert_eq!(names.hub("gone.away"), "gone_away");
        assert_eq!(names.client("never_seen"), "never_seen");
    }
}
