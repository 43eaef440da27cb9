//! Instructions that only count or only order: both engines agree with what is written beside them.
//! The programs are not verified; the plugin for the conformance suite runs them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::{bpf2native, run};

/// Assembler text and r0.
const PROGRAMS: &[(&str, u64)] = &[
    // All turns of one loop.
    (
        "r0 = 0\nagain: may_goto out\nr0 += 1\ngoto again\nout: exit",
        8_388_608,
    ),
    // A second loop of the same run finds none left, and neither does a third.
    (
        "r0 = 0\nagain: may_goto next\nr0 += 1\ngoto again\nnext: may_goto last\nr0 = 1\n\
         last: may_goto out\nr0 = 2\nout: exit",
        8_388_608,
    ),
    // Another run of a function has turns of its own, the caller's are kept.
    (
        "r6 = 0\nr7 = 0\nmay_goto +0\nagain: if r6 == 3 goto rest\nr6 += 1\ncall few\nr7 += r0\n\
         goto again\nrest: may_goto out\nr7 += 1\nif r7 != 1000 goto rest\nout: r0 = r7\nexit\n\
         few: r0 = 0\nmore: may_goto back\nr0 += 1\nif r0 != 7 goto more\nback: exit",
        1000,
    ),
    (
        "*(u64 *)(r10 - 8) = -2\nw0 = load_acquire((u16 *)(r10 - 8))\n\
         store_release((u32 *)(r10 - 4), w0)\nr0 = load_acquire((u64 *)(r10 - 8))\nexit",
        0x0000_fffe_ffff_fffe,
    ),
];

#[test]
fn both_engines_agree() {
    for (text, expected) in PROGRAMS {
        let bytes = isa::encode::program(&isa::asm::assemble(text).unwrap()).unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        for engine in ["native", "interpreter"] {
            let ran = run(bpf2native()
                .args(["conformance-plugin", "--engine", engine, "--program"])
                .arg(&hex));
            let result = u64::from_str_radix(ran.stdout.trim().trim_start_matches("0x"), 16);
            assert_eq!(result.ok(), Some(*expected), "{engine}: {text}: {ran:?}");
        }
    }
}
