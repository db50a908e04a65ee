//! The tokens of `OpenAI`'s tokenizers (MIT licence), a quarter of the size they come in: the program carries them.

use std::collections::HashMap;
use std::hash::BuildHasher;
use tiktoken_rs::{CoreBPE, O200K_BASE_PAT_STR, Rank};

/// Splits text as `cl100k_base` does: contractions, words, up to three digits, signs, blanks.
const CL100K_PATTERN: &str = concat!(
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+",
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
);

/// Bytes that the tokens of a tokenizer take at most.
const MAX_BYTES: usize = 4 << 20;

/// A tokenizer that the program carries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ranks {
    /// So many bytes of lengths, then the tokens themselves in the order of their ranks; packed with
    /// Zstandard. Made by `scripts/update-tokenizers`.
    packed: &'static [u8],
    count: usize,
    special: &'static [(&'static str, Rank)],
    pattern: &'static str,
}

/// The tokenizer of current models.
pub(super) const O200K: Ranks = Ranks {
    packed: include_bytes!("o200k_base.ranks.zst"),
    count: 199_998,
    special: &[("<|endoftext|>", 199_999), ("<|endofprompt|>", 200_018)],
    pattern: O200K_BASE_PAT_STR,
};

/// The tokenizer of GPT-4, GPT-3.5 and their embeddings.
pub(super) const CL100K: Ranks = Ranks {
    packed: include_bytes!("cl100k_base.ranks.zst"),
    count: 100_256,
    special: &[
        ("<|endoftext|>", 100_257),
        ("<|fim_prefix|>", 100_258),
        ("<|fim_middle|>", 100_259),
        ("<|fim_suffix|>", 100_260),
        ("<|endofprompt|>", 100_276),
    ],
    pattern: CL100K_PATTERN,
};

impl Ranks {
    /// Makes the tokenizer; `None` if the program's own data is damaged.
    pub(super) fn load(self) -> Option<CoreBPE> {
        let bytes = zstd::bulk::decompress(self.packed, MAX_BYTES).ok()?;
        let tokens = unpack(&bytes, self.count)?;
        let special = self.special.iter();
        let special = special.map(|(text, rank)| ((*text).to_owned(), *rank));
        CoreBPE::new(tokens, special.collect(), self.pattern).ok()
    }
}

/// The tokens with their ranks.
fn unpack<S: BuildHasher + Default>(
    bytes: &[u8],
    count: usize,
) -> Option<HashMap<Vec<u8>, Rank, S>> {
    let (lengths, mut rest) = bytes.split_at_checked(count)?;
    let mut tokens = HashMap::with_capacity_and_hasher(count, S::default());
    for (rank, length) in (0..).zip(lengths) {
        let (token, after) = rest.split_at_checked(usize::from(*length))?;
        tokens.insert(token.to_vec(), rank);
        rest = after;
    }
    rest.is_empty().then_some(tokens)
}

#[cfg(test)]
mod tests {
    use super::{CL100K, O200K, Ranks, unpack};
    use std::collections::HashMap;
    use tiktoken_rs::{CoreBPE, Rank, cl100k_base, o200k_base};

    fn agree(ranks: Ranks, theirs: &CoreBPE) {
        let ours = ranks.load().unwrap();
        for rank in 0..Rank::try_from(ranks.count).unwrap() {
            assert_eq!(
                ours.decode_bytes(&[rank]).unwrap(),
                theirs.decode_bytes(&[rank]).unwrap(),
                "{rank}"
            );
        }
        let text = "It's 12345 o'clock,\r\n  DON'T   touch  日本語 <|endoftext|>🙂!!\n\n\tx";
        assert_eq!(
            ours.encode_with_special_tokens(text),
            theirs.encode_with_special_tokens(text)
        );
        assert_eq!(ours.encode_ordinary(text), theirs.encode_ordinary(text));
    }

    #[test]
    fn the_packed_tokens_are_those_of_the_library() {
        agree(O200K, &o200k_base().unwrap());
        agree(CL100K, &cl100k_base().unwrap());
    }

    #[test]
    fn damage_is_seen() {
        let tokens = |bytes: &[u8], count| unpack::<std::hash::RandomState>(bytes, count);
        let expected: HashMap<Vec<u8>, Rank> = [(b"a".to_vec(), 0), (b"bc".to_vec(), 1)].into();
        assert_eq!(tokens(b"\x01\x02abc", 2).unwrap(), expected);
        for damaged in [&b"\x01\x02ab"[..], b"\x01\x02abcd", b"\x01"] {
            assert!(tokens(damaged, 2).is_none());
        }
    }
}
