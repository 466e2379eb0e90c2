//! `[launch]`: which models launched clients ask for.

use crate::config::read::{ProblemCollector, Table};
use crate::config::{LaunchDefaults, LaunchModels, schema};

pub(super) fn parse(table: &Table<'_, '_>, notes: &mut ProblemCollector<'_>) -> LaunchDefaults {
    table.only(&schema::LAUNCH, notes);
    let clients = schema::LAUNCH.iter().filter(|key| key.kind == "table");
    let clients = clients.filter_map(|key| {
        let client = table.table(key.name, notes)?;
        client.only(&schema::LAUNCH_CLIENT, notes);
        Some((key.name, models(&client, notes)))
    });
    let clients = clients.collect();
    LaunchDefaults { usual: models(table, notes), clients }
}

fn models(table: &Table<'_, '_>, notes: &mut ProblemCollector<'_>) -> LaunchModels {
    LaunchModels { model: table.string("model", notes), small_model: table.string("small_model", notes) }
}
