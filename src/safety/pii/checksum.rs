//! The check digits of numbers, each by its published rule. Digits come as values from 0 to 9.

/// Whether `digits` pass the rule of Luhn (ISO/IEC 7812-1, annex B).
pub(super) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(*digit);
            match (place % 2, 2 * digit) {
                (0, _) => digit,
                (_, doubled @ 0..=9) => doubled,
                (_, doubled) => doubled - 9,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Returns the sum of `digits`, each times the weight at its place.
pub(super) fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits
        .iter()
        .zip(weights)
        .map(|(digit, weight)| u32::from(*digit) * weight)
        .sum()
}

/// Whether `characters`, an account number without spaces, pass ISO 13616 (mod 97).
pub(super) fn iban(characters: &[u8]) -> bool {
    let Some((head, rest)) = characters.split_at_checked(4) else {
        return false;
    };
    let remainder = rest.iter().chain(head).try_fold(0_u32, |remainder, byte| {
        let value = char::from(*byte).to_digit(36)?;
        let shift = if value < 10 { 10 } else { 100 };
        Some((remainder * shift + value) % 97)
    });
    remainder == Some(1)
}

/// The multiplication of the dihedral group of ten elements.
const VERHOEFF_PRODUCT: [[u8; 10]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    [1, 2, 3, 4, 0, 6, 7, 8, 9, 5],
    [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
    [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
    [4, 0, 1, 2, 3, 9, 5, 6, 7, 8],
    [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
    [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
    [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
    [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
    [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
];

/// The permutation of each place, counted from the right.
const VERHOEFF_PERMUTATION: [[u8; 10]; 8] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
    [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
    [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
    [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
    [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
    [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
    [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
];

/// Whether `digits` pass the rule of Verhoeff (1969).
pub(super) fn verhoeff(digits: &[u8]) -> bool {
    let look = |table: &[[u8; 10]], row: usize, column: u8| {
        table
            .get(row)
            .and_then(|row| row.get(usize::from(column)))
            .copied()
    };
    let check = digits
        .iter()
        .rev()
        .enumerate()
        .try_fold(0_u8, |check, (place, digit)| {
            let turned = look(&VERHOEFF_PERMUTATION, place % 8, *digit)?;
            look(&VERHOEFF_PRODUCT, usize::from(check), turned)
        });
    check == Some(0)
}

/// Whether the last of `digits` is the check digit of the others by ISO 7064, mod 11, 10.
pub(super) fn iso_7064_mod_11_10(digits: &[u8]) -> bool {
    let Some((check, digits)) = digits.split_last() else {
        return false;
    };
    let product = digits.iter().fold(10_u32, |product, digit| {
        let sum = (u32::from(*digit) + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - product) % 10 == u32::from(*check)
}

#[cfg(test)]
mod tests {
    use super::{iban, iso_7064_mod_11_10, luhn, verhoeff};
    use proptest::prelude::{Just, Strategy as _, prop, proptest};

    fn digits(text: &str) -> Vec<u8> {
        text.bytes().map(|byte| byte - b'0').collect()
    }

    #[test]
    fn published_examples_pass() {
        assert!(luhn(&digits("4111111111111111")));
        assert!(luhn(&digits("79927398713")));
        assert!(!luhn(&digits("79927398710")));
        assert!(iban(b"GB82WEST12345698765432"));
        assert!(iban(b"DE89370400440532013000"));
        assert!(!iban(b"GB82WEST12345698765423"));
        assert!(!iban(b"GB8"));
        assert!(verhoeff(&digits("2363")));
        assert!(!verhoeff(&digits("2364")));
        assert!(iso_7064_mod_11_10(&digits("86095742719")));
        assert!(!iso_7064_mod_11_10(&digits("86095742710")));
        assert!(!iso_7064_mod_11_10(&[]));
    }

    proptest! {
        /// The rule of Verhoeff sees every change of one digit and every swap of neighbours.
        #[test]
        fn verhoeff_sees_small_errors(
            (number, place) in prop::collection::vec(0_u8..10, 2..12)
                .prop_flat_map(|number| { let places = 0..number.len(); (Just(number), places) }),
            other in 0_u8..10,
        ) {
            let check = (0..10).find(|check| verhoeff(&[number.as_slice(), &[*check]].concat()));
            let mut changed = [number.as_slice(), &[check.unwrap()]].concat();
            assert!(verhoeff(&changed));
            let before = changed.clone();
            changed[place] = other;
            assert_eq!(verhoeff(&changed), changed == before);
            let mut swapped = before.clone();
            swapped.swap(place, place + 1);
            assert_eq!(verhoeff(&swapped), swapped == before);
        }
    }
}
