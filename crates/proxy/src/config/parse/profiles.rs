//! `[[profile]]`: a named set of endpoint, models, level of repair and effort. Clients ask for a profile by its name, as they do for a
//! route: it is one with a single target.

use std::collections::HashSet;

use latimer_adapters::repair::RepairLevel;
use latimer_protocol::id::EndpointName;

use crate::config::read::{ProblemCollector, Table};
use crate::config::schema::{self, nearest};
use crate::config::{Effort, Endpoint, LaunchProfile, Route, Strategy, TargetConfig};

/// The levels of repair as the file calls them.
pub(super) const REPAIR_LEVELS: [(&str, RepairLevel); 3] =
    [("off", RepairLevel::Off), ("parse", RepairLevel::Parse), ("assist", RepairLevel::Assist)];

/// The profiles of the file; `routes` gets what clients ask for.
pub(super) fn parse(
    root: &Table<'_, '_>,
    endpoints: &[Endpoint],
    routes: &mut Vec<Route>,
    notes: &mut ProblemCollector<'_>,
) -> Vec<LaunchProfile> {
    let Some(list) = root.get("profile") else { return Vec::new() };
    let mut taken: HashSet<String> = routes.iter().map(|route| route.name.clone()).collect();
    taken.extend(endpoints.iter().flat_map(|endpoint| endpoint.models.iter().map(|model| model.id.clone())));
    let mut profiles = Vec::new();
    for value in list.list(notes) {
        let Some(table) = value.table(notes) else { continue };
        let Some(profile) = profile(&table, endpoints, notes) else { continue };
        if !taken.insert(profile.name.clone()) {
            let span = table.get("name").map_or(value.span.clone(), |name| name.span);
            let message = "a route, a model or another profile has this name already; clients ask by it, so it must be its own";
            notes.problem(span, &format!("{}.name", table.path), message);
        }
        routes.push(route(&profile));
        profiles.push(profile);
    }
    profiles
}

/// What clients ask for by the name of the profile.
fn route(profile: &LaunchProfile) -> Route {
    Route {
        name: profile.name.clone(),
        models: Vec::new(),
        strategy: Strategy::Ordered,
        affinity: false,
        targets: vec![TargetConfig {
            endpoint: profile.endpoint.clone(),
            model: profile.model.clone(),
            priority: 0,
        }],
        repair: profile.repair,
        effort: profile.effort,
    }
}

fn profile(
    table: &Table<'_, '_>,
    endpoints: &[Endpoint],
    notes: &mut ProblemCollector<'_>,
) -> Option<LaunchProfile> {
    table.only(&schema::PROFILE, notes);
    for (key, why) in [("name", "launches ask for a profile by it"), ("endpoint", "name one of the file")] {
        if table.get(key).is_none() {
            notes.problem(table.span.clone(), &format!("{}.{key}", table.path), format!("is missing; {why}"));
        }
    }
    let name = table.string("name", notes);
    let is_plain = |name: &String| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    if let (Some(name), Some(value)) = (&name, table.get("name"))
        && !is_plain(name)
    {
        notes.problem(value.span, &value.path, "should hold letters, digits, `.`, `_` and `-` only");
    }
    let endpoint = endpoint(table, endpoints, notes);
    let model = table.string("model", notes);
    if let (Some(endpoint), None) = (endpoint, &model)
        && endpoint.models.is_empty()
    {
        let key = format!("{}.model", table.path);
        let message = format!("is missing; the endpoint `{}` lists no model to take instead", endpoint.name);
        notes.problem(table.span.clone(), &key, message);
    }
    let small_model = table.string("small_model", notes);
    let repair = table.word("repair", &REPAIR_LEVELS, notes);
    let effort = table.word("effort", &Effort::NAMES, notes);
    let model = model.or_else(|| Some(endpoint?.models.first()?.id.clone()));
    // At last: whatever else is wrong was found by now.
    Some(LaunchProfile {
        name: name.filter(is_plain)?,
        endpoint: endpoint?.name.clone(),
        model: model?,
        small_model,
        repair,
        effort,
    })
}

fn endpoint<'e>(
    table: &Table<'_, '_>,
    endpoints: &'e [Endpoint],
    notes: &mut ProblemCollector<'_>,
) -> Option<&'e Endpoint> {
    let value = table.get("endpoint")?;
    let name = EndpointName::from(value.string(notes)?);
    let found = endpoints.iter().find(|endpoint| endpoint.name == name);
    if found.is_none() {
        let known: Vec<&str> = endpoints.iter().map(|known| known.name.as_str()).collect();
        let hint = match nearest(name.as_str(), known.iter().copied()) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("there are: {}", known.join(", ")),
        };
        notes.problem(value.span, &value.path, format!("there is no endpoint `{name}`; {hint}"));
    }
    found
}

#[cfg(test)]
mod tests {
    use latimer_adapters::repair::RepairLevel;

    use crate::config::Effort;
    use crate::config::parse::config_of;
    use crate::config::parse::tests::problems;

    /// An endpoint with a model, one without, and a profile with these keys from line 8 on.
    fn file(keys: &str) -> String {
        format!(
            "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\nmodels = [\"m\"]\n[[endpoint]]\nname = \"b\"\nbase_url = \"https://b.test\"\n[[profile]]\n{keys}\n"
        )
    }

    #[test]
    fn a_profile_is_asked_for_by_its_name() {
        let config =
            config_of(&file("name = \"cheap\"\nendpoint = \"a\"\nrepair = \"assist\"\neffort = \"low\""));
        let route = config.named_route("cheap").expect("a route");
        assert_eq!((route.repair, route.effort), (Some(RepairLevel::Assist), Some(Effort::Low)));
        assert_eq!((route.targets[0].endpoint.as_str(), route.targets[0].model.as_str()), ("a", "m"));
        assert_eq!(config.profiles[0].small_model, None);
    }

    #[test]
    fn a_disabled_endpoint_takes_its_profiles_along() {
        let text = file("name = \"cheap\"\nendpoint = \"a\"").replace("[\"m\"]", "[\"m\"]\nenabled = false");
        assert!(config_of(&text).named_route("cheap").is_none());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (keys, words) in [
            ("endpoint = \"a\"", "profile[0].name: is missing"),
            ("name = \"x\"", "profile[0].endpoint: is missing"),
            ("name = \"x\"\nendpoint = \"c\"", "10:12: profile[0].endpoint: there is no endpoint `c`"),
            (
                "name = \"x\"\nendpoint = \"b\"",
                "profile[0].model: is missing; the endpoint `b` lists no model",
            ),
            (
                "name = \"m\"\nendpoint = \"a\"",
                "profile[0].name: a route, a model or another profile has this name",
            ),
            ("name = \"x y\"\nendpoint = \"a\"", "should hold letters"),
            (
                "name = \"x\"\nendpoint = \"a\"\neffort = \"lots\"",
                "profile[0].effort: should be one of: none, minimal",
            ),
            ("name = \"x\"\nendpoint = \"a\"\napi_key = \"k\"", "profile[0].api_key: unknown key"),
        ] {
            let found = problems(&file(keys)).join("\n");
            assert!(found.contains(words), "{keys}: {found}");
        }
    }
}
