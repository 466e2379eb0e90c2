//! What users of coding agents ran into, replayed through the real proxy: a module for each kind of fault.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use support::field_report::{FieldReport, names};

mod field_reports {
    pub(crate) mod any_protocol;
    pub(crate) mod fronts;
    pub(crate) mod k01_whole_objects;
    pub(crate) mod k02_surrogates;
    pub(crate) mod k03_lessons;
    pub(crate) mod k04_schemas;
    pub(crate) mod k05_output_limits;
    pub(crate) mod k06_unknown_items;
    pub(crate) mod k07_overflow;
    pub(crate) mod k08_responses_history;
    pub(crate) mod k09_listed_values;
    pub(crate) mod k10_failures_with_200;
    pub(crate) mod k11_broken_arguments;
    pub(crate) mod k12_pictures;
    pub(crate) mod k12_refused_pictures;
    pub(crate) mod k13_tool_references;
    pub(crate) mod k14_patches;
    pub(crate) mod k15_slips;
    pub(crate) mod k16_calls_in_thoughts;
    pub(crate) mod k17_calls_without_tools;
    pub(crate) mod k18_refusals;
    pub(crate) mod k19_missing_events;
    pub(crate) mod k20_json_outputs;
    pub(crate) mod k21_claude_window;
    pub(crate) mod k22_outbound_proxy;
    pub(crate) mod k23_empty_arguments;
    pub(crate) mod k23_small_ones;
    pub(crate) mod planted_calls;
}

#[test]
fn every_report_gets_an_answer() {
    let mut asked = 0;
    for name in names() {
        let report = FieldReport::load(&name);
        if !report.is_a_turn() {
            continue;
        }
        let harness = report.start("retries = 0", |_| false);
        let answer = report.ask(&harness, &report.request());
        assert!(answer.status >= 200 && !answer.body.is_empty(), "{name}: {answer:?}");
        asked += 1;
    }
    assert!(asked >= 42, "{asked} reports were replayed");
}
