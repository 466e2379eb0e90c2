//! `[[route]]`: one name for several endpoints.

use std::collections::HashSet;

use latimer_protocol::id::EndpointName;

use crate::config::read::{ProblemCollector, Table, Value};
use crate::config::schema::{self, nearest};
use crate::config::{Endpoint, Route, Strategy, TargetConfig};

/// How each strategy is called in the file.
const STRATEGIES: [(&str, Strategy); 4] = [
    ("ordered", Strategy::Ordered),
    ("round_robin", Strategy::RoundRobin),
    ("least_busy", Strategy::LeastBusy),
    ("score", Strategy::Score),
];

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
            notes.problem(
                value.span.clone(),
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
        name: name?,
        models: models.into_iter().map(|(_, model)| model).collect(),
        strategy: table.word("strategy", &STRATEGIES, notes).unwrap_or_default(),
        affinity: table.boolean("affinity", notes).unwrap_or(true),
        targets,
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
        (endpoint?, model?, table.number("priority", notes), value.span.clone())
    };
    if endpoints.iter().all(|known| known.name.as_str() != endpoint) {
        let known: Vec<&str> = endpoints.iter().map(|known| known.name.as_str()).collect();
        let hint = match nearest(&endpoint, known.iter().copied()) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("there are: {}", known.join(", ")),
        };
        notes.problem(at, &value.path, format!("there is no endpoint `{endpoint}`; {hint}"));
    }
    let priority = priority.and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    Some(TargetConfig { endpoint: EndpointName::from(endpoint), model, priority })
}
