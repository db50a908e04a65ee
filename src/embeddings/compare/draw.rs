//! Drawing from a list, and reading rows that were drawn.

use crate::embeddings::Error;
use crate::embeddings::rows::{self, Rows};
use crate::stats::Random;

/// Returns `count` of the places of a list of `of`, in random order; all of them when there are no more.
pub(super) fn draw(of: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut random = Random::from_seed(seed);
    let mut places: Vec<usize> = (0..of).collect();
    let count = count.min(of);
    for place in 0..count {
        places.swap(place, place + random.below(of - place));
    }
    places.truncate(count);
    places
}

/// Returns the same in ascending order.
pub(super) fn draw_sorted(of: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut places = draw(of, count, seed);
    places.sort_unstable();
    places
}

/// Appends the vectors of the given rows to `into`; neighbours in the list that are neighbours in the file
/// are read at once.
pub(super) fn read_rows(
    rows: &dyn Rows,
    wanted: impl IntoIterator<Item = usize>,
    into: &mut Vec<f32>,
) -> Result<(), Error> {
    let mut wanted = wanted.into_iter().peekable();
    while let Some(first) = wanted.next() {
        let mut count = 1;
        while wanted.next_if_eq(&(first + count)).is_some() {
            count += 1;
        }
        let start = into.len();
        into.resize(start + count * rows.dimensions(), 0.0);
        if let Some(run) = into.get_mut(start..) {
            rows.read(first, run)?;
        }
    }
    Ok(())
}

/// Returns the cosine of two vectors; 0 when one has no direction.
pub(super) fn cosine(one: &[f32], other: &[f32]) -> f64 {
    rows::cosine(one, other).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::{cosine, draw, draw_sorted, read_rows};
    use crate::embeddings::Matrix;

    #[test]
    fn places_are_drawn_once() {
        let mut drawn = draw(50, 20, 7);
        assert_eq!(drawn, draw(50, 20, 7));
        assert_ne!(drawn, draw(50, 20, 8));
        drawn.sort_unstable();
        assert_eq!(drawn, draw_sorted(50, 20, 7));
        drawn.dedup();
        assert_eq!(drawn.len(), 20);
        assert_eq!(draw_sorted(3, 9, 1), [0, 1, 2]);
        assert!(draw(0, 9, 1).is_empty());
    }

    #[test]
    fn rows_are_read_in_the_order_asked_for() {
        let rows = Matrix::new(2, (0..10_u8).map(f32::from).collect()).unwrap();
        let mut values = Vec::new();
        read_rows(&rows, [3, 0, 1, 2, 4], &mut values).unwrap();
        assert_eq!(values, [6.0, 7.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 8.0, 9.0]);
        assert!(read_rows(&rows, [5], &mut values).is_err());
        assert!((cosine(&[3.0, 4.0], &[4.0, 3.0]) - 0.96).abs() < 1e-12);
        assert!(cosine(&[0.0, 0.0], &[4.0, 3.0]).abs() < 1e-12);
    }
}
