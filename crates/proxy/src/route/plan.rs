//! In which order the targets of a route are tried. Pure.

use crate::config::Price;
use crate::config::Strategy;

/// One target at this moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// A turn may go there: no open circuit, no limit, a key that does not rest, room for one more.
    pub ready: bool,
    /// Little is left of its allowance: it comes behind those that have more.
    pub low: bool,
    /// Open turns on its endpoint.
    pub open_turns: u64,
    /// Lower is better; see [`super::health::Health::score`] and [`cost`].
    pub score: f64,
}

/// The most that a price adds to a score: as much as ten seconds of waiting.
const MAX_COST: f64 = 50.0;

/// What a price adds to a score: a point for each US dollar that a million tokens cost, of which three in four are input. Nothing
/// where the price is not known: then only the others can be compared.
pub fn cost(price: Price) -> f64 {
    let dollars = |millionths: u64| f64::from(u32::try_from(millionths).unwrap_or(u32::MAX)) / 1e6;
    let (Some(input), Some(output)) = (price.input, price.output) else { return 0.0 };
    (dollars(input) * 0.75 + dollars(output) * 0.25).min(MAX_COST)
}

/// The indexes of the candidates, the best first: the one this conversation has an affinity to, then the others that are ready in the
/// order of the strategy, then those with little left of their allowance, then the rest in the order of their scores. None is left out: trying beats refusing.
pub fn order(
    strategy: Strategy,
    candidates: &[Candidate],
    round: usize,
    affinity: Option<usize>,
) -> Vec<usize> {
    let count = candidates.len();
    let mut ranking: Vec<usize> = match strategy {
        Strategy::RoundRobin => (0..count).map(|step| (round + step) % count).collect(),
        Strategy::Ordered | Strategy::LeastBusy | Strategy::Score => (0..count).collect(),
    };
    let at = |index: &usize| candidates.get(*index).copied();
    let score = |index: &usize| at(index).map_or(f64::MAX, |candidate| candidate.score);
    match strategy {
        Strategy::LeastBusy => ranking.sort_by_key(|index| at(index).map(|candidate| candidate.open_turns)),
        Strategy::Score => ranking.sort_by(|a, b| score(a).total_cmp(&score(b))),
        Strategy::Ordered | Strategy::RoundRobin => {}
    }
    let (ready, mut last): (Vec<usize>, Vec<usize>) =
        ranking.into_iter().partition(|index| at(index).is_some_and(|candidate| candidate.ready));
    let (mut low, mut first): (Vec<usize>, Vec<usize>) =
        ready.into_iter().partition(|index| at(index).is_some_and(|candidate| candidate.low));
    last.sort_by(|a, b| score(a).total_cmp(&score(b)));
    if let Some(index) = affinity.and_then(|affinity| first.iter().position(|index| *index == affinity)) {
        let affinity = first.remove(index);
        first.insert(0, affinity);
    }
    first.append(&mut low);
    first.append(&mut last);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(ready: bool, open_turns: u64, score: f64) -> Candidate {
        Candidate { ready, low: false, open_turns, score }
    }

    #[test]
    fn strategies() {
        let three = [candidate(true, 5, 3.0), candidate(true, 0, 9.0), candidate(true, 2, 1.0)];
        assert_eq!(order(Strategy::Ordered, &three, 7, None), [0, 1, 2]);
        assert_eq!(order(Strategy::RoundRobin, &three, 4, None), [1, 2, 0]);
        assert_eq!(order(Strategy::LeastBusy, &three, 0, None), [1, 2, 0]);
        assert_eq!(order(Strategy::Score, &three, 0, None), [2, 0, 1]);
        assert_eq!(
            order(Strategy::Score, &three, 0, Some(1)),
            [1, 2, 0],
            "a conversation stays where it was"
        );
        assert_eq!(order(Strategy::Ordered, &[], 0, None), [] as [usize; 0]);
    }

    #[test]
    fn the_cheaper_of_equals_is_better_and_quickness_has_its_price() {
        let price =
            |input: u64, output: u64| Price { input: Some(input), output: Some(output), cached: None };
        let (cheap, dear) = (price(300_000, 1_200_000), price(3_000_000, 15_000_000));
        assert!((cost(dear) - 6.0).abs() < 1e-9, "{}", cost(dear));
        assert!(cost(cheap) < cost(dear) && cost(price(u64::MAX, u64::MAX)) <= MAX_COST);
        assert!(cost(Price::default()).abs() < 1e-9);
    }

    #[test]
    fn what_is_not_ready_comes_last_but_comes() {
        let three = [candidate(false, 0, 500.0), candidate(true, 0, 9.0), candidate(false, 0, 40.0)];
        assert_eq!(order(Strategy::Ordered, &three, 0, Some(0)), [1, 2, 0]);
    }

    #[test]
    fn who_has_little_left_comes_behind_the_others_and_before_those_that_rest() {
        let low = Candidate { low: true, ..candidate(true, 0, 1.0) };
        let four = [low, candidate(false, 0, 1.0), candidate(true, 0, 9.0), candidate(true, 0, 2.0)];
        assert_eq!(order(Strategy::Ordered, &four, 0, Some(0)), [2, 3, 0, 1], "whoever answered before");
    }

    proptest::proptest! {
        #[test]
        fn every_target_is_there_once(ready in proptest::collection::vec(proptest::bool::ANY, 0..8), round in 0usize..100) {
            let candidates: Vec<Candidate> = ready.iter().map(|ready| candidate(*ready, 0, 1.0)).collect();
            for strategy in [Strategy::Ordered, Strategy::RoundRobin, Strategy::LeastBusy, Strategy::Score] {
                let mut ranking = order(strategy, &candidates, round, Some(round % 9));
                ranking.sort_unstable();
                proptest::prop_assert_eq!(ranking, (0..candidates.len()).collect::<Vec<_>>());
            }
        }
    }
}
