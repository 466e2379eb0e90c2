//! Money as people read it.

use latimer_proxy::config::Price;

/// What is said of a cost or a price that nobody knows.
pub(crate) const UNPRICED: &str = "unpriced";

/// A sum in US dollars: cents, and four digits below a cent. `unpriced` where nobody knows it, which is not nothing.
pub(crate) fn cost(usd: Option<f64>) -> String {
    match usd {
        None => UNPRICED.to_owned(),
        Some(usd) if usd <= 0.0 => "$0.00".to_owned(),
        // What four digits cannot show is not nothing either.
        Some(usd) if usd < 0.000_05 => "<$0.0001".to_owned(),
        Some(usd) if usd < 0.01 => format!("${usd:.4}"),
        Some(usd) => format!("${usd:.2}"),
    }
}

/// The price of a million tokens in and out: `$3.00/$15.00`, `free`, or `-` where nobody knows it.
pub(crate) fn price(price: Price) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a price has few digits")]
    let dollars = |millionths: u64| cost(Some(millionths as f64 / 1e6));
    match (price.input, price.output) {
        _ if price.is_free() => "free".to_owned(),
        (Some(input), Some(output)) => format!("{}/{}", dollars(input), dollars(output)),
        _ => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_never_nothing_where_it_is_not_known() {
        let shown =
            [None, Some(0.0), Some(0.000_000_3), Some(0.000_05), Some(0.0042), Some(0.01), Some(12.345)];
        let want = ["unpriced", "$0.00", "<$0.0001", "$0.0001", "$0.0042", "$0.01", "$12.35"];
        assert_eq!(shown.map(cost), want);
    }

    #[test]
    fn prices() {
        let of = |input: Option<u64>, output: Option<u64>| price(Price { input, cached: None, output });
        assert_eq!(of(Some(3_000_000), Some(15_000_000)), "$3.00/$15.00");
        assert_eq!(of(Some(0), Some(0)), "free");
        assert_eq!(of(Some(1), None), "-");
        assert_eq!(of(Some(5000), Some(0)), "$0.0050/$0.00");
    }
}
