//! Expressions of templates, read from the tokens of a tag.

use crate::evals::template::datum::Outcome;
use crate::evals::template::parse::{Argument, Expression, MAX_DEPTH};
use crate::evals::template::tokens::Token;

/// Operators, filters, calls and members of one tag.
const MAX_OPERATORS: u32 = 250;

/// Reads the tokens of one tag.
pub(super) struct Reader {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    line: u32,
    depth: u32,
    /// Operators, filters and members that were read.
    operators: u32,
}

/// `not`, so many times.
fn negated(mut expression: Expression, times: u32) -> Expression {
    for _ in 0..times {
        expression = Expression::Not(Box::new(expression));
    }
    expression
}

/// The chains of operators, those that bind least first.
const LEVELS: [&[&str]; 5] = [&["+", "-", "~"], &["*", "/", "%"], &["//"], &["**"], &[]];

impl Reader {
    pub(super) fn new(tokens: Vec<Token>, line: u32) -> Self {
        Self {
            tokens: tokens.into_iter().peekable(),
            line,
            depth: 0,
            operators: 0,
        }
    }

    pub(super) fn wrong(&self, words: &str) -> String {
        format!("line {}: {words}", self.line)
    }

    /// Counts what nests one expression in another, so that it can be evaluated without end of the stack.
    fn operator(&mut self) -> Outcome<()> {
        self.operators += 1;
        if MAX_OPERATORS < self.operators {
            return Err(self.wrong("there are too many operators in one tag"));
        }
        Ok(())
    }

    pub(super) fn is_sign(&mut self, sign: &str) -> bool {
        matches!(self.tokens.peek(), Some(Token::Sign(next)) if *next == sign)
    }

    pub(super) fn takes(&mut self, sign: &str) -> bool {
        self.take_of(&[sign]).is_some()
    }

    fn take_of(&mut self, signs: &[&str]) -> Option<&'static str> {
        match self
            .tokens
            .next_if(|token| matches!(token, Token::Sign(sign) if signs.contains(sign)))
        {
            Some(Token::Sign(sign)) => Some(sign),
            _ => None,
        }
    }

    fn needs(&mut self, sign: &str) -> Outcome<()> {
        if self.takes(sign) {
            Ok(())
        } else {
            Err(self.wrong(&format!("`{sign}` is missing")))
        }
    }

    pub(super) fn takes_name(&mut self, name: &str) -> bool {
        self.tokens
            .next_if(|token| matches!(token, Token::Name(next) if next == name))
            .is_some()
    }

    pub(super) fn name(&mut self) -> Outcome<String> {
        match self.tokens.next() {
            Some(Token::Name(name)) => Ok(name),
            _ => Err(self.wrong("a name is missing")),
        }
    }

    pub(super) fn end(&mut self) -> Outcome<()> {
        match self.tokens.next() {
            None => Ok(()),
            Some(token) => {
                let text = match token {
                    Token::Name(text) | Token::Text(text) => text,
                    Token::Number(number) => number.to_string(),
                    Token::Sign(sign) => sign.to_owned(),
                };
                Err(self.wrong(&format!("`{text}` is not expected there")))
            }
        }
    }

    /// An expression that ends the tag.
    pub(super) fn whole(&mut self) -> Outcome<Expression> {
        let expression = self.expression()?;
        self.end()?;
        Ok(expression)
    }

    fn expression(&mut self) -> Outcome<Expression> {
        self.depth += 1;
        if MAX_DEPTH < self.depth {
            return Err(self.wrong("brackets are nested too deeply"));
        }
        let body = self.or()?;
        let expression = if self.takes_name("if") {
            let condition = self.or()?;
            let otherwise = if self.takes_name("else") {
                self.expression()?
            } else {
                Expression::Undefined
            };
            Expression::Choice(Box::new(body), Box::new(condition), Box::new(otherwise))
        } else {
            body
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn or(&mut self) -> Outcome<Expression> {
        let mut left = self.and()?;
        while self.takes_name("or") {
            self.operator()?;
            left = Expression::Binary("or", Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Outcome<Expression> {
        let mut left = self.not()?;
        while self.takes_name("and") {
            self.operator()?;
            left = Expression::Binary("and", Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Outcome<Expression> {
        let mut times = 0_u32;
        while self.takes_name("not") {
            times += 1;
        }
        // More than two say what two or one say.
        let (expression, left) = self.contained(if 2 < times { 2 - times % 2 } else { times })?;
        Ok(negated(expression, left))
    }

    /// Reads behind `times` of `not`, and returns how many of them are still to be applied.
    fn contained(&mut self, times: u32) -> Outcome<(Expression, u32)> {
        let (mut value, left) = self.tested(times)?;
        loop {
            let is_negated = self.takes_name("not");
            if !self.takes_name("in") {
                return if is_negated {
                    Err(self.wrong("`in` is missing"))
                } else {
                    Ok((value, left))
                };
            }
            self.operator()?;
            let (whole, _) = self.tested(0)?;
            value = Expression::Binary("in", Box::new(value), Box::new(whole));
            value = negated(value, u32::from(is_negated));
        }
    }

    fn tested(&mut self, times: u32) -> Outcome<(Expression, u32)> {
        let (value, left) = self.compared(times)?;
        if !self.takes_name("is") {
            return Ok((value, left));
        }
        let is_negated = self.takes_name("not");
        let name = self.name()?;
        let given = if self.is_sign("(") {
            self.arguments()?
        } else {
            Vec::new()
        };
        let test = Expression::Test(name, Box::new(value), given);
        Ok((negated(test, u32::from(is_negated)), left))
    }

    /// In nunjucks `not a == b` is `(not a) == b`.
    fn compared(&mut self, times: u32) -> Outcome<(Expression, u32)> {
        let mut value = self.level(0)?;
        let mut left = times;
        while let Some(sign) = self.take_of(&["==", "===", "!=", "!==", "<", ">", "<=", ">="]) {
            self.operator()?;
            value = Expression::Binary(
                sign,
                Box::new(negated(value, left)),
                Box::new(self.level(0)?),
            );
            left = 0;
        }
        Ok((value, left))
    }

    fn level(&mut self, level: usize) -> Outcome<Expression> {
        let Some(signs) = LEVELS.get(level).filter(|signs| !signs.is_empty()) else {
            return self.signed(true);
        };
        let mut left = self.level(level + 1)?;
        while let Some(sign) = self.take_of(signs) {
            self.operator()?;
            left = Expression::Binary(sign, Box::new(left), Box::new(self.level(level + 1)?));
        }
        Ok(left)
    }

    fn signed(&mut self, has_filters: bool) -> Outcome<Expression> {
        self.depth += 1;
        if MAX_DEPTH < self.depth {
            return Err(self.wrong("signs are nested too deeply"));
        }
        let expression = match self.take_of(&["-", "+"]) {
            Some("-") => Expression::Minus(Box::new(self.signed(false)?)),
            Some(_) => Expression::Plus(Box::new(self.signed(false)?)),
            None => self.primary()?,
        };
        self.depth -= 1;
        if has_filters {
            self.filtered(expression)
        } else {
            Ok(expression)
        }
    }

    fn filtered(&mut self, mut expression: Expression) -> Outcome<Expression> {
        while self.takes("|") {
            self.operator()?;
            let mut name = self.name()?;
            while self.takes(".") {
                name = format!("{name}.{}", self.name()?);
            }
            let given = if self.is_sign("(") {
                self.arguments()?
            } else {
                Vec::new()
            };
            expression = Expression::Filter(name, Box::new(expression), given);
        }
        Ok(expression)
    }

    fn primary(&mut self) -> Outcome<Expression> {
        let mut expression = match self.tokens.next() {
            Some(Token::Text(text)) => Expression::Text(text.into()),
            Some(Token::Number(number)) => Expression::Number(number),
            Some(Token::Name(name)) => match name.as_str() {
                "true" => Expression::Bool(true),
                "false" => Expression::Bool(false),
                "none" | "null" => Expression::Null,
                _ => Expression::Name(name),
            },
            Some(Token::Sign("(")) => {
                let inner = self.expression()?;
                self.needs(")")?;
                inner
            }
            Some(Token::Sign("[")) => Expression::List(self.items("]")?),
            Some(Token::Sign("{")) => self.map()?,
            _ => return Err(self.wrong("a value is missing")),
        };
        loop {
            if self.is_sign("(") {
                self.operator()?;
                expression = Expression::Call(Box::new(expression), self.arguments()?);
            } else if self.takes("[") {
                self.operator()?;
                let member = self.expression()?;
                self.needs("]")?;
                expression = Expression::Member(Box::new(expression), Box::new(member));
            } else if self.takes(".") {
                self.operator()?;
                let member = Expression::Text(self.name()?.into());
                expression = Expression::Member(Box::new(expression), Box::new(member));
            } else {
                return Ok(expression);
            }
        }
    }

    fn items(&mut self, close: &str) -> Outcome<Vec<Expression>> {
        let mut items = Vec::new();
        while !self.takes(close) {
            items.push(self.expression()?);
            if !self.takes(",") {
                self.needs(close)?;
                break;
            }
        }
        Ok(items)
    }

    fn map(&mut self) -> Outcome<Expression> {
        let mut fields = Vec::new();
        while !self.takes("}") {
            // A bare name is its own key.
            let key = match self.expression()? {
                Expression::Name(name) => Expression::Text(name.into()),
                key => key,
            };
            self.needs(":")?;
            fields.push((key, self.expression()?));
            if !self.takes(",") {
                self.needs("}")?;
                break;
            }
        }
        Ok(Expression::Map(fields))
    }

    pub(super) fn arguments(&mut self) -> Outcome<Vec<Argument>> {
        self.needs("(")?;
        let mut given = Vec::new();
        while !self.takes(")") {
            let value = self.expression()?;
            let argument = match value {
                Expression::Name(name) if self.takes("=") => (Some(name), self.expression()?),
                value => (None, value),
            };
            given.push(argument);
            if !self.takes(",") {
                self.needs(")")?;
                break;
            }
        }
        Ok(given)
    }

    pub(super) fn parameters(&mut self) -> Outcome<Vec<(String, Option<Expression>)>> {
        self.needs("(")?;
        let mut parameters = Vec::new();
        while !self.takes(")") {
            let name = self.name()?;
            let default = if self.takes("=") {
                Some(self.expression()?)
            } else {
                None
            };
            parameters.push((name, default));
            if !self.takes(",") {
                self.needs(")")?;
                break;
            }
        }
        Ok(parameters)
    }
}
