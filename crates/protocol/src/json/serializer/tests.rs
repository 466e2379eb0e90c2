//! The same bytes as `serde_json`.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::to_vec;
use super::*;

#[derive(Serialize)]
enum Variant {
    Unit,
    One(u8),
    Two(i64, f32),
    Named { a: Option<&'static str>, b: char },
}

#[derive(Serialize)]
struct Unit;

#[derive(Serialize)]
struct Pair(u64, bool);

#[derive(Serialize)]
struct Everything<'a> {
    variants: [Variant; 4],
    unit: Unit,
    pair: Pair,
    tuple: (i128, u128, f64),
    raw: &'a RawValue,
    raws: Vec<Option<&'a RawValue>>,
    numbers: BTreeMap<i32, u8>,
    truths: BTreeMap<bool, u8>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    absent: Option<u8>,
}

fn same<T: Serialize>(value: &T) {
    let ours = String::from_utf8(to_vec(value, 0).expect("written")).expect("text");
    assert_eq!(ours, serde_json::to_string(value).expect("written"));
}

#[test]
fn every_kind_of_type_is_written_as_serde_does() {
    let raw = RawValue::from_string("{ \"kept\" : [1.0,\n2], \"e\": \"\\u00e9\" }".to_owned()).expect("JSON");
    same(&Everything {
        variants: [Variant::Unit, Variant::One(1), Variant::Two(-2, 0.1), Variant::Named { a: None, b: '"' }],
        unit: Unit,
        pair: Pair(u64::MAX, true),
        tuple: (i128::MIN, u128::MAX, f64::NAN),
        raw: &raw,
        raws: vec![Some(&raw), None],
        numbers: BTreeMap::from([(-1, 1), (2, 2)]),
        truths: BTreeMap::from([(false, 0), (true, 1)]),
        more: BTreeMap::from([("x\n".to_owned(), json!({ "y": [1.5e300, -0.0, "z"] }))]),
        absent: None,
    });
    same(&raw);
    same(b"bytes");
    same(&json!({}));
    same(&json!([]));
}

#[test]
fn a_key_that_is_no_text_is_refused() {
    assert!(to_vec(&BTreeMap::from([(vec![1], 1)]), 0).is_err());
    assert!(to_vec(&BTreeMap::from([((), 1)]), 0).is_err());
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "(\\PC|[\\x00-\\x1f\"\\\\]){0,30}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec(("(\\PC|[\\x00-\\x1f\"]){0,6}", inner), 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_is_written_as_serde_does(value in values()) {
        same(&value);
        same(&serde_json::value::to_raw_value(&value).expect("raw"));
    }
}
