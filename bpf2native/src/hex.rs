//! Hexadecimal bytes on the command line: two digits a byte, white space and `0x` allowed between.

use crate::report::{Diagnostic, Outcome};
use abi::diagnostic as id;

/// Parses bytes; `what` names the argument in the error.
pub(crate) fn parse(what: &str, text: &str) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    for word in text.split(|c: char| c.is_ascii_whitespace() || c == ',' || c == ':') {
        let digits = word.strip_prefix("0x").unwrap_or(word).as_bytes();
        if digits.len() % 2 != 0 {
            return Err(bad(what, format!("`{word}` has an odd number of digits")));
        }
        for pair in digits.chunks_exact(2) {
            match (digit(pair[0]), digit(pair[1])) {
                (Some(high), Some(low)) => bytes.push(high << 4 | low),
                _ => return Err(bad(what, format!("`{word}` is not hexadecimal"))),
            }
        }
    }
    Ok(bytes)
}

/// Bytes as lower-case digits without spaces.
pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

fn bad(what: &str, text: String) -> Vec<Diagnostic> {
    vec![Diagnostic::error(id::BAD_HEX, format!("{what}: {text}"))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_usual_spellings() {
        for text in [
            "0a1b2c",
            "0a 1b 2c",
            "0x0a,0x1b 2C",
            "0a:1b:2c",
            " 0a1b\n2c ",
        ] {
            assert_eq!(parse("x", text).unwrap(), [0x0a, 0x1b, 0x2c], "{text:?}");
        }
        assert!(parse("x", "").unwrap().is_empty());
    }

    #[test]
    fn refuses_the_rest() {
        for text in ["0", "0g", "abc", "é1"] {
            assert_eq!(
                parse("x", text).unwrap_err()[0].code,
                id::BAD_HEX,
                "{text:?}"
            );
        }
    }
}
