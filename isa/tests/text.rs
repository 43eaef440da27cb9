//! Text forms: everything decodable prints and assembles back; the notation is clang's; mistakes are
//! reported where they stand.

use isa::{
    CallTarget, Imm64, Insn, Reg, Slot,
    asm::{AsmErrorKind, assemble},
    decode, encode, opcode,
    opcode::Field,
};

/// Every value that matters in a field.
fn values(field: Field, any: &[i32]) -> Vec<i32> {
    match field {
        Field::Is(only) => vec![only],
        Field::Reg => (0..=10).collect(),
        Field::Any => any.to_vec(),
    }
}

fn every_insn() -> Vec<Insn> {
    let mut insns = Vec::new();
    let offsets = [0, 1, -1, 2, i32::from(i16::MIN), i32::from(i16::MAX)];
    let imms = [0, 1, -1, 2, 1000, i32::MIN, i32::MAX];
    for row in &opcode::ROWS {
        for dst in values(row.dst, &[]) {
            for src in values(row.src, &[]) {
                for &offset in &values(row.offset, &offsets) {
                    for &imm in &values(row.imm, &imms) {
                        let slot = Slot {
                            opcode: row.opcode,
                            dst: dst as u8,
                            src: src as u8,
                            offset: offset as i16,
                            imm,
                        };
                        let seconds = [0, 1, -1, i32::MIN].map(|imm| Slot {
                            imm,
                            ..Slot::default()
                        });
                        insns.extend(
                            seconds
                                .iter()
                                .filter_map(|next| decode::insn(slot, Some(*next)).ok()),
                        );
                    }
                }
            }
        }
    }
    insns
}

#[test]
fn everything_printed_assembles_to_itself() {
    let insns = every_insn();
    assert!(insns.len() > 100_000, "{}", insns.len());
    for insn in insns {
        let text = insn.to_string();
        let back = assemble(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(back[0], insn, "{text}");
        assert_eq!(back.len(), insn.slots() as usize);
    }
}

#[test]
fn a_listing_assembles_to_its_program() {
    let source = "r1 = 0x123456789a ll\nr0 = 0\nexit\n";
    let insns = assemble(source).unwrap();
    let listing: Vec<String> = insns.iter().map(ToString::to_string).collect();
    assert_eq!(assemble(&listing.join("\n")).unwrap(), insns);
}

/// Bytes and text of one instruction per line, in clang's notation.
#[test]
fn notation_is_that_of_clang() {
    let mut lines = 0;
    for line in include_str!("data/notation.txt").lines() {
        let Some((hex, text)) = line.split_once('|') else {
            continue;
        };
        let (hex, text) = (hex.trim(), text.trim());
        let bytes: Vec<u8> = hex
            .split_whitespace()
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect();
        let insns = decode::program(&bytes).unwrap_or_else(|(_, error)| panic!("{line}: {error}"));
        assert_eq!(insns[0].to_string(), text, "{line}");
        assert_eq!(
            encode::program(&assemble(text).unwrap()).unwrap(),
            bytes,
            "{line}"
        );
        lines += 1;
    }
    assert!(lines > 100, "{lines}");
}

#[test]
fn labels_resolve_in_both_directions() {
    let text = "
        r0 = 0
    again: r0 += 1          ; a comment
        r2 = 7 ll           # takes two slots
        if r0 < 10 goto again
        if w0 s> w2 goto out
        call double
        goto again
        gotol out
        r3 = code(double) ll
    out:
    end: exit               // two labels
    double:
        r0 = r1
        r0 <<= 1
        exit";
    let insns = assemble(text).unwrap();
    let shown: Vec<String> = insns
        .iter()
        .filter(|insn| !matches!(insn, Insn::Imm64High))
        .map(ToString::to_string)
        .collect();
    let expected = [
        "r0 = 0",
        "r0 += 1",
        "r2 = 7 ll",
        "if r0 < 10 goto -4",
        "if w0 s> w2 goto +5",
        "call pc+5",
        "goto -7",
        "gotol +2",
        "r3 = code(+2) ll",
        "exit",
        "r0 = r1",
        "r0 <<= 1",
        "exit",
    ];
    assert_eq!(shown, expected);
    assert_eq!(insns[6], Insn::Call(CallTarget::Local(5)));
}

#[test]
fn looser_spellings_mean_the_same() {
    let same = [
        ("w1 = *(u8 *)(r2 + 0)", "r1 = *(u8*)(r2)"),
        ("*(u32 *)(r1 + 0x10) = w2", "*(u32 *)(r1 + 16) = r2"),
        ("w1 = 0xffffffff", "w1 = -1"),
        ("*(u32 *)(r1 - 4) = 4294967295", "*(u32 *)(r1+-4) = -1"),
        ("r1 = -1 ll", "r1 = 0xffffffffffffffff ll"),
        ("lock *(u32 *)(r1 + 0) += r2", "lock *(u32 *)(r1+0) += w2"),
        ("r1 = +5", "r1=5"),
    ];
    for (a, b) in same {
        if b.contains("+-") {
            assert!(assemble(b).is_err());
        } else {
            assert_eq!(assemble(a).unwrap(), assemble(b).unwrap(), "{a}");
        }
    }
    let lddw = Insn::LoadImm64 {
        dst: Reg::R1,
        imm: Imm64::Const(u64::MAX),
    };
    assert_eq!(assemble("r1 = -1 ll").unwrap(), [lddw, Insn::Imm64High]);
}

#[test]
fn mistakes_are_reported_where_they_stand() {
    let cases = [
        (
            "r1 = r2\n  r11 = 1",
            "2:3: expected an instruction, found `r11`",
        ),
        (
            "r1 += w2",
            "1:7: expected a register, r0 to r10, found `a register of the other width`",
        ),
        (
            "r1 = 0xffffffff",
            "1:6: number out of range, must be -2147483648 to 2147483647",
        ),
        (
            "w1 = 0x1ffffffff",
            "1:6: number out of range, must be -2147483648 to 4294967295",
        ),
        (
            "r1 = 99999999999999999999",
            "1:6: number out of range, must be -9223372036854775808 to 18446744073709551615",
        ),
        (
            "r1 = *(u8 *)(r2 + 40000)",
            "1:17: number out of range, must be -32768 to 32767",
        ),
        (
            "r1 = 0xg",
            "1:6: expected a decimal or 0x number, found `0xg`",
        ),
        ("r1 = ", "1:5: expected a number, found the end of the line"),
        ("goto nowhere", "1:6: label `nowhere` is not defined"),
        ("a: a: exit", "1:4: label `a` is already defined in line 1"),
        ("exit 1", "1:6: expected the end of the line, found `1`"),
        (
            "r1 = *(s64 *)(r2 + 0)",
            "1:1: this instruction has no encoding",
        ),
        ("w1 = (s32)w2", "1:1: this instruction has no encoding"),
        (
            "lock *(u8 *)(r1 + 0) += w2",
            "1:1: this instruction has no encoding",
        ),
        (
            "r1 = -r2",
            "1:7: expected the destination register, found `another register`",
        ),
        (
            "r2 = be16 r1",
            "1:11: expected the destination register, found `another register`",
        ),
        (
            "if r1 = 5 goto +1",
            "1:7: expected a comparison operator, found `=`",
        ),
        (
            "goto +40000",
            "1:6: label is 40000 slots away, which does not fit the offset field",
        ),
        ("r1 ~ 2", "1:4: unexpected character '~'"),
        ("é = 1", "1:1: unexpected character 'é'"),
        ("r1 = r2 # é\n   r1 = § ", "2:9: unexpected character '§'"),
        (
            "lock *(u64 *)(r1 + 0) -= r2",
            "1:23: expected `+=`, `|=`, `&=` or `^=`, found `-=`",
        ),
        (
            "r1 = (u8)r2",
            "1:7: expected `s8`, `s16` or `s32`, found `an unsigned type`",
        ),
        (
            "w0 = map_fd(1) ll",
            "1:6: expected a 32-bit register, w0 to w10, found `map_fd`",
        ),
    ];
    for (text, expected) in cases {
        let error = assemble(text).expect_err(text);
        assert_eq!(error.to_string(), expected, "{text}");
    }
}

#[test]
fn far_labels_need_the_long_jump() {
    let body = "r0 = 0\n".repeat(40_000);
    let short = assemble(&format!("goto end\n{body}end: exit")).unwrap_err();
    assert_eq!(short.kind, AsmErrorKind::JumpTooFar { offset: 40_000 });
    let long = assemble(&format!("gotol end\n{body}end: exit")).unwrap();
    assert_eq!(
        long[0],
        Insn::Jump {
            offset: 40_000,
            long: true
        }
    );
}

/// Truncations and single-character changes of valid text never panic.
#[test]
fn damaged_text_is_an_error_or_an_instruction() {
    let alphabet = [
        'r', 'w', '0', '9', '(', ')', '*', '=', '+', '-', ' ', 's', ':', ';', 'é', ',',
    ];
    for row in &opcode::ROWS {
        let pick = |field, other| {
            if let Field::Is(only) = field {
                only
            } else {
                other
            }
        };
        let slot = Slot {
            opcode: row.opcode,
            dst: pick(row.dst, 1) as u8,
            src: pick(row.src, 2) as u8,
            offset: pick(row.offset, 4) as i16,
            imm: pick(row.imm, 6),
        };
        let text = decode::insn(slot, Some(Slot::default()))
            .unwrap()
            .to_string();
        for at in 0..text.len() {
            let _ = assemble(&text[..at]);
            for change in alphabet {
                let changed = format!("{}{change}{}", &text[..at], &text[at + 1..]);
                if let Ok(insns) = assemble(&changed) {
                    assert!(encode::program(&insns).is_ok(), "{changed}");
                }
            }
        }
    }
}
