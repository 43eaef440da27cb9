//! Unwind data against an independent unwinder: at each step of simulated prologs, and from inside
//! helpers of running code, across subprograms, down to the caller's registers.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use codegen::{FunctionRange, Module, Options, compile};
use common::build::{Random, assume, object, program, slots};
use common::{Host, Runtime};
use isa::{AluOp, CallTarget, Insn, Operand, Reg, Size, Width};
use program::Object;
use std::cell::RefCell;
use std::collections::BTreeMap;

const RSP: usize = 4;
const RBP: usize = 5;
/// rbx, rbp, rsi, rdi, r12 to r15.
const NONVOLATILE: [usize; 8] = [3, 5, 6, 7, 12, 13, 14, 15];

#[derive(Clone, Debug, PartialEq)]
struct Registers {
    rip: u64,
    general: [u64; 16],
}

/// Undoes one function, as "x64 exception handling" of the Microsoft documentation describes.
/// `offset` is that of `rip` in the function.
fn unwind(info: &[u8], offset: u32, registers: &mut Registers, read: &dyn Fn(u64) -> u64) {
    assert_eq!(info[0], 1, "version 1, no flags");
    assert!(info.len().is_multiple_of(4));
    let (prolog, count) = (u32::from(info[1]), usize::from(info[2]));
    let (frame, frame_offset) = (usize::from(info[3] & 15), u64::from(info[3] >> 4) * 16);
    let codes: Vec<[u8; 2]> = info[4..].chunks(2).map(|c| [c[0], c[1]]).collect();
    assert!(codes.len() == count.next_multiple_of(2));
    let is_done = |code: &[u8; 2]| offset >= prolog || offset >= u32::from(code[0]);
    let mut base = registers.general[RSP];
    if let Some(code) = find_set_frame(&codes[..count]) {
        assert_eq!(frame, RBP);
        if is_done(&code) {
            base = registers.general[frame] - frame_offset;
        }
    }
    let mut at = 0;
    let mut last_offset = u8::MAX;
    while at < count {
        let code = codes[at];
        assert!(code[0] <= last_offset, "codes descend");
        assert!(u32::from(code[0]) <= prolog);
        last_offset = code[0];
        let info = code[1] >> 4;
        let slots = slots_of(&code);
        let extra = codes
            .get(at + 1)
            .map_or(0, |c| u64::from(u16::from_le_bytes(*c)));
        at += slots;
        if !is_done(&code) {
            continue;
        }
        let rsp = registers.general[RSP];
        match code[1] & 15 {
            0 => {
                registers.general[usize::from(info)] = read(rsp);
                registers.general[RSP] = rsp + 8;
            }
            1 => registers.general[RSP] = rsp + extra * 8,
            2 => registers.general[RSP] = rsp + u64::from(info) * 8 + 8,
            3 => registers.general[RSP] = registers.general[frame] - frame_offset,
            4 => registers.general[usize::from(info)] = read(base + extra * 8),
            other => panic!("unexpected unwind code {other}"),
        }
    }
    registers.rip = read(registers.general[RSP]);
    registers.general[RSP] += 8;
}

fn slots_of(code: &[u8; 2]) -> usize {
    match code[1] & 15 {
        0 | 2 | 3 => 1,
        1 => {
            assert_eq!(code[1] >> 4, 0);
            2
        }
        4 => 2,
        other => panic!("unexpected unwind code {other}"),
    }
}

fn find_set_frame(codes: &[[u8; 2]]) -> Option<[u8; 2]> {
    let mut at = 0;
    while at < codes.len() {
        if codes[at][1] & 15 == 3 {
            return Some(codes[at]);
        }
        at += slots_of(&codes[at]);
    }
    None
}

/// One step of a prolog.
#[derive(Debug)]
enum Step {
    PushRbp,
    MovRbpRsp,
    SubRsp(u64),
    Save { register: usize, offset: u64 },
}

/// Decodes the prolog instruction at the start of `code`; `None` after the prolog.
fn prolog_step(code: &[u8]) -> Option<(Step, usize)> {
    let imm8 = |at: usize| u64::from(code[at]);
    let imm32 = |at: usize| u64::from(u32::from_le_bytes(code[at..at + 4].try_into().unwrap()));
    Some(match code {
        [0x55, ..] => (Step::PushRbp, 1),
        [0x48, 0x89, 0xe5, ..] => (Step::MovRbpRsp, 3),
        [0x48, 0x83, 0xec, ..] => (Step::SubRsp(imm8(3)), 4),
        [0x48, 0x81, 0xec, ..] => (Step::SubRsp(imm32(3)), 7),
        // mov [rsp + disp], reg: REX.W (+R), 89, ModRM with rm = 4, SIB 24.
        [rex @ (0x48 | 0x4c), 0x89, modrm, 0x24, ..] if modrm & 7 == 4 => {
            let register = usize::from(modrm >> 3 & 7) + if *rex == 0x4c { 8 } else { 0 };
            let (offset, length) = match modrm >> 6 {
                0 => (0, 4),
                1 => (imm8(4), 5),
                2 => (imm32(4), 8),
                _ => return None,
            };
            (Step::Save { register, offset }, length)
        }
        _ => return None,
    })
}

/// Runs a prolog step by step and unwinds after each; returns the number of saved registers.
fn simulate(code: &[u8], info: &[u8]) -> usize {
    let mut random = Random::new(99);
    let start = Registers {
        rip: 0x1234_5678,
        general: std::array::from_fn(|_| random.next()),
    };
    let mut memory = BTreeMap::new();
    let mut now = start.clone();
    now.general[RSP] = 0x7000_0ff8;
    memory.insert(now.general[RSP], start.rip);
    let mut expected = now.clone();
    (expected.rip, expected.general[RSP]) = (start.rip, now.general[RSP] + 8);
    let mut at = 0;
    let mut saves = 0;
    loop {
        let mut unwound = now.clone();
        unwind(info, at as u32, &mut unwound, &|address| {
            *memory.get(&address).unwrap_or(&0xbad)
        });
        assert_eq!(unwound, expected, "at {at} of {code:02x?}");
        let Some((step, length)) = prolog_step(&code[at..]) else {
            break;
        };
        at += length;
        match step {
            Step::PushRbp => {
                now.general[RSP] -= 8;
                memory.insert(now.general[RSP], now.general[RBP]);
            }
            Step::MovRbpRsp => now.general[RBP] = now.general[RSP],
            Step::SubRsp(size) => now.general[RSP] -= size,
            Step::Save { register, offset } => {
                saves += 1;
                memory.insert(now.general[RSP] + offset, now.general[register]);
            }
        }
    }
    assert!(at >= usize::from(info[1]), "the whole prolog was simulated");
    // In the body all saved registers may have changed, and rsp too.
    let saved: Vec<usize> = NONVOLATILE
        .into_iter()
        .filter(|&register| {
            register != RBP && memory.values().any(|&v| v == start.general[register])
        })
        .collect();
    assert_eq!(saved.len(), saves);
    for register in saved {
        now.general[register] = 0xdead;
    }
    now.general[RSP] -= 64;
    let mut unwound = now;
    unwind(info, code.len() as u32, &mut unwound, &|address| {
        *memory.get(&address).unwrap_or(&0xbad)
    });
    assert_eq!(unwound, expected);
    saves
}

fn mov(dst: Reg, src: Operand) -> Insn {
    Insn::Alu {
        op: AluOp::Mov,
        width: Width::W64,
        dst,
        src,
    }
}

fn add(dst: Reg, src: Operand) -> Insn {
    Insn::Alu {
        op: AluOp::Add,
        width: Width::W64,
        dst,
        src,
    }
}

/// A program that keeps `live` registers over helper calls, in itself and in a subprogram, with
/// and without a stack frame.
fn keeping(live: usize, frame: bool) -> Object {
    const KEPT: [Reg; 4] = [Reg::R6, Reg::R7, Reg::R8, Reg::R9];
    let body = |call: Insn| {
        let mut insns = Vec::new();
        if frame {
            insns.push(Insn::Store {
                size: Size::Dw,
                base: Reg::R10,
                offset: -512,
                src: Operand::Reg(Reg::R1),
            });
        }
        for (number, reg) in KEPT.into_iter().take(live).enumerate() {
            insns.push(mov(reg, Operand::Reg(Reg::R1)));
            insns.push(add(reg, Operand::Imm(number as i32 * 100)));
        }
        insns.push(call);
        insns.push(call);
        for reg in KEPT.into_iter().take(live) {
            insns.push(add(Reg::R0, Operand::Reg(reg)));
        }
        insns.push(Insn::Exit);
        insns
    };
    let helper = Insn::Call(CallTarget::Helper(9));
    let mut insns = body(helper);
    let length = insns.len() as i32;
    for (at, insn) in insns.iter_mut().enumerate() {
        if *insn == helper {
            *insn = Insn::Call(CallTarget::Local(length - at as i32 - 1));
        }
    }
    insns.extend(body(helper));
    object(vec![program("p", slots(&insns), &[0, length as u32])])
}

fn functions(module: &Module) -> impl Iterator<Item = (&[u8], &FunctionRange)> {
    module.sections.iter().flat_map(|section| {
        let code = |f: &FunctionRange| &section.data[f.start as usize..f.end as usize];
        section.functions.iter().map(move |f| (code(f), f))
    })
}

#[test]
fn every_step_of_every_prolog_unwinds() {
    let mut most = 0;
    for live in 0..=4 {
        for frame in [false, true] {
            let object = keeping(live, frame);
            let module = compile(&assume(&object), &Options::default()).unwrap();
            for (code, function) in functions(&module) {
                most = most.max(simulate(code, function.unwind.as_ref().unwrap()));
            }
        }
    }
    assert!(
        most >= 6,
        "functions with many saved registers were tried: {most}"
    );
}

thread_local! {
    /// The module under test, for the helper.
    static HOST: RefCell<Option<Host>> = const { RefCell::new(None) };
    /// What the helper found: frames of the module, and the registers below them.
    static SEEN: RefCell<Vec<(usize, Registers)>> = const { RefCell::new(Vec::new()) };
}

/// Saves the nonvolatile registers and hands their place to `record`.
#[unsafe(naked)]
extern "win64" fn probe(_: u64, _: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    core::arch::naked_asm!(
        "push r15",
        "push r14",
        "push r13",
        "push r12",
        "push rdi",
        "push rsi",
        "push rbp",
        "push rbx",
        "mov rcx, rsp",
        "sub rsp, 0x28",
        "call {record}",
        "add rsp, 0x28",
        "pop rbx",
        "pop rbp",
        "pop rsi",
        "pop rdi",
        "pop r12",
        "pop r13",
        "pop r14",
        "pop r15",
        "ret",
        record = sym record,
    )
}

extern "win64" fn record(saved: u64) -> u64 {
    let word = |at: usize| {
        let bytes = common::read_bytes(saved + at as u64 * 8, 8);
        u64::from_le_bytes(bytes.try_into().unwrap())
    };
    let mut registers = Registers {
        rip: word(8),
        general: [0; 16],
    };
    for (at, register) in NONVOLATILE.into_iter().enumerate() {
        registers.general[register] = word(at);
    }
    registers.general[RSP] = saved + 9 * 8;
    // Now, while the frames are alive.
    HOST.with_borrow(|host| {
        let depth = unwind_module(host.as_ref().unwrap(), &mut registers);
        SEEN.with_borrow_mut(|seen| seen.push((depth, registers)));
    });
    5
}

/// Unwinds up to the first frame outside the module; returns the number of frames.
fn unwind_module(host: &Host, registers: &mut Registers) -> usize {
    let mut depth = 0;
    while let Some((section, offset)) = host.place_of(registers.rip) {
        let functions = &host.module().sections[section].functions;
        let function = functions
            .iter()
            .find(|f| (f.start..f.end).contains(&offset))
            .unwrap();
        let info = function.unwind.as_ref().unwrap();
        unwind(info, offset - function.start, registers, &|address| {
            u64::from_le_bytes(common::read_bytes(address, 8).try_into().unwrap())
        });
        depth += 1;
    }
    depth
}

/// Calls `function(context, runtime)` with 1, 2, 3, ... in the nonvolatile registers and stores the
/// stack pointer at the call.
#[unsafe(naked)]
extern "win64" fn enter(function: u64, context: u64, runtime: u64, stack: &mut u64) -> u64 {
    core::arch::naked_asm!(
        "push r15",
        "push r14",
        "push r13",
        "push r12",
        "push rdi",
        "push rsi",
        "push rbp",
        "push rbx",
        "sub rsp, 0x28",
        "mov [r9], rsp",
        "mov rax, rcx",
        "mov rcx, rdx",
        "mov rdx, r8",
        "mov ebx, 1",
        "mov ebp, 2",
        "mov esi, 3",
        "mov edi, 4",
        "mov r12d, 5",
        "mov r13d, 6",
        "mov r14d, 7",
        "mov r15d, 8",
        "call rax",
        "add rsp, 0x28",
        "pop rbx",
        "pop rbp",
        "pop rsi",
        "pop rdi",
        "pop r12",
        "pop r13",
        "pop r14",
        "pop r15",
        "ret",
    )
}

#[test]
fn running_code_unwinds_to_its_caller() {
    for live in 0..=4 {
        for frame in [false, true] {
            let object = keeping(live, frame);
            let module = compile(&assume(&object), &Options::default()).unwrap();
            let host = Host::new(module, &|_| 0);
            let entry = host.address("bpf.p");
            HOST.set(Some(host));
            let runtime = Runtime::new(&[(probe, false)], (&[], 32), &[], &[]);
            let mut stack = 0;
            enter(entry, 40, runtime.address(), &mut stack);
            let seen = SEEN.take();
            assert_eq!(
                seen.len(),
                4,
                "two calls of a function with two helper calls"
            );
            for (depth, registers) in seen {
                assert_eq!(depth, 2, "subprogram and program");
                assert_eq!(registers.general[RSP], stack);
                for (value, register) in (1..).zip(NONVOLATILE) {
                    assert_eq!(registers.general[register], value, "register {register}");
                }
            }
        }
    }
}
