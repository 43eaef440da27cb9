//! How much of the kernel's stack programs may take.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use codegen::{Error, Module, Options, compile};
use common::build::{object, program, slots};
use isa::Insn;
use program::{Object, ProgramId};
use std::fmt::Write;

/// Functions that call each other in a row; each computes `values` numbers both before and after
/// its call, so that the optimiser keeps them in between.
fn chain(functions: usize, values: usize) -> Object {
    let mut text = String::from("r6 = *(u64 *)(r1 + 16)\n");
    for function in 0..functions {
        if function != 0 {
            writeln!(text, "f{function}: r6 = r1").unwrap();
        }
        writeln!(text, "r7 = 0").unwrap();
        let compute = |text: &mut String, op: &str| {
            for value in 0..values {
                writeln!(text, "r2 = r6\nr2 *= {}\nr7 {op} r2", 1_000_003 + 2 * value).unwrap();
            }
        };
        compute(&mut text, "+=");
        if function + 1 < functions {
            writeln!(text, "r1 = r7\ncall f{}\nr7 += r0", function + 1).unwrap();
            compute(&mut text, "^=");
        }
        let result = if function == 0 { "r7 &= 1\n" } else { "" };
        writeln!(text, "{result}r0 = r7\nexit").unwrap();
    }
    let insns = slots(&isa::asm::assemble(&text).unwrap());
    let exits = insns.iter().enumerate();
    let exits = exits.filter(|(_, insn)| matches!(insn, Insn::Exit));
    let starts: Vec<u32> = [0]
        .into_iter()
        .chain(exits.map(|(at, _)| at as u32 + 1))
        .take(functions)
        .collect();
    object(vec![program("deep", insns, &starts)])
}

fn compiled(object: &Object) -> Result<Module, Error> {
    let options = verifier::Options::default();
    let proved = verifier::verify(object, ProgramId(0), &options).unwrap();
    compile(&[proved], &Options::default())
}

#[test]
fn eight_functions_of_usual_size_fit() {
    compiled(&chain(8, 8)).unwrap();
}

#[test]
fn one_large_frame_fits() {
    compiled(&chain(2, 200)).unwrap();
}

#[test]
fn large_frames_below_each_other_do_not() {
    let error = compiled(&chain(8, 200)).unwrap_err();
    let Error::StackTooLarge { found, limit, .. } = &error else {
        panic!("{error}");
    };
    assert!(found > limit, "{error}");
    assert_eq!(error.code(), abi::diagnostic::CODEGEN_STACK);
}
