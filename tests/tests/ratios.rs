//! What must stay in proportion, whatever the machine: ratios of one run, never a time.

use tests::bench::rules::{self, Asked};

/// Ten thousand rules may cost so many times what ten cost.
const MOST: f64 = 3.0;
const FEW: usize = 10;
const MANY: usize = 10_000;

/// The least fuel that an evaluation needs.
fn least_fuel(asked: &Asked) -> u64 {
    let (mut too_little, mut enough) = (0, engine::limits::FUEL);
    assert!(asked.ask(enough).unwrap());
    while enough - too_little > 1 {
        let middle = too_little + (enough - too_little) / 2;
        if asked.ask(middle).is_ok() {
            enough = middle;
        } else {
            too_little = middle;
        }
    }
    enough
}

#[test]
fn ten_thousand_rules_need_little_more_fuel_than_ten() {
    let few = least_fuel(&Asked::new(FEW).unwrap());
    let many = least_fuel(&Asked::new(MANY).unwrap());
    assert!(few > 1, "an evaluation costs something");
    assert!(
        many as f64 <= few as f64 * MOST,
        "{FEW} rules: {few}, {MANY} rules: {many}"
    );
}

#[test]
fn ten_thousand_rules_cost_little_more_time_than_ten() {
    let medians = rules::medians_ms(&[FEW, MANY], 200).unwrap();
    let [few, many] = medians[..] else {
        panic!("two medians");
    };
    assert!(
        many <= few * MOST,
        "{FEW} rules: {few} ms, {MANY} rules: {many} ms"
    );
}
