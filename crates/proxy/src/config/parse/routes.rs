//! `[[route]]`: one name for several endpoints.

use std::collections::HashSet;

use latimer_protocol::id::EndpointName;

use crate::config::read::{ProblemCollector, Table, Value};
use crate::config::schema::{self, nearest};
use crate::config::{Endpoint, Route, Strategy, TargetConfig};

pub(super) fn parse(
    root: &Table<'_, '_>,
    endpoints: &[Endpoint],
    notes: &mut ProblemCollector<'_>,
) -> Vec<Route> {
    let Some(list) = root.get("route") else { return Vec::new() };
    let mut names = HashSet::new();
    let mut routes = Vec::new();
    for value in list.list(notes) {
        let Some(table) = value.table(notes) else { continue };
        let Some(route) = route(&table, endpoints, notes) else { continue };
        if !names.insert(route.name.clone()) {
            let span = table.get("name").map_or(value.span.clone(), |name| name.span);
            notes.problem(
                span,
                &format!("{}.name", table.path),
                "another route has this name already; names must differ",
            );
        }
        routes.push(route);
    }
    routes
}

fn route(table: &Table<'_, '_>, endpoints: &[Endpoint], notes: &mut ProblemCollector<'_>) -> Option<Route> {
    table.only(&schema::ROUTE, notes);
    let name = table.string("name", notes).filter(|name| !name.is_empty());
    if name.is_none() && table.get("name").is_none() {
        let key = format!("{}.name", table.path);
        notes.problem(table.span.clone(), &key, "is missing; clients ask for a route by its name");
    }
    let targets: Vec<TargetConfig> = match table.get("targets") {
        Some(targets) => {
            targets.list(notes).iter().filter_map(|value| target(value, endpoints, notes)).collect()
        }
        None => Vec::new(),
    };
    if targets.is_empty() {
        let key = format!("{}.targets", table.path);
        notes.problem(table.span.clone(), &key, "is missing; list at least one \"endpoint/model\"");
    }
    let models = table.get("models").map_or_else(Vec::new, |models| models.strings(notes));
    Some(Route {
        models: models.into_iter().map(|(_, model)| model).collect(),
        strategy: table.word("strategy", &Strategy::NAMES, notes).unwrap_or_default(),
        affinity: table.boolean("affinity", notes).unwrap_or(true),
        targets,
        repair: None,
        effort: None,
        // At last: whatever else is wrong was found by now.
        name: name?,
    })
}

fn target(
    value: &Value<'_, '_>,
    endpoints: &[Endpoint],
    notes: &mut ProblemCollector<'_>,
) -> Option<TargetConfig> {
    let (endpoint, model, priority, at) = if value.is_string() {
        let text = value.string(notes)?;
        let Some((endpoint, model)) = text.split_once('/').filter(|(_, model)| !model.is_empty()) else {
            notes.problem(value.span.clone(), &value.path, "should be \"endpoint/model\"");
            return None;
        };
        (endpoint.to_owned(), model.to_owned(), None, value.span.clone())
    } else {
        let table = value.table(notes)?;
        table.only(&schema::TARGET, notes);
        for key in ["endpoint", "model"] {
            if table.get(key).is_none() {
                notes.problem(value.span.clone(), &format!("{}.{key}", value.path), "is missing");
            }
        }
        let (endpoint, model) = (table.string("endpoint", notes), table.string("model", notes));
        let priority = table.number_in("priority", 0..=u32::MAX, notes);
        (endpoint?, model?, priority, value.span.clone())
    };
    if endpoints.iter().all(|known| known.name.as_str() != endpoint) {
        let known: Vec<&str> = endpoints.iter().map(|known| known.name.as_str()).collect();
        let hint = match nearest(&endpoint, known.iter().copied()) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("there are: {}", known.join(", ")),
        };
        notes.problem(at, &value.path, format!("there is no endpoint `{endpoint}`; {hint}"));
    }
    Some(TargetConfig { endpoint: EndpointName::from(endpoint), model, priority: priority.unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use crate::config::parse::config_of;
    use crate::config::parse::tests::problems;
    use crate::config::{Route, Strategy};

    /// Two endpoints, and a route with these keys from line 7 on.
    fn file(keys: &str) -> String {
        let endpoint =
            |name: &str| format!("[[endpoint]]\nname = \"{name}\"\nbase_url = \"https://{name}.test\"\n");
        format!("{}{}[[route]]\n{keys}\n", endpoint("a"), endpoint("b"))
    }

    fn route(keys: &str) -> Route {
        config_of(&file(keys)).routes.remove(0)
    }

    #[test]
    fn a_target_is_a_word_or_a_table() {
        let keys = "name = \"r\"\ntargets = [\"a/m\", \"b/lab/x\", { endpoint = \"a\", model = \"n\", priority = 7 }]";
        let found: Vec<(String, String, u32)> = route(keys)
            .targets
            .into_iter()
            .map(|target| (target.endpoint.to_string(), target.model, target.priority))
            .collect();
        let wanted = [("a", "m", 0), ("b", "lab/x", 0), ("a", "n", 7)];
        assert_eq!(
            found,
            wanted.map(|(endpoint, model, priority)| (endpoint.to_owned(), model.to_owned(), priority))
        );
    }

    #[test]
    fn what_is_not_said_is_the_usual() {
        let plain = route("name = \"r\"\ntargets = [\"a/m\"]");
        assert_eq!((plain.strategy, plain.affinity, plain.models.len()), (Strategy::Ordered, true, 0));
        let keys =
            "name = \"r\"\ntargets = [\"a/m\"]\nmodels = [\"x-*\", \"y\"]\naffinity = false\nstrategy = ";
        for (word, strategy) in [
            ("ordered", Strategy::Ordered),
            ("round_robin", Strategy::RoundRobin),
            ("least_busy", Strategy::LeastBusy),
            ("score", Strategy::Score),
        ] {
            let route = route(&format!("{keys}\"{word}\""));
            assert_eq!((route.strategy, route.affinity), (strategy, false));
            assert_eq!(route.models, ["x-*", "y"]);
        }
    }

    #[test]
    fn what_is_wrong_is_said_where_it_stands() {
        for (keys, problem) in [
            ("targets = [\"a/m\"]", "7:1: route[0].name: is missing; clients ask for a route by its name"),
            ("name = \"r\"", "7:1: route[0].targets: is missing; list at least one \"endpoint/model\""),
            (
                "name = \"r\"\ntargets = []",
                "7:1: route[0].targets: is missing; list at least one \"endpoint/model\"",
            ),
            (
                "name = \"r\"\ntargets = [\"a/m\", \"a\"]",
                "9:19: route[0].targets[1]: should be \"endpoint/model\"",
            ),
            (
                "name = \"r\"\ntargets = [\"a/m\", \"a/\"]",
                "9:19: route[0].targets[1]: should be \"endpoint/model\"",
            ),
            ("name = \"r\"\ntargets = [\"a/m\", {}]", "9:19: route[0].targets[1].endpoint: is missing"),
            (
                "name = \"r\"\ntargets = [\"aa/m\"]",
                "9:12: route[0].targets[0]: there is no endpoint `aa`; did you mean \"a\"?",
            ),
            (
                "name = \"r\"\ntargets = [\"elsewhere/m\"]",
                "9:12: route[0].targets[0]: there is no endpoint `elsewhere`; there are: a, b",
            ),
            (
                "name = \"r\"\ntargets = [{ endpoint = \"a\", model = \"m\", priority = 4294967296 }]",
                "9:54: route[0].targets[0].priority: should be from 0 to 4294967295",
            ),
            (
                "targets = [\"a/m\"]\nname = \"r\"\n[[route]]\ntargets = [\"b/m\"]\nname = \"r\"",
                "12:8: route[1].name: another route has this name already; names must differ",
            ),
        ] {
            let found = problems(&file(keys));
            assert!(found.iter().any(|found| found == problem), "{keys}: {found:?}, not {problem}");
        }
    }
}
