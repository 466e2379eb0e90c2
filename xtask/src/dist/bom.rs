//! The software bill of materials: every crate that is built into the programs, in `CycloneDX` 1.5.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::{cargo, root};

/// What cargo knows of the workspace and everything below it.
pub(super) fn metadata() -> anyhow::Result<Value> {
    let output = cargo(&["metadata", "--format-version", "1", "--locked"])
        .output()
        .context("running cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata wrote no JSON")
}

/// The package of the workspace that has this name.
pub(super) fn package<'m>(metadata: &'m Value, name: &str) -> Option<&'m Value> {
    let members = metadata["workspace_members"].as_array()?;
    metadata["packages"]
        .as_array()?
        .iter()
        .find(|package| package["name"] == name && members.contains(&package["id"]))
}

/// The packages that are built in, those of the workspace left out, by name and version.
pub(super) fn built_in(metadata: &Value) -> anyhow::Result<Vec<&Value>> {
    let ids: BTreeSet<String> = edges(metadata)?.into_keys().collect();
    let mut packages: Vec<&Value> = metadata["packages"]
        .as_array()
        .context("cargo metadata has no packages")?
        .iter()
        .filter(|package| {
            package["source"].is_string() && package["id"].as_str().is_some_and(|id| ids.contains(id))
        })
        .collect();
    packages.sort_by_key(|package| (package["name"].as_str(), package["version"].as_str()));
    Ok(packages)
}

/// What is reached from `latimer` without dependencies of tests and builds: each package with what it needs itself.
fn edges(metadata: &Value) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let latimer = package(metadata, "latimer").context("the workspace has no package `latimer`")?;
    let nodes = metadata["resolve"]["nodes"].as_array().context("cargo metadata has no graph")?;
    let mut reached = BTreeMap::new();
    let mut open = vec![latimer["id"].as_str().unwrap_or_default().to_owned()];
    while let Some(id) = open.pop() {
        if reached.contains_key(&id) {
            continue;
        }
        let node = nodes
            .iter()
            .find(|node| node["id"] == id)
            .with_context(|| format!("{id} is not in the graph"))?;
        let is_normal = |dependency: &Value| {
            dependency["dep_kinds"]
                .as_array()
                .is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
        };
        let needs: Vec<String> = node["deps"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|dependency| is_normal(dependency))
            .filter_map(|dependency| Some(dependency["pkg"].as_str()?.to_owned()))
            .collect();
        open.extend(needs.iter().cloned());
        reached.insert(id, needs);
    }
    Ok(reached)
}

/// The document. It says no time and no number of its own: the same sources make the same one.
pub(super) fn bom(metadata: &Value) -> anyhow::Result<String> {
    let edges = edges(metadata)?;
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    let of = |id: &str| packages.iter().find(|package| package["id"] == id);
    let reference = |id: &str| of(id).map(purl);
    let sums = checksums()?;
    let latimer = package(metadata, "latimer").context("the workspace has no package `latimer`")?;
    let components: Vec<Value> = edges
        .keys()
        .filter(|id| latimer["id"] != **id)
        .filter_map(|id| of(id))
        .map(|package| component(package, "library", &sums))
        .collect();
    let dependencies: Vec<Value> = edges
        .iter()
        .map(|(id, needs)| {
            let mut needs: Vec<String> = needs.iter().filter_map(|id| reference(id)).collect();
            needs.sort();
            json!({ "ref": reference(id), "dependsOn": needs })
        })
        .collect();
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": component(latimer, "application", &sums) },
        "components": components,
        "dependencies": dependencies,
    });
    Ok(format!("{document:#}\n"))
}

fn purl(package: &Value) -> String {
    let text = |field: &str| package[field].as_str().unwrap_or_default();
    format!("pkg:cargo/{}@{}", text("name"), text("version"))
}

fn component(package: &Value, kind: &str, sums: &BTreeMap<String, String>) -> Value {
    let purl = purl(package);
    let mut component = json!({
        "type": kind,
        "bom-ref": purl,
        "name": package["name"],
        "version": package["version"],
        "purl": purl,
    });
    if let Some(licence) = package["license"].as_str() {
        // The old way to write OR.
        component["licenses"] = json!([{ "expression": licence.replace('/', " OR ") }]);
    }
    if let Some(sum) = sums.get(&purl) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
    }
    component
}

/// The sums of the lock file, by package.
fn checksums() -> anyhow::Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(root().join("Cargo.lock")).context("reading Cargo.lock")?;
    let lock: toml::Table = text.parse().context("Cargo.lock is no TOML")?;
    let packages = lock.get("package").and_then(toml::Value::as_array);
    let sum = |package: &toml::Value| {
        let field = |name: &str| package.get(name).and_then(toml::Value::as_str);
        Some((format!("pkg:cargo/{}@{}", field("name")?, field("version")?), field("checksum")?.to_owned()))
    };
    Ok(packages.into_iter().flatten().filter_map(sum).collect())
}
