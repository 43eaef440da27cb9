//! Targets of the `isa` crate.

use crate::outcome;
use isa::{Insn, asm, decode, encode};

/// What decodes encodes to the same bytes, and prints as text that assembles to the same
/// instruction; errors have a message and a position within the program.
pub(crate) fn decoder(data: &[u8]) -> String {
    let insns = match decode::program(data) {
        Ok(insns) => insns,
        Err((at, error)) => {
            assert!(at.index() <= data.len() / 8, "{at}: {error}");
            return outcome(&error.to_string());
        }
    };
    assert_eq!(encode::program(&insns).as_deref(), Ok(data));
    for insn in insns.iter().filter(|insn| !matches!(insn, Insn::Imm64High)) {
        let text = insn.to_string();
        let back = asm::assemble(&text);
        let first = back.as_ref().map(|insns| insns.first());
        assert_eq!(first, Ok(Some(insn)), "{text}");
        assert!(insn.group().is_some(), "{text}");
    }
    insns
        .first()
        .map_or_else(String::new, |insn| outcome(&insn.to_string()))
}

/// What assembles encodes; errors stand within the text.
pub(crate) fn assembler(data: &[u8]) -> String {
    let Ok(text) = core::str::from_utf8(data) else {
        return "not UTF-8".to_owned();
    };
    match asm::assemble(text) {
        Ok(insns) => {
            let bytes = encode::program(&insns);
            assert!(bytes.is_ok(), "{bytes:?}");
            let kinds: Vec<_> = insns
                .iter()
                .filter_map(Insn::row)
                .map(|row| row.mnemonic)
                .collect();
            kinds.into_iter().take(3).collect()
        }
        Err(error) => {
            let lines = u32::try_from(text.lines().count()).unwrap_or(u32::MAX);
            assert!(
                (1..=lines).contains(&error.line) && error.column >= 1,
                "{error}"
            );
            outcome(&error.to_string())
        }
    }
}
