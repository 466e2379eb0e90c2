//! The nearest of the values that a provider takes. Pure.

/// Values with an order, from the least to the most; those of one step mean the same.
const LADDERS: [&[&[&str]]; 4] = [
    // Efforts, and levels of verbosity.
    &[&["none", "off", "disabled"], &["minimal"], &["low"], &["medium"], &["high"], &["xhigh"], &["max"]],
    // `tool_choice`.
    &[&["none"], &["auto"], &["any", "required", "validated"]],
    // Thinking.
    &[&["disabled"], &["auto"], &["adaptive"], &["enabled"]],
    // Tiers of service.
    &[&["flex"], &["default", "standard", "standard_only"], &["auto"], &["priority"]],
];

/// The value nearest to the one that was wanted: on a ladder by its steps, the lower of two that are as near; else the one spelt most
/// alike; else the first.
pub(crate) fn nearest<'v>(wanted: &str, values: &'v [String]) -> Option<&'v str> {
    let lower = wanted.to_ascii_lowercase();
    if let Some(value) = values.iter().find(|value| value.eq_ignore_ascii_case(wanted)) {
        return Some(value);
    }
    let step = |ladder: &[&[&str]], value: &str| {
        ladder.iter().position(|names| names.iter().any(|name| name.eq_ignore_ascii_case(value)))
    };
    let on_ladder = LADDERS.iter().find_map(|ladder| {
        let at = step(ladder, &lower)?;
        let steps = values.iter().filter_map(|value| Some((step(ladder, value)?, value)));
        steps.min_by_key(|(place, _)| (place.abs_diff(at), *place)).map(|(_, value)| value.as_str())
    });
    // What is no word, such as the name of a function in `tool_choice`, is nearest to leaving it open.
    let open = || values.iter().find(|value| lower.is_empty() && value.eq_ignore_ascii_case("auto"));
    let alike = || {
        let near = values.iter().map(|value| (distance(&lower, &value.to_ascii_lowercase()), value));
        near.filter(|(distance, _)| *distance * 2 <= lower.len()).min_by_key(|(distance, _)| *distance)
    };
    on_ladder
        .or_else(|| open().map(String::as_str))
        .or_else(|| alike().map(|(_, value)| value.as_str()))
        .or_else(|| values.first().map(String::as_str))
}

/// How many letters must be changed, put in or taken out.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(64).enumerate() {
        let mut left = i + 1;
        let mut diagonal = i;
        for (cb, above) in b.iter().zip(row.iter_mut().skip(1)) {
            let cost = (diagonal + usize::from(ca != *cb)).min(left + 1).min(*above + 1);
            diagonal = *above;
            *above = cost;
            left = cost;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_value() {
        let cases: [(&str, &[&str], Option<&str>); 15] = [
            ("max", &["minimal", "low", "medium", "high", "xhigh"], Some("xhigh")),
            ("max", &["low", "high"], Some("high")),
            ("minimal", &["low", "medium", "high"], Some("low")),
            ("none", &["low", "medium", "high"], Some("low")),
            ("xhigh", &["low", "high", "max"], Some("high")),
            ("medium", &["LOW", "HIGH"], Some("LOW")),
            ("high", &["HIGH"], Some("HIGH")),
            ("required", &["none", "auto"], Some("auto")),
            ("any", &["auto", "required"], Some("required")),
            ("", &["none", "auto"], Some("auto")),
            ("adaptive", &["enabled", "disabled"], Some("enabled")),
            ("priority", &["auto", "default"], Some("auto")),
            ("json_objekt", &["text", "json_object"], Some("json_object")),
            ("zzz", &["one", "two"], Some("one")),
            ("x", &[], None),
        ];
        for (wanted, values, want) in cases {
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            assert_eq!(nearest(wanted, &values), want, "{wanted} of {values:?}");
        }
        assert_eq!((distance("kitten", "sitting"), distance("", "ab"), distance("ab", "")), (3, 2, 2));
    }
}
