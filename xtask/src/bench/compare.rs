//! Two binaries in one run, in turns: what a change costs, on a machine that is not quiet.
//!
//! Both stand before the same far side. Each round measures one and then the other, and the next one begins with the other, so that
//! what disturbs the machine disturbs both. The fastest round is the least disturbed; the median says how much there was.

use std::path::Path;

use super::{Bench, FRONTS, Guard, Subject, cpu, load, micros, provider, proxy, say, to_f64};

/// Rounds of each binary.
const ROUNDS: usize = 8;

/// What is measured: a name, the far side's step and the length of its text, the bytes of history asked with, how many
/// requests are in a round, and how many units are in a request.
struct Workload {
    title: &'static str,
    unit: &'static str,
    step: &'static str,
    length: usize,
    history: usize,
    count: usize,
    units: f64,
}

const WORKLOADS: [Workload; 3] = [
    Workload {
        title: "256 deltas of 16 bytes without gaps",
        unit: "delta",
        step: r#"{"type":"text","text":"TEXT","pieces":256}"#,
        length: 256 * 16,
        history: 0,
        count: 100,
        units: 256.0,
    },
    Workload {
        title: "small requests",
        unit: "request",
        step: r#"{"type":"text","text":"TEXT","pieces":1}"#,
        length: 5,
        history: 0,
        count: 500,
        units: 1.0,
    },
    Workload {
        title: "a history of 1 MB",
        unit: "request",
        step: r#"{"type":"text","text":"TEXT","pieces":1}"#,
        length: 5,
        history: 1 << 20,
        count: 10,
        units: 1.0,
    },
];

/// Measures all workloads with both binaries.
pub(super) fn run(dir: &Path, before: &Path, repeat: usize) -> anyhow::Result<()> {
    for workload in &WORKLOADS {
        say(&format!(
            "\n{}, CPU per {}, fastest and median of {ROUNDS} rounds",
            workload.title, workload.unit
        ));
        let (_far, far_url) = provider(dir, "compared", workload.step, workload.length)?;
        let before_dir = dir.join("before");
        std::fs::create_dir_all(&before_dir)?;
        let sides = [proxy(before, &before_dir, &far_url)?, proxy(&super::program(), dir, &far_url)?];
        for (name, path) in FRONTS {
            report(workload, &sides, name, path, workload.count * repeat)?;
        }
    }
    Ok(())
}

fn report(
    workload: &Workload,
    sides: &[(Guard, String); 2],
    name: &'static str,
    path: &'static str,
    count: usize,
) -> anyhow::Result<()> {
    let subjects = sides.each_ref().map(|(guard, address)| Subject {
        name,
        address: address.clone(),
        path,
        pids: vec![guard.child.id()],
    });
    let mut rounds = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for side in [round % 2, 1 - round % 2] {
            let subject = &subjects[side];
            let request = Bench::request(subject, workload.history);
            load::many(&subject.address, &request, 1, 2)?;
            let started = cpu(&subject.pids);
            load::many(&subject.address, &request, 1, count)?;
            let used = micros(cpu(&subject.pids).saturating_sub(started));
            rounds[side].push(used / (workload.units * to_f64(count)));
        }
    }
    let [before, after] = rounds.map(|mut times| {
        times.sort_by(f64::total_cmp);
        (times[0], times[times.len() / 2])
    });
    say(&format!(
        "  {name:8} before {:9.2} {:9.2} µs   after {:9.2} {:9.2} µs   {:+.1} % {:+.1} %",
        before.0,
        before.1,
        after.0,
        after.1,
        (after.0 / before.0 - 1.0) * 100.0,
        (after.1 / before.1 - 1.0) * 100.0
    ));
    Ok(())
}
