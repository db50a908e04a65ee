//! Whether alarms of drift keep to their budget when nothing drifts: `cargo bench --bench drift -- [WINDOWS]
//! [STREAMS] [THREADS]`.
//!
//! Quiet traffic is made around topics of unlike sizes, as people's questions are. The first part holds windows
//! against references of their own and counts how often each level is passed; the second watches streams for
//! a month, each against one reference that stays, and counts alarms. Of how much is found when something does
//! drift the third part tells.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot go on ends here, and prints what it found"
)]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "figures for people, and made-up vectors"
)]

use promptgate::embeddings::Matrix;
use promptgate::embeddings::drift::{Budget, Standing, examine, permutations_for};
use promptgate::stats::{Random, clopper_pearson, normal_quantile};
use std::thread;

const SIZE: usize = 24;
const TOPICS: usize = 30;
const REFERENCE: usize = 400;
const WINDOW: usize = 100;
const HOUR_MS: i64 = 3_600_000;
const MONTH_MS: i64 = 720 * HOUR_MS;
const LEVELS: [f64; 6] = [0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
const CONFIDENCE: f64 = 0.95;

fn main() {
    let arguments: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    let given = |place: usize, usual: usize| arguments.get(place).copied().unwrap_or(usual);
    let (windows, streams, threads) = (
        given(0, 2_000).max(1),
        given(1, 60).max(1),
        given(2, 2).max(1),
    );
    levels(windows, threads);
    for every in [1, 6, 24] {
        months(streams, every, threads);
    }
    for share in [0.0, 0.05, 0.1, 0.2] {
        power(streams.min(40), share, threads);
    }
}

/// What `count` seeds give, on several threads.
fn each<T: Send>(count: usize, threads: usize, of: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let of = &of;
    thread::scope(|scope| {
        let parts: Vec<_> = (0..threads)
            .map(|first| {
                scope.spawn(move || {
                    let seeds = (first..count).step_by(threads);
                    seeds.map(|seed| of(seed as u64)).collect::<Vec<_>>()
                })
            })
            .collect();
        parts
            .into_iter()
            .flat_map(|part| part.join().unwrap())
            .collect()
    })
}

/// Questions about topics: a few are asked often, many seldom.
struct Traffic {
    random: Random,
    centres: Vec<Vec<f64>>,
    weights: Vec<f64>,
}

impl Traffic {
    fn of(seed: u64) -> Self {
        let mut random = Random::from_seed(seed);
        let centres = (0..=TOPICS)
            .map(|_| (0..SIZE).map(|_| normal(&mut random)).collect())
            .collect();
        let weights: Vec<f64> = (1..=TOPICS).map(|rank| 1.0 / rank as f64).collect();
        Self {
            random,
            centres,
            weights,
        }
    }

    /// Rows of which a share is about a topic that nobody asked about before.
    fn rows(&mut self, count: usize, new: f64) -> Matrix {
        let mut values = Vec::with_capacity(count * SIZE);
        for _ in 0..count {
            let topic = if self.random.happens(new) {
                TOPICS
            } else {
                self.topic()
            };
            for axis in 0..SIZE {
                let centre = self.centres.get(topic).and_then(|row| row.get(axis));
                let value = centre.unwrap() + 0.6 * normal(&mut self.random);
                values.push(value as f32);
            }
        }
        Matrix::new(SIZE, values).unwrap()
    }

    fn topic(&mut self) -> usize {
        let mut left = self.random.share() * self.weights.iter().sum::<f64>();
        for (topic, weight) in self.weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return topic;
            }
        }
        0
    }
}

fn normal(random: &mut Random) -> f64 {
    normal_quantile(random.share().clamp(1e-12, 1.0 - 1e-12)).unwrap()
}

/// How often quiet windows pass a level, each against a reference of its own.
fn levels(windows: usize, threads: usize) {
    let chances = each(windows, threads, |seed| {
        let mut traffic = Traffic::of(seed + 1);
        let (reference, window) = (traffic.rows(REFERENCE, 0.0), traffic.rows(WINDOW, 0.0));
        let found = examine(&reference, &window, (permutations_for(0.001), seed)).unwrap();
        (found.p_shift, found.p_novelty, found.p_value)
    });
    println!("{windows} quiet windows of {WINDOW} against references of {REFERENCE}");
    for level in LEVELS {
        let share = |of: fn(&(f64, f64, f64)) -> f64| {
            let hits = chances.iter().filter(|found| of(found) <= level).count() as u64;
            let interval = clopper_pearson(hits, windows as u64, CONFIDENCE).unwrap();
            let value = hits as f64 / windows as f64;
            format!("{value:.4} [{:.4}, {:.4}]", interval.low, interval.high)
        };
        println!(
            "  level {level:<6} both {}  shift {}  novelty {}",
            share(|found| found.2),
            share(|found| found.0),
            share(|found| found.1)
        );
    }
}

/// How many alarms quiet streams raise in a month, each against one reference that stays.
fn months(streams: usize, every: i64, threads: usize) {
    let found = each(streams, threads, |seed| {
        let mut traffic = Traffic::of(10_000 + seed);
        let reference = traffic.rows(REFERENCE, 0.0);
        let mut budget = Budget::new(1.0, 0).unwrap();
        let (mut alarms, mut hits, mut spent) = (0_u64, 0_u64, 0.0);
        for look in 1..=MONTH_MS / (every * HOUR_MS) {
            let Some(alpha) = budget.spend(look * every * HOUR_MS) else {
                continue;
            };
            let window = traffic.rows(WINDOW, 0.0);
            let chance = (permutations_for(alpha), look.unsigned_abs());
            let is_hit = examine(&reference, &window, chance).unwrap().p_value <= alpha;
            spent += alpha;
            hits += u64::from(is_hit);
            alarms += u64::from(budget.count(is_hit) == Standing::Alarm);
        }
        (alarms, hits, spent)
    });
    let alarms: u64 = found.iter().map(|found| found.0).sum();
    let hits: u64 = found.iter().map(|found| found.1).sum();
    let spent: f64 = found.iter().map(|found| found.2).sum();
    let alarmed = found.iter().filter(|found| 0 < found.0).count() as u64;
    let interval = clopper_pearson(alarmed, streams as u64, CONFIDENCE).unwrap();
    println!(
        "a month of looks every {every} h, {streams} streams: {:.3} alarms a month, {:.3} of the streams alarm [{:.3}, {:.3}]; \
         {:.2} windows hit, {:.2} are allowed",
        alarms as f64 / streams as f64,
        alarmed as f64 / streams as f64,
        interval.low,
        interval.high,
        hits as f64 / streams as f64,
        spent / streams as f64,
    );
}

/// After how many windows a new topic raises an alarm.
fn power(streams: usize, share: f64, threads: usize) {
    const MOST: i64 = 20;
    let found = each(streams, threads, |seed| {
        let mut traffic = Traffic::of(20_000 + seed);
        let reference = traffic.rows(REFERENCE, 0.0);
        let mut budget = Budget::new(1.0, 0).unwrap();
        (1..=MOST).find(|look| {
            let alpha = budget.spend(look * 24 * HOUR_MS).unwrap_or(0.0);
            let window = traffic.rows(WINDOW, share);
            let chance = (permutations_for(alpha), look.unsigned_abs());
            let is_hit = examine(&reference, &window, chance).unwrap().p_value <= alpha;
            budget.count(is_hit) == Standing::Alarm
        })
    });
    let mut looks: Vec<i64> = found.iter().filter_map(|look| *look).collect();
    looks.sort_unstable();
    println!(
        "a new topic of {:.0} %, daily windows: {} of {streams} streams alarm within {MOST}, half of those by window {}",
        100.0 * share,
        looks.len(),
        looks.get(looks.len() / 2).copied().unwrap_or_default()
    );
}
