//! Words, numbers and operators of one line of assembler text.
//!
//! Signs are operators, so numbers here are magnitudes. The signed operators of the notation (`s>`,
//! `s/=`) begin like a word; a lone `s` before one of `< > / %` is never one.

use super::{AsmError, AsmErrorKind};
use alloc::{string::String, string::ToString, vec::Vec};

/// One token and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind<'t>,
    pub(super) column: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind<'t> {
    /// Mnemonic, register, type or label.
    Word(&'t str),
    /// Magnitude of a number.
    Number(u64),
    /// One of [`OPERATORS`].
    Op(&'static str),
}

impl Kind<'_> {
    /// The token as written, for messages.
    pub(super) fn text(&self) -> String {
        match self {
            Kind::Word(word) => (*word).to_string(),
            Kind::Number(number) => number.to_string(),
            Kind::Op(op) => (*op).to_string(),
        }
    }
}

/// Operators; where one is a prefix of another the longer stands first.
const OPERATORS: [&str; 38] = [
    "s>>=", "<<=", ">>=", "s>=", "s<=", "s/=", "s%=", "s>", "s<", "+=", "-=", "*=", "/=", "|=",
    "&=", "%=", "^=", "==", "!=", ">=", "<=", "=", ">", "<", "&", "+", "-", "*", "(", ")", "[",
    "]", ",", ":", "/", "%", "|", "^",
];

/// Splits a line into tokens; a comment ends it.
pub(super) fn split(line: u32, text: &str) -> Result<Vec<Token<'_>>, AsmError> {
    let mut tokens = Vec::new();
    let mut column = 1u32;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if matches!(first, ';' | '#') || rest.starts_with("//") {
            break;
        }
        let len = if first.is_whitespace() {
            first.len_utf8()
        } else {
            let fail = |kind| AsmError { line, column, kind };
            let (kind, len) = token(rest, first).map_err(fail)?;
            tokens.push(Token { kind, column });
            len
        };
        let (taken, after) = rest.split_at(len);
        column = column.saturating_add(u32::try_from(taken.chars().count()).unwrap_or(u32::MAX));
        rest = after;
    }
    Ok(tokens)
}

/// The first token of `text` and its length in bytes.
fn token(text: &str, first: char) -> Result<(Kind<'_>, usize), AsmErrorKind> {
    if let Some(op) = OPERATORS.iter().find(|op| text.starts_with(**op)) {
        return Ok((Kind::Op(op), op.len()));
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$');
    let len = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let word = text.get(..len).unwrap_or_default();
    if word.is_empty() {
        return Err(AsmErrorKind::Character(first));
    }
    if !first.is_ascii_digit() {
        return Ok((Kind::Word(word), len));
    }
    Ok((Kind::Number(number(word)?), len))
}

/// Decimal, or hexadecimal with `0x`.
fn number(word: &str) -> Result<u64, AsmErrorKind> {
    let (digits, radix) = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None => (word, 10),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        let expected = "a decimal or 0x number";
        return Err(AsmErrorKind::Expected {
            expected,
            found: word.to_string(),
        });
    }
    let range = AsmErrorKind::OutOfRange {
        min: i64::MIN,
        max: u64::MAX,
    };
    u64::from_str_radix(digits, radix).map_err(|_| range)
}
