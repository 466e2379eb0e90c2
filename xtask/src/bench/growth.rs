//! How the cost grows: with connections, with the size of a body, with endpoints, with the rows of the store.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use super::{Bench, FRONTS, Guard, Subject, cpu, load, micros, provider, proxy_with, resident, say, to_f64};
use crate::load::Client;

const SMALL: &str = r#"{"type":"text","text":"TEXT","pieces":1}"#;
const SLOW: &str = r#"{"type":"text","text":"TEXT","pieces":40,"gap_us":50000}"#;

/// Measures each kind of growth. `large` also measures what takes minutes.
pub(super) fn run(dir: &Path, large: bool) -> anyhow::Result<()> {
    connections(dir, if large { &[1, 100, 1000, 5000] } else { &[1, 100, 1000] })?;
    bodies(dir)?;
    endpoints(dir)?;
    rows(dir, if large { &[0, 10_000, 100_000, 1_000_000] } else { &[0, 10_000] })
}

/// A far side, and a proxy before it whose configuration goes on with this text, its state empty.
fn one(
    dir: &Path,
    name: &str,
    (step, length): (&str, usize),
    more: &str,
) -> anyhow::Result<(Subject, Vec<Guard>)> {
    let (far, url) = provider(dir, name, step, length)?;
    let _ = std::fs::remove_dir_all(dir.join("growth-state"));
    let (guard, address) = proxy_with(dir, &url, "growth-state", more)?;
    let [(_, path), ..] = FRONTS;
    let subject = Subject { name: "latimer", address, path, pids: vec![guard.child.id()] };
    Ok((subject, vec![guard, far]))
}

fn connections(dir: &Path, counts: &[usize]) -> anyhow::Result<()> {
    say("\nslow streams at once, 40 deltas of 16 bytes 50 ms apart: CPU per delta, memory of a stream");
    for count in counts {
        let (subject, _guards) = one(dir, "growth-slow", (SLOW, 640), "")?;
        let request = Bench::request(&subject, 0);
        Client::connect(&subject.address)?.ask(&request)?;
        let (memory, before) = (resident(&subject.pids), cpu(&subject.pids));
        let mut held = 0;
        let times = load::streams(&subject.address, &request, *count, || held = resident(&subject.pids))?;
        let each = micros(cpu(&subject.pids).saturating_sub(before)) / to_f64(times.len() * 40);
        let memory = to_f64(held.saturating_sub(memory)) / to_f64(*count) / 1000.0;
        say(&format!("  {count:9} {each:7.1} µs  {memory:6.1} kB"));
    }
    Ok(())
}

fn bodies(dir: &Path) -> anyhow::Result<()> {
    say("\nsize of a request's body: CPU of the request");
    let (subject, _guards) = one(dir, "growth-small", (SMALL, 5), "")?;
    for size in [1 << 10, 16 << 10, 256 << 10, 1 << 20, 16 << 20] {
        let request = Bench::request(&subject, size);
        let count = (32 << 20) / (size + (64 << 10));
        load::many(&subject.address, &request, 1, 2)?;
        let before = cpu(&subject.pids);
        load::many(&subject.address, &request, 1, count)?;
        let each = micros(cpu(&subject.pids).saturating_sub(before)) / to_f64(count);
        say(&format!("  {:6} kB {:9.3} ms", size >> 10, each / 1000.0));
    }
    Ok(())
}

fn endpoints(dir: &Path) -> anyhow::Result<()> {
    say("\nendpoints and routes: CPU of a small request");
    for count in [1usize, 20, 200, 2000] {
        let mut more = String::new();
        for number in 1..count {
            let _ = write!(
                more,
                "[[endpoint]]\nname = \"e{number}\"\nbase_url = \"http://127.0.0.1:9/v1\"\nmodels = [\"m{number}\"]\n[[route]]\nname = \"r{number}\"\ntargets = [\"e{number}/m{number}\"]\n"
            );
        }
        let (subject, _guards) = one(dir, "growth-small", (SMALL, 5), &more)?;
        say(&format!("  {count:9} {:7.1} µs", small_request(&subject, 1000)?));
    }
    Ok(())
}

fn rows(dir: &Path, counts: &[usize]) -> anyhow::Result<()> {
    say("\nrows of the store: CPU of a small request, and how long `latimer usage` takes");
    let (subject, _guards) = one(dir, "growth-small", (SMALL, 5), "")?;
    let request = Bench::request(&subject, 0);
    let mut made = 0;
    for count in counts {
        load::many(&subject.address, &request, 16, count.saturating_sub(made) / 16)?;
        made = (*count).max(made);
        let each = small_request(&subject, 1000)?;
        let begun = Instant::now();
        let state = dir.join("growth-state");
        let output = std::process::Command::new(super::program())
            .args(["usage", "--by", "model", "--json", "--state-dir"])
            .arg(&state)
            .output()?;
        anyhow::ensure!(output.status.success(), "latimer usage failed");
        say(&format!("  {count:9} {each:7.1} µs  {:7.1} ms", micros(begun.elapsed()) / 1000.0));
        made += 1020;
    }
    Ok(())
}

/// Microseconds of CPU of a small request.
fn small_request(subject: &Subject, count: usize) -> anyhow::Result<f64> {
    let request = Bench::request(subject, 0);
    load::many(&subject.address, &request, 1, 20)?;
    let before = cpu(&subject.pids);
    load::many(&subject.address, &request, 1, count)?;
    Ok(micros(cpu(&subject.pids).saturating_sub(before)) / to_f64(count))
}
