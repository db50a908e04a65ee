//! Rows that are fewer than their dimensions, in as many dimensions as they are.
//!
//! What follows from products of rows is the same there, and what costs the cube of the dimensions costs a fraction:
//! 400 rows of 3,072 values lie in 400 dimensions.

use crate::embeddings::geometry::dense::{narrow, rows_of};
use crate::embeddings::registers::settled;
use crate::embeddings::{Matrix, Rows};
use faer::Mat;
use std::borrow::Cow;

/// Returns the rows in coordinates of the space they span.
///
/// They are the R of a QR factorisation of the rows side by side: all products of two rows stay as they are, to
/// about 1e-7. Rows that are as many as their dimensions, or more, come back as they are.
#[must_use]
pub fn in_own_span(rows: &Matrix) -> Cow<'_, Matrix> {
    let count = rows.len();
    if count == 0 || count >= rows.dimensions() {
        return Cow::Borrowed(rows);
    }
    let row_by_row = rows_of(rows.values(), rows.dimensions());
    let wide = Mat::from_fn(rows.dimensions(), count, |place, row| {
        f64::from(row_by_row[(row, place)])
    });
    let parts = settled(wide.qr());
    let columns = parts.thin_R().col_iter();
    let values = columns.flat_map(|column| column.iter().map(|value| narrow(*value)));
    Matrix::new(count, values.collect()).map_or(Cow::Borrowed(rows), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::in_own_span;
    use crate::embeddings::geometry::dense::rows_of;
    use crate::embeddings::geometry::tests::noise;
    use crate::embeddings::{Matrix, Rows};
    use std::borrow::Cow;

    #[test]
    fn products_of_rows_stay() {
        let long = noise(7, 40, 3);
        let short = in_own_span(&long);
        assert_eq!((short.len(), short.dimensions()), (7, 7));
        let products = |rows: &Matrix| {
            let rows = rows_of(rows.values(), rows.dimensions());
            rows * rows.transpose()
        };
        let apart = (products(&long) - products(&short)).norm_max();
        assert!(apart < 1e-4, "{apart}");
    }

    #[test]
    fn many_rows_and_none_are_left_alone() {
        let many = noise(40, 7, 3);
        assert!(matches!(in_own_span(&many), Cow::Borrowed(_)));
        assert!(in_own_span(&Matrix::default()).is_empty());
        let same = Matrix::new(5, [[1.0, 2.0, 3.0, 4.0, 5.0]; 3].concat()).unwrap();
        let short = in_own_span(&same);
        let [one, other] = [short.row(0).unwrap(), short.row(2).unwrap()];
        assert!(one.iter().zip(other).all(|(x, y)| (x - y).abs() < 1e-5));
    }
}
