//! What comparing a secret costs, in this process: it must not tell how much of a guess was right.

use std::hint::black_box;
use std::time::{Duration, Instant};

use engine::secret::constant_time_eq;

use super::latency::Latencies;

/// Comparisons that are timed together, since one is shorter than a clock can tell well.
const TOGETHER: u32 = 64;
/// The length of a signature in hexadecimal digits.
const LENGTH: usize = 64;

/// How much of a guess is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    /// All of it.
    Right,
    /// All but the first byte.
    FirstWrong,
    /// All but the last byte.
    LastWrong,
    /// Nothing, not even the length.
    Short,
}

impl Guess {
    /// All of them, the first is what the others are set beside.
    pub const ALL: [Self; 4] = [Self::Right, Self::FirstWrong, Self::LastWrong, Self::Short];

    /// For the report.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Right => "a right guess",
            Self::FirstWrong => "first byte wrong",
            Self::LastWrong => "last byte wrong",
            Self::Short => "one byte long",
        }
    }

    fn of(self, secret: &[u8]) -> Vec<u8> {
        let mut guess = secret.to_vec();
        match self {
            Self::Right => {}
            Self::FirstWrong => guess.first_mut().into_iter().for_each(|byte| *byte ^= 1),
            Self::LastWrong => guess.last_mut().into_iter().for_each(|byte| *byte ^= 1),
            Self::Short => guess = vec![b'x'],
        }
        guess
    }
}

/// Median times of one comparison in milliseconds, one for each of [`Guess::ALL`]. They take turns,
/// so that whatever else the machine does hits all alike.
pub fn medians_ms(rounds: usize) -> Vec<f64> {
    let secret: Vec<u8> = (0..LENGTH).map(|n| b'a' + (n % 26) as u8).collect();
    let guesses: Vec<Vec<u8>> = Guess::ALL.iter().map(|guess| guess.of(&secret)).collect();
    let mut times = vec![Latencies::default(); guesses.len()];
    for _ in 0..rounds {
        for (guess, times) in guesses.iter().zip(&mut times) {
            times.add(time(&secret, guess));
        }
    }
    times.iter_mut().map(|t| t.quantile_ms(0.5)).collect()
}

fn time(secret: &[u8], guess: &[u8]) -> Duration {
    let begun = Instant::now();
    for _ in 0..TOGETHER {
        black_box(constant_time_eq(black_box(secret), black_box(guess)));
    }
    begun.elapsed() / TOGETHER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_are_what_they_say() {
        let secret = b"abcd";
        let equal = |guess: Guess| constant_time_eq(secret, &guess.of(secret));
        assert_eq!(Guess::ALL.map(equal), [true, false, false, false]);
    }
}
