//! Cases: small programs in files, shared by the tests that judge them and by the crate that
//! mutates and runs them (which includes this file).
#![allow(dead_code, reason = "each of the users needs a part")]

use abi::{Platform, map, program_type};
use isa::{CallTarget, Insn};
use program::{
    Argument, BtfFunction, Contract, GlobalSection, KernelField, KernelType, KernelTypes, MapDef,
    MapId, Object, Parameter, RawProgram,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One case.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) platform: Platform,
    pub(crate) program_type: &'static abi::ProgramType,
    pub(crate) hook: Option<&'static abi::AttachType>,
    pub(crate) maps: Vec<MapDef>,
    pub(crate) contracts: Vec<(usize, Contract)>,
    pub(crate) options: verifier::Options,
    /// What frozen maps hold is not known.
    pub(crate) assumed: bool,
    /// Names of the functions of the platform, in the order of their numbers.
    pub(crate) functions: Vec<String>,
    /// The arguments of a program that is called like a function of the kernel.
    pub(crate) arguments: Option<Vec<Argument>>,
    /// The types of the kernel are given.
    pub(crate) knows_kernel: bool,
    pub(crate) text: String,
    pub(crate) expected: Option<(u32, String)>,
}

impl Case {
    /// A case from its source: a line with its name, then directives and assembler text.
    pub(crate) fn parse(source: &str) -> Case {
        let (name, body) = source.split_once('\n').unwrap();
        let mut case = Case {
            name: name.trim().into(),
            platform: Platform::Windows,
            program_type: any_verdict(program_type::by_name(Platform::Windows, "xdp").unwrap()),
            hook: None,
            maps: Vec::new(),
            contracts: Vec::new(),
            options: verifier::Options::default(),
            assumed: false,
            functions: vec!["function".into()],
            arguments: None,
            knows_kernel: false,
            text: String::new(),
            expected: None,
        };
        let mut slot = 0;
        for line in body.lines() {
            if let Some(directive) = line.strip_prefix('@') {
                case.directive(directive);
                continue;
            }
            case.text.push_str(line);
            case.text.push('\n');
            let code = line.split_once(';').map(|(_, comment)| comment.trim());
            if let Some(code) = code.filter(|comment| comment.starts_with("BN")) {
                case.expected = Some((slot, code.split_whitespace().next().unwrap().into()));
            }
            slot += slots(line);
        }
        case
    }

    fn directive(&mut self, text: &str) {
        let (word, rest) = text.split_once(' ').unwrap();
        match word {
            "type" => {
                let (platform, name) = rest.trim().split_once('/').unwrap();
                self.platform = match platform {
                    "linux" => Platform::Linux,
                    "windows" => Platform::Windows,
                    other => panic!("{}: platform {other}", self.name),
                };
                self.program_type = program_type::by_name(self.platform, name)
                    .unwrap_or_else(|| panic!("{}: no program type {name}", self.name));
            }
            "hook" => {
                let hook = program_type::by_section(self.platform, rest.trim()).unwrap();
                self.hook = Some(hook);
                self.program_type = hook.program_type;
            }
            "map" => {
                let map = self.map(rest);
                self.maps.push(map);
            }
            "global" => {
                let contract = contract(rest);
                self.contracts.push(contract);
            }
            "kernel" => self.knows_kernel = rest.trim() == "known",
            "functions" => self.functions = rest.split_whitespace().map(str::to_owned).collect(),
            "arguments" => self.arguments = Some(rest.split_whitespace().map(argument).collect()),
            "constants" => self.assumed = rest.trim() == "unknown",
            "steps" => self.options.steps = rest.trim().parse().unwrap(),
            other => panic!("{}: directive {other}", self.name),
        }
    }

    fn map(&self, text: &str) -> MapDef {
        let mut words = text.split_whitespace();
        let name = words.next().unwrap();
        let row = map::by_name(self.platform, name)
            .unwrap_or_else(|| panic!("{}: no map type {name}", self.name));
        let mut map = MapDef {
            name: name.into(),
            type_number: row.number(self.platform).unwrap(),
            kind: row.kind,
            key_size: 4,
            value_size: 8,
            max_entries: 16,
            flags: 0,
            pin_by_name: false,
            id: 0,
            inner: None,
            initial: Vec::new(),
            frozen: false,
            spin_lock: None,
            timer: None,
            reserved: Vec::new(),
        };
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, "1"));
            let value: u32 = value.parse().unwrap();
            match key {
                "key" => map.key_size = value,
                "value" => map.value_size = value,
                "max" => map.max_entries = value,
                "flags" => map.flags = value,
                "frozen" => map.frozen = true,
                "lock" => map.spin_lock = Some(value),
                "timer" => map.timer = Some(value),
                "reserved" => map.reserved.push(value..value + 8),
                "inner" => map.inner = Some(MapId(u16::try_from(value).unwrap())),
                other => panic!("{}: map property {other}", self.name),
            }
        }
        map
    }

    /// The program with its maps.
    pub(crate) fn object(&self) -> Object {
        let insns =
            isa::asm::assemble(&self.text).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let raw = RawProgram {
            name: "case",
            platform: self.platform,
            program_type: self.program_type,
            bytes: &[],
            maps: self.maps.clone(),
        };
        let mut object = linked(insns, &self.functions, raw)
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
        object.programs[0].attach_type = self.hook;
        object.programs[0].arguments.clone_from(&self.arguments);
        if self.arguments.is_some() || self.knows_kernel {
            object.kernel = Some(Arc::new(Types));
        }
        for (function, contract) in &self.contracts {
            let function = &mut object.programs[0].functions[*function];
            function.global = true;
            function.contract = Some(contract.clone());
        }
        // Frozen maps are constant sections of zeros.
        let constants = (0..).zip(&self.maps).filter(|(_, map)| map.frozen);
        object.globals = constants
            .map(|(index, map)| GlobalSection {
                section: ".rodata".into(),
                map: MapId(index),
                data: vec![0; map.value_size as usize],
                assumed: match self.assumed {
                    true => std::iter::once(0..map.value_size as usize).collect(),
                    false => Vec::new(),
                },
            })
            .collect();
        object
    }
}

/// An object of instructions, which may call functions of the platform of these names: bytes alone
/// cannot name them.
pub(crate) fn linked(
    insns: Vec<Insn>,
    names: &[String],
    raw: RawProgram<'_>,
) -> Result<Object, String> {
    let plain: Vec<Insn> = insns.iter().map(nameless).collect();
    let bytes = isa::encode::program(&plain).map_err(|error| error.to_string())?;
    let raw = RawProgram {
        bytes: &bytes,
        ..raw
    };
    let mut object = program::from_bytecode(raw).map_err(|error| error.to_string())?;
    if plain != insns {
        object.programs[0].insns = insns;
        let function = |name: &String| BtfFunction {
            name: name.clone(),
            module: abi::Guid::default(),
        };
        object.btf_functions = names.iter().map(function).collect();
    }
    Ok(object)
}

/// The instruction without the name of a function of the platform.
fn nameless(insn: &Insn) -> Insn {
    match insn {
        Insn::Call(CallTarget::Btf(_)) => Insn::Call(CallTarget::Helper(1)),
        insn => *insn,
    }
}

/// A function by number, then its arguments, then `returns` if it returns a number.
fn contract(text: &str) -> (usize, Contract) {
    let mut words = text.split_whitespace();
    let function = words.next().unwrap().parse().unwrap();
    let mut contract = Contract {
        parameters: Vec::new(),
        returns: false,
    };
    for word in words {
        contract.parameters.push(match word {
            "returns" => {
                contract.returns = true;
                continue;
            }
            "number" => Parameter::Number,
            "context" => Parameter::Context,
            "dynptr" => Parameter::Dynptr,
            memory => {
                let bytes = memory.strip_prefix("memory=").unwrap();
                Parameter::Memory {
                    bytes: bytes.trim_end_matches('?').parse().unwrap(),
                    nullable: bytes.ends_with('?'),
                }
            }
        });
    }
    (function, contract)
}

/// `number`, or how sure a pointer is and what it points to: `trusted=task`, `passed=file`,
/// `nullable=task`.
fn argument(text: &str) -> Argument {
    let Some((trust, name)) = text.split_once('=') else {
        return Argument::Number;
    };
    Argument::Object {
        ty: Types.named(name).unwrap(),
        trusted: trust != "passed",
        nullable: trust == "nullable",
    }
}

/// A kernel of three structures, just large enough for the cases.
#[derive(Debug)]
struct Types;

/// Names; `task_struct` has two numbers of 4 bytes, a pointer to another of its kind, one to a
/// `file`, and an array of 16 bytes. A `file` has a `path` of a pointer and a number, and a number.
const STRUCTS: [&str; 3] = ["task_struct", "file", "path"];

impl KernelTypes for Types {
    fn named(&self, name: &str) -> Option<KernelType> {
        let at = STRUCTS.iter().position(|one| *one == name)?;
        Some(KernelType(at as u32 + 1))
    }

    fn field(&self, ty: KernelType, offset: u32, size: u32) -> Option<KernelField> {
        let inside = |from: u32, to: u32| offset >= from && offset.checked_add(size).unwrap() <= to;
        let number = Some(KernelField::Number);
        match (ty.0, offset, size) {
            (1, 8, 8) => Some(KernelField::Pointer(KernelType(1))),
            (1, 16, 8) => Some(KernelField::Pointer(KernelType(2))),
            (1, ..) if inside(0, 4) || inside(4, 8) || inside(24, 40) => number,
            (2 | 3, 0, 8) => Some(KernelField::Pointer(KernelType(2))),
            (2 | 3, ..) if inside(8, 16) => number,
            (2, 16, 8) => Some(KernelField::Address),
            _ => None,
        }
    }

    fn contains(&self, ty: KernelType, offset: u32, name: &str) -> bool {
        offset == 0 && (self.name(ty) == name || ty.0 == 2 && name == "path")
    }

    fn is_structure(&self, ty: KernelType) -> bool {
        (1..=3).contains(&ty.0)
    }

    fn name(&self, ty: KernelType) -> &str {
        STRUCTS[ty.0 as usize - 1]
    }
}

/// The same program type without a range of verdicts.
fn any_verdict(program_type: &'static abi::ProgramType) -> &'static abi::ProgramType {
    Box::leak(Box::new(abi::ProgramType {
        return_range: None,
        ..*program_type
    }))
}

/// Slots that a line of assembler text takes.
pub(crate) fn slots(line: &str) -> u32 {
    let code = line.split([';', '#']).next().unwrap().trim();
    let code = code.rsplit(": ").next().unwrap().trim();
    match code {
        "" => 0,
        label if label.ends_with(':') => 0,
        wide if wide.ends_with(" ll") => 2,
        _ => 1,
    }
}

/// A folder of the verifier's tests.
fn folder(name: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut places = here.ancestors().map(|place| place.join("tests").join(name));
    places.find(|place| place.is_dir()).unwrap()
}

/// All cases in `tests/cases`, with the name of their file.
pub(crate) fn all() -> Vec<(String, Case)> {
    let mut files: Vec<_> = std::fs::read_dir(folder("cases"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut cases = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().display().to_string();
        cases.extend(parse(&text).into_iter().map(|case| (name.clone(), case)));
    }
    cases
}

/// The cases of a file's text; each begins with `=== name` on a line of its own.
pub(crate) fn parse(text: &str) -> Vec<Case> {
    let text = format!("\n{text}");
    let sources = text.split("\n=== ").skip(1);
    sources.map(Case::parse).collect()
}

/// The cases of a file in `tests/programs`: `case TITLE`, then optionally `type PLATFORM NAME` and
/// `map KIND KEY VALUE ENTRIES [inner INDEX | frozen]` lines, then instructions.
pub(crate) fn programs(file: &str) -> Vec<Case> {
    let text = std::fs::read_to_string(folder("programs").join(file)).unwrap();
    let chunks = text.split("\ncase ").skip(1);
    chunks
        .map(|chunk| Case::parse(&chunk.lines().map(directive).collect::<String>()))
        .map(|mut case| {
            // Here the range of verdicts counts.
            let program_type = program_type::by_name(case.platform, case.program_type.name);
            case.program_type = program_type.unwrap();
            case
        })
        .collect()
}

/// A line of `tests/programs` as one of `tests/cases`.
fn directive(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["type", platform, name] => format!("@type {platform}/{name}\n"),
        ["map", kind, key, value, entries, rest @ ..] => {
            let rest = rest.join("=");
            format!("@map {kind} key={key} value={value} max={entries} {rest}\n")
        }
        _ => format!("{line}\n"),
    }
}
