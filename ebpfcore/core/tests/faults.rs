//! Memory that runs out at every place: each allocation fails once, in turn, and then each one after a
//! place, over loading, attaching, updating, running and unloading through messages.
//!
//! In every run: no crash, the first message that answers otherwise than with enough memory answers
//! that memory is short, and when process and runtime are gone, so is all of their memory.
#![expect(
    unsafe_code,
    reason = "an allocator; invokes programs on contexts in memory"
)]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

#[path = "support/failing.rs"]
mod failing;
mod support;

use abi::{
    Guid, Platform,
    ioctl::{Handle, MapDefinition, Reply, Request},
    program_type::by_section,
};
use ebpfcore::{
    CONTEXT_HEADER_BYTES, Core, Hook, Status,
    control::{Client, Control},
    helper::NoExtensions,
    link::Capacity,
};
use failing::{Failing, Plan};
use std::{cell::Cell, ops::ControlFlow};
use support::{ON_RESERVE, core};

#[global_allocator]
static ALLOCATOR: Failing = Failing;

/// A process whose handles need no memory.
struct Process([Cell<u32>; 64]);

impl Process {
    fn slot(&self, handle: Handle) -> Option<&Cell<u32>> {
        let slot = self.0.get(usize::try_from(handle.0).ok()?)?;
        (slot.get() != 0).then_some(slot)
    }
}

impl Client for Process {
    fn open(&self, id: u32) -> Result<Handle, Status> {
        let free = self.0.iter().skip(1).position(|slot| slot.get() == 0);
        let free = free.ok_or(Status::NoMemory)? + 1;
        self.0[free].set(id);
        Ok(Handle(free as u64))
    }
    fn object(&self, handle: Handle) -> Option<u32> {
        self.slot(handle).map(Cell::get)
    }
    fn close(&self, handle: Handle) -> Option<u32> {
        self.slot(handle).map(|slot| slot.replace(0))
    }
    fn is_privileged(&self) -> bool {
        true
    }
}

/// The answers to a scenario's messages so far. What the test itself needs is there beforehand.
struct Run<'a> {
    control: &'a Control,
    process: &'a Process,
    answers: Vec<Result<(), Status>>,
    message: Vec<u8>,
    reply: Vec<u8>,
}

impl Run<'_> {
    /// Sends a request; gives what `read` finds in the answer.
    fn ask<R>(&mut self, request: &Request<'_>, read: impl Fn(Reply<'_>) -> R) -> Option<R> {
        let length = failing::aside(|| request.encode(&mut self.message)).unwrap();
        let answer = self
            .control
            .serve(self.process, &self.message[..length], &mut self.reply);
        failing::aside(|| {
            self.answers.push(answer.map(|_| ()));
            // Operations without an answer reply with nothing.
            let answer = Reply::decode(&self.reply[..answer.ok()?]);
            answer.ok().map(read)
        })
    }

    fn tell(&mut self, request: &Request<'_>) {
        let _ = self.ask(request, |_| ());
    }

    fn map(
        &mut self,
        map_type: u32,
        [key_size, value_size, max_entries]: [u32; 3],
        inner: Handle,
    ) -> Handle {
        let request = Request::CreateMap {
            definition: MapDefinition {
                map_type,
                key_size,
                value_size,
                max_entries,
                ..MapDefinition::default()
            },
            inner_map_handle: inner,
            data: b"m",
        };
        let made = self.ask(&request, |reply| match reply {
            Reply::CreateMap { handle } => handle,
            other => panic!("{other:?}"),
        });
        made.unwrap_or(Handle::INVALID)
    }

    fn program(&mut self, text: &str) -> Handle {
        let code = failing::aside(|| {
            let insns = isa::asm::assemble(text).unwrap();
            isa::encode::program(&insns).unwrap()
        });
        let request = Request::CreateProgram {
            program_type: xdp().program_type.guid,
            section_name_offset: 28,
            program_name_offset: 31,
            data: b"xdpprog",
        };
        let made = self.ask(&request, |reply| match reply {
            Reply::CreateProgram { program_handle } => program_handle,
            other => panic!("{other:?}"),
        });
        let program_handle = made.unwrap_or(Handle::INVALID);
        self.tell(&Request::LoadCode {
            program_handle,
            code_type: 2,
            code: &code,
        });
        failing::aside(|| drop(code));
        program_handle
    }

    fn update(&mut self, handle: Handle, data: &[u8]) {
        self.tell(&Request::MapUpdateElement {
            handle,
            option: 0,
            data,
        });
    }
}

fn xdp() -> &'static abi::AttachType {
    by_section(Platform::Windows, "xdp").unwrap()
}

/// One map of every kind, used in the ways of its kind.
fn maps(run: &mut Run<'_>) -> Handle {
    // Hash, array, per-CPU kinds, LRU kinds: types and value sizes as users see them.
    for (map_type, value) in [(1, 8), (2, 8), (4, 32), (5, 32), (8, 8), (11, 32)] {
        let map = run.map(map_type, [4, 8, 4], Handle::INVALID);
        for key in [0, 1, 2, 3, 4, 5_u32] {
            let (mut pair, length) = ([0; 36], 4 + value);
            pair[..4].copy_from_slice(&key.to_le_bytes());
            run.update(map, &pair[..length]);
        }
        run.tell(&Request::MapFindElement {
            handle: map,
            find_and_delete: true,
            key: &[1, 0, 0, 0],
        });
        run.tell(&Request::MapGetNextKeyValueBatch {
            handle: map,
            find_and_delete: false,
            previous_key: &[],
        });
    }
    let trie = run.map(9, [8, 8, 2], Handle::INVALID);
    for bits in [8_u64, 16] {
        let pair = [bits, 1].map(u64::to_le_bytes);
        run.update(trie, pair.as_flattened());
    }
    for map_type in [10, 12] {
        let map = run.map(map_type, [0, 8, 2], Handle::INVALID);
        run.update(map, &[7; 8]);
        run.tell(&Request::MapFindElement {
            handle: map,
            find_and_delete: true,
            key: &[],
        });
    }
    run.map(13, [0, 0, 4096], Handle::INVALID);
    run.map(14, [0, 0, 4096], Handle::INVALID);
    let inner = run.map(2, [4, 8, 1], Handle::INVALID);
    for map_type in [6, 7] {
        let outer = run.map(map_type, [4, 4, 2], inner);
        run.tell(&Request::MapUpdateElementWithHandle {
            map_handle: outer,
            value_handle: inner,
            option: 0,
            key: &[1, 0, 0, 0],
        });
    }
    inner
}

/// Programs: one that is refused, one that runs, is linked, exchanged, pinned, asked about.
fn programs(run: &mut Run<'_>, counters: Handle) {
    run.program("r0 = *(u64 *)(r1 + 0)\nr0 = *(u8 *)(r0 + 0)\nexit");
    let text = failing::aside(|| {
        format!(
            "*(u32 *)(r10 - 4) = 0
             r2 = r10
             r2 += -4
             r1 = map_fd({}) ll
             call 1
             if r0 == 0 goto +3
             r1 = *(u64 *)(r0 + 0)
             r1 += 1
             *(u64 *)(r0 + 0) = r1
             r0 = 1
             exit",
            counters.0 as u32 as i32
        )
    });
    let program = run.program(&text);
    failing::aside(|| drop(text));
    let array = run.map(3, [4, 4, 2], Handle::INVALID);
    run.tell(&Request::MapUpdateElementWithHandle {
        map_handle: array,
        value_handle: program,
        option: 0,
        key: &[0; 4],
    });
    let request = Request::LinkProgram {
        program_handle: program,
        attach_type: xdp().guid,
        data: &7u32.to_le_bytes(),
    };
    let link = run.ask(&request, |reply| match reply {
        Reply::LinkProgram { link_handle } => link_handle,
        other => panic!("{other:?}"),
    });
    invoke(run.control);
    run.tell(&Request::ProgramTestRun {
        program_handle: program,
        repeat_count: 2,
        flags: 0,
        cpu: 0,
        batch_size: 0,
        context_offset: 20,
        data: &[0; 20],
    });
    for (handle, path) in [(program, &b"p"[..]), (counters, b"folder/m")] {
        run.tell(&Request::UpdatePinning { handle, path });
    }
    run.tell(&Request::GetNextPinnedObjectPath {
        object_type: 0,
        start_path: b"",
    });
    run.tell(&Request::GetPinnedObject { path: b"p" });
    run.tell(&Request::GetObjectInfo {
        handle: program,
        info: &[],
    });
    run.tell(&Request::QueryProgramInfo { handle: program });
    run.tell(&Request::UnlinkProgram {
        link_handle: link.unwrap_or(Handle::INVALID),
        program_handle: Handle::INVALID,
        attach_type: Guid::default(),
        attach_data_present: false,
        data: &[],
    });
    // Another link, which ends with its process.
    run.tell(&request);
}

/// Calls the programs of the hook; programs need no memory to run.
fn invoke(control: &Control) {
    let mut context = [0u64; (CONTEXT_HEADER_BYTES + 64) / 8];
    let address = context.as_mut_ptr().expose_provenance() as u64 + CONTEXT_HEADER_BYTES as u64;
    let hook = control.hook(xdp().guid).unwrap();
    // SAFETY: a zeroed context with its header; an empty packet.
    unsafe {
        control
            .core()
            .enter()
            .invoke_hook((hook, 7), address, |_, result| {
                assert_eq!(result, Ok(1));
                ControlFlow::Continue(())
            });
    }
}

/// Everything, from an empty system to an empty system; the answers, and whether the plan mattered.
fn scenario(plan: Plan) -> (Vec<Result<(), Status>>, bool) {
    let platform = failing::aside(|| core().1);
    let process = Process([const { Cell::new(0) }; 64]);
    let (answers, message, reply) = (Vec::with_capacity(256), vec![0; 0x4000], vec![0; 0xffff]);
    let before = failing::live();
    failing::plan(plan);
    let answers = match Core::new(platform) {
        Ok(core) => {
            let hooks = failing::aside(|| vec![Hook::new(xdp(), Capacity::Many)]);
            let control = Control::new(core, hooks, &NoExtensions);
            let mut run = Run {
                control: &control,
                process: &process,
                answers,
                message,
                reply,
            };
            let counters = maps(&mut run);
            programs(&mut run, counters);
            let Run {
                answers,
                message,
                reply,
                ..
            } = run;
            // The process dies, then the runtime ends.
            for slot in process.0.iter().filter(|slot| slot.get() != 0) {
                control.handle_closed(slot.replace(0));
            }
            control.shut_down();
            let left = control.object_count();
            drop(control);
            let lost = failing::live() - before;
            failing::aside(|| {
                assert_eq!(left, 0, "{plan:?}: objects are left");
                assert_eq!(lost, 0, "{plan:?}: bytes are lost");
            });
            drop((message, reply));
            answers
        }
        Err(status) => {
            let lost = failing::live() - before;
            failing::aside(|| assert_eq!((status, lost), (Status::NoMemory, 0), "{plan:?}"));
            answers
        }
    };
    let was_hit = failing::was_hit();
    failing::plan(Plan::None);
    (answers, was_hit)
}

/// Runs the scenario with a plan beginning at each allocation, until there is none.
fn at_every_allocation(plan: impl Fn(usize) -> Plan) -> usize {
    ON_RESERVE.set(|bytes| {
        failing::reserve(bytes);
        true
    });
    let (calm, _) = scenario(Plan::None);
    let refused = calm
        .iter()
        .filter(|answer| **answer == Err(Status::VerificationFailed));
    assert_eq!(refused.count(), 1, "{calm:?}");
    for at in 1.. {
        let (answers, was_hit) = scenario(plan(at));
        if !was_hit {
            return at - 1;
        }
        let other = answers.iter().zip(&calm).find(|(now, calm)| now != calm);
        if let Some((now, calm)) = other {
            let short = Err(Status::NoMemory);
            assert_eq!(*now, short, "{:?} instead of {calm:?}", plan(at));
        }
    }
    unreachable!("the loop has no end")
}

#[test]
fn each_allocation_fails_once() {
    assert!(at_every_allocation(Plan::Once) > 200);
}

#[test]
fn memory_ends_at_each_allocation() {
    assert!(at_every_allocation(Plan::From) > 200);
}

/// What cannot say that memory is short does not begin without a reserve.
#[test]
fn without_a_reserve_nothing_begins() {
    ON_RESERVE.set(|bytes| bytes == 0);
    let (answers, _) = scenario(Plan::None);
    let refused = |answer: &Result<(), Status>| *answer == Err(Status::NoMemory);
    assert!(answers.iter().all(refused), "{answers:?}");
}
