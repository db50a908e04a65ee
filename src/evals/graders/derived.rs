//! `derivedMetrics`: arithmetic over the sums of named scores.
//!
//! An expression has numbers, names, `+ - * / % ^`, brackets, comparisons (1 or 0), `?:`, and the functions
//! `abs ceil exp floor log log10 log2 max min pow round sign sqrt sum mean`. A name may be in quotes of
//! backticks, for metrics that are no words.

use std::collections::BTreeMap;

/// How deep brackets may go.
const MAX_DEPTH: u32 = 64;

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{expression}`: {reason}")]
pub struct DerivedError {
    /// The expression.
    pub expression: String,
    /// In words.
    pub reason: String,
}

/// Returns the value of an expression over `names`. The sums of a run are under the metrics' names, and the
/// number of its cases is `__count`.
///
/// # Errors
///
/// When it cannot be read, names what is not there, or has no finite value (a division by 0).
pub fn evaluate(expression: &str, names: &BTreeMap<String, f64>) -> Result<f64, DerivedError> {
    let wrong = |reason: String| DerivedError {
        expression: expression.to_owned(),
        reason,
    };
    let tokens = tokens_of(expression).map_err(wrong)?;
    let mut reader = Reader {
        tokens: &tokens,
        names,
        depth: 0,
    };
    let value = reader.choice().map_err(wrong)?;
    if let Some(token) = reader.tokens.first() {
        return Err(wrong(format!("`{}` is not expected there", token.text())));
    }
    if value.is_finite() {
        Ok(value)
    } else {
        Err(wrong("it has no finite value".to_owned()))
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(f64),
    Name(String),
    Sign(&'static str),
}

impl Token {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Name(name) => name.clone(),
            Self::Sign(sign) => (*sign).to_owned(),
        }
    }
}

/// The signs, longer ones first.
const SIGNS: [&str; 17] = [
    "<=", ">=", "==", "!=", "+", "-", "*", "/", "%", "^", "(", ")", ",", "<", ">", "?", ":",
];

fn tokens_of(expression: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first.is_ascii_digit() || first == '.' {
            let length = number_length(rest);
            let text = rest.get(..length).unwrap_or_default();
            let number = text.parse().map_err(|_| format!("`{text}` is no number"))?;
            tokens.push(Token::Number(number));
            length
        } else if first.is_alphabetic() || first == '_' {
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            tokens.push(Token::Name(
                rest.get(..length).unwrap_or_default().to_owned(),
            ));
            length
        } else if first == '`' {
            let quoted = rest.get(1..).and_then(|rest| rest.split_once('`'));
            let (name, _) = quoted.ok_or("a backtick is not closed")?;
            tokens.push(Token::Name(name.to_owned()));
            name.len() + 2
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            let sign = sign.ok_or_else(|| format!("`{first}` is not understood"))?;
            tokens.push(Token::Sign(sign));
            sign.len()
        };
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Ok(tokens)
}

fn number_length(text: &str) -> usize {
    let digits = |text: &str| {
        text.len()
            - text
                .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
                .len()
    };
    let whole = digits(text);
    let after = text.get(whole..).unwrap_or_default();
    let Some(power) = after.strip_prefix(['e', 'E']) else {
        return whole;
    };
    let sign = usize::from(power.starts_with(['+', '-']));
    match digits(power.get(sign..).unwrap_or_default()) {
        0 => whole,
        length => whole + 1 + sign + length,
    }
}

struct Reader<'a> {
    tokens: &'a [Token],
    names: &'a BTreeMap<String, f64>,
    depth: u32,
}

impl Reader<'_> {
    fn take(&mut self, wanted: &[&str]) -> Option<&'static str> {
        let Some((Token::Sign(sign), rest)) = self.tokens.split_first() else {
            return None;
        };
        wanted.contains(sign).then(|| {
            self.tokens = rest;
            *sign
        })
    }

    fn need(&mut self, sign: &'static str) -> Result<(), String> {
        let found = self.take(&[sign]);
        found
            .map(|_| ())
            .ok_or_else(|| format!("`{sign}` is missing"))
    }

    fn choice(&mut self) -> Result<f64, String> {
        let condition = self.comparison()?;
        if self.take(&["?"]).is_none() {
            return Ok(condition);
        }
        let yes = self.choice()?;
        self.need(":")?;
        let no = self.choice()?;
        Ok(if condition == 0.0 { no } else { yes })
    }

    fn comparison(&mut self) -> Result<f64, String> {
        let left = self.sum()?;
        let Some(sign) = self.take(&["<=", ">=", "==", "!=", "<", ">"]) else {
            return Ok(left);
        };
        let right = self.sum()?;
        let is_equal = (left - right).abs() <= 1e-12 * left.abs().max(right.abs());
        let holds = match sign {
            "<=" => left < right || is_equal,
            ">=" => right < left || is_equal,
            "==" => is_equal,
            "!=" => !is_equal,
            "<" => left < right && !is_equal,
            _ => right < left && !is_equal,
        };
        Ok(f64::from(u8::from(holds)))
    }

    fn sum(&mut self) -> Result<f64, String> {
        let mut value = self.product()?;
        while let Some(sign) = self.take(&["+", "-"]) {
            let right = self.product()?;
            value = if sign == "+" {
                value + right
            } else {
                value - right
            };
        }
        Ok(value)
    }

    fn product(&mut self) -> Result<f64, String> {
        let mut value = self.signed()?;
        while let Some(sign) = self.take(&["*", "/", "%"]) {
            let right = self.signed()?;
            value = match sign {
                "*" => value * right,
                "/" => value / right,
                _ => value - right * (value / right).floor(),
            };
        }
        Ok(value)
    }

    /// A sign binds weaker than a power: `-2^2` is -4.
    fn signed(&mut self) -> Result<f64, String> {
        self.depth += 1;
        if MAX_DEPTH < self.depth {
            return Err("it is nested too deeply".to_owned());
        }
        let value = match self.take(&["+", "-"]) {
            Some("-") => -self.signed()?,
            Some(_) => self.signed()?,
            None => self.power()?,
        };
        self.depth -= 1;
        Ok(value)
    }

    fn power(&mut self) -> Result<f64, String> {
        let base = self.atom()?;
        if self.take(&["^"]).is_none() {
            return Ok(base);
        }
        Ok(base.powf(self.signed()?))
    }

    fn atom(&mut self) -> Result<f64, String> {
        if self.take(&["("]).is_some() {
            let value = self.choice()?;
            self.need(")")?;
            return Ok(value);
        }
        let Some((token, rest)) = self.tokens.split_first() else {
            return Err("it ends too early".to_owned());
        };
        self.tokens = rest;
        match token {
            Token::Number(number) => Ok(*number),
            Token::Name(name) if self.take(&["("]).is_some() => self.call(name),
            Token::Name(name) => self.named(name),
            Token::Sign(sign) => Err(format!("`{sign}` is not expected there")),
        }
    }

    fn named(&self, name: &str) -> Result<f64, String> {
        match (self.names.get(name), name) {
            (Some(value), _) => Ok(*value),
            (None, "pi") => Ok(std::f64::consts::PI),
            (None, "e") => Ok(std::f64::consts::E),
            (None, _) => Err(format!("there is no metric `{name}`")),
        }
    }

    fn call(&mut self, name: &str) -> Result<f64, String> {
        let mut given = vec![self.choice()?];
        while self.take(&[","]).is_some() {
            given.push(self.choice()?);
        }
        self.need(")")?;
        let wrong = || format!("`{name}` is not called like that");
        let count = f64::from(u32::try_from(given.len()).unwrap_or(u32::MAX));
        let total: f64 = given.iter().sum();
        Ok(match (name, given.as_slice()) {
            ("max", all) => all.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            ("min", all) => all.iter().copied().fold(f64::INFINITY, f64::min),
            ("sum", _) => total,
            ("mean", _) => total / count,
            ("abs", [x]) => x.abs(),
            ("ceil", [x]) => x.ceil(),
            ("exp", [x]) => x.exp(),
            ("floor", [x]) => x.floor(),
            ("log", [x]) => x.ln(),
            ("log", [x, base]) => x.ln() / base.ln(),
            ("log10", [x]) => x.log10(),
            ("log2", [x]) => x.log2(),
            ("pow", [x, power]) => x.powf(*power),
            ("round", [x]) => rounded(*x),
            ("round", [x, digits]) if (0.0..=15.0).contains(digits) => {
                let scale = 10_f64.powf(digits.trunc());
                rounded(x * scale) / scale
            }
            ("sign", [x]) if *x == 0.0 => 0.0,
            ("sign", [x]) => x.signum(),
            ("sqrt", [x]) => x.sqrt(),
            _ => return Err(wrong()),
        })
    }
}

/// Halves go away from 0, as in mathjs.
fn rounded(x: f64) -> f64 {
    x.round()
}

#[cfg(test)]
mod tests {
    use super::evaluate;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn names() -> BTreeMap<String, f64> {
        let pairs = [
            ("tp", 8.0),
            ("fp", 2.0),
            ("fn", 4.0),
            ("__count", 10.0),
            ("safety/pii", 3.0),
        ];
        pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// The values are those of mathjs 14.
    #[test]
    fn expressions_are_those_of_mathjs() {
        for (expression, expected) in [
            ("tp / (tp + fp)", 0.8),
            ("2 * tp / (2 * tp + fp + fn)", 16.0 / 22.0),
            ("tp / __count", 0.8),
            ("-2^2", -4.0),
            ("2^-1", 0.5),
            ("2^3^2", 512.0),
            ("7 % 4 - -1", 4.0),
            ("-7 % 4", 1.0),
            ("1.5e2 + .5", 150.5),
            (
                "max(1, tp, 3) + sqrt(16) + round(2.345, 2)",
                8.0 + 4.0 + 2.35,
            ),
            ("tp > 5 ? 1 : 0", 1.0),
            ("log(e)", 1.0),
            ("`safety/pii` * 2", 6.0),
            ("mean(1, 2, 6)", 3.0),
            ("round(-2.5)", -3.0),
        ] {
            let value = evaluate(expression, &names()).unwrap();
            assert!((value - expected).abs() < 1e-12, "{expression} {value}");
        }
    }

    #[test]
    fn what_has_no_value_is_an_error() {
        for (expression, words) in [
            ("tp / 0", "no finite value"),
            ("nope + 1", "no metric `nope`"),
            ("1 +", "ends too early"),
            ("1 2", "not expected"),
            ("(1", "`)` is missing"),
            ("import('x')", "not understood"),
            ("cat(1)", "not called like that"),
            ("1.2.3", "no number"),
            ("", "ends too early"),
        ] {
            let error = evaluate(expression, &names()).unwrap_err();
            assert!(error.reason.contains(words), "{expression}: {error}");
        }
        assert!(evaluate(&"(".repeat(100_000), &names()).is_err());
        assert!(evaluate(&"-".repeat(100_000), &names()).is_err());
    }

    proptest! {
        #[test]
        fn no_text_takes_it_down(text in "[0-9a-f.+*/^()?:, `<-]{0,40}") {
            let _ = evaluate(&text, &names());
        }
    }
}
