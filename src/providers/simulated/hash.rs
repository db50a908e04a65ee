//! A small hash that is the same on every machine and in every version.

/// Hashes `parts` in order, each told apart from its neighbours.
pub(super) fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    // FNV-1a, with a last mix because its high bits are weak for short texts.
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut hash = OFFSET;
    for part in parts {
        for byte in part {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
        hash = (hash ^ 0xff).wrapping_mul(PRIME);
    }
    mix(hash)
}

/// Returns another well-spread number for `seed` (the finaliser of `SplitMix64`).
pub(super) const fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Returns a number from 0 to below 1.
pub(super) fn fraction(seed: u64) -> f64 {
    let top = u32::try_from(seed >> 32).unwrap_or(u32::MAX);
    f64::from(top) / (f64::from(u32::MAX) + 1.0)
}

/// Returns a number from 0 to below `count`; 0 for a count of 0.
pub(super) fn below(seed: u64, count: usize) -> usize {
    let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
    usize::try_from(seed % count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{fraction, of};

    #[test]
    fn hashes_are_stable_and_tell_parts_apart() {
        assert_eq!(of([b"hello".as_slice()]), 0xb8b1_3b7b_8257_2dfc);
        assert_ne!(of([b"ab".as_slice(), b"c"]), of([b"a".as_slice(), b"bc"]));
        assert!((0.0..1.0).contains(&fraction(u64::MAX)));
    }
}
