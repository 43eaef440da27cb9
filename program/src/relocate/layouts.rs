//! The kernel's types as programs meet them: arguments of what they are attached to, and fields.
//!
//! Everything is read from the target's BTF when it is asked for. A structure that is too wide or
//! nested too deeply has no fields, which refuses the access.

use super::target::TargetBtf;
use crate::{
    btf::{Btf, Kind, Type, TypeId},
    error::LoadError,
    kernel::{Argument, KernelField, KernelType, KernelTypes},
};
use abi::{AttachType, helper, limits};
use std::collections::{BTreeMap, BTreeSet};

/// Types of the target by name, as far as an object needs them.
#[derive(Debug)]
pub(crate) struct Layouts {
    target: TargetBtf,
    structs: BTreeMap<String, TypeId>,
    prototypes: BTreeMap<String, TypeId>,
}

/// What a program is attached to, as its section says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attachment<'a> {
    hook: Hook,
    target: &'a str,
}

/// How the arguments of a program follow from those of its target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hook {
    /// Of a tracepoint.
    Tracepoint,
    /// When a function is entered.
    Entry,
    /// When a function returns: its result is one argument more.
    Return,
    /// Of a security hook.
    Security,
    /// Of an iterator: what it iterates over is NULL at the end.
    Iterator,
}

impl<'a> Attachment<'a> {
    /// The attachment of a program to a function, tracepoint or the like by name.
    pub(crate) fn of(attach: Option<&AttachType>, target: &'a str) -> Option<Attachment<'a>> {
        let hook = match attach?.prefix {
            "tp_btf" => Hook::Tracepoint,
            "fentry" => Hook::Entry,
            "fexit" | "fmod_ret" => Hook::Return,
            "lsm" | "lsm_cgroup" => Hook::Security,
            "iter" => Hook::Iterator,
            _ => return None,
        };
        Some(Attachment { hook, target })
    }

    /// What it is attached to.
    pub(crate) fn target(&self) -> &'a str {
        self.target
    }

    /// The name of the typedef or function in BTF that has the arguments.
    fn prototype(&self) -> String {
        let prefix = match self.hook {
            Hook::Tracepoint => "btf_trace_",
            Hook::Entry | Hook::Return => "",
            Hook::Security => "bpf_lsm_",
            Hook::Iterator => "bpf_iter_",
        };
        format!("{prefix}{}", self.target)
    }

    /// What kind of type has that name.
    fn kind(&self) -> Kind {
        match self.hook {
            Hook::Tracepoint => Kind::Typedef,
            _ => Kind::Function,
        }
    }
}

impl Layouts {
    /// Looks through the target once, for what some attachments need.
    pub(crate) fn new<'a>(
        target: &TargetBtf,
        attachments: impl Iterator<Item = Attachment<'a>>,
    ) -> Result<Layouts, LoadError> {
        let wanted: BTreeSet<(u8, String)> = attachments
            .map(|attachment| (attachment.kind() as u8, attachment.prototype()))
            .collect();
        let mut layouts = Layouts {
            target: target.clone(),
            structs: BTreeMap::new(),
            prototypes: BTreeMap::new(),
        };
        let btf = target.btf()?;
        for id in 1..btf.len() {
            let ty = btf.ty(id)?;
            if !matches!(ty.kind, Kind::Struct | Kind::Typedef | Kind::Function) {
                continue;
            }
            let name = btf.name(&ty)?;
            let list = match ty.kind {
                Kind::Struct if helper::is_kernel_result(name) => &mut layouts.structs,
                Kind::Typedef if !name.starts_with("btf_trace_") => continue,
                kind if wanted.contains(&(kind as u8, name.into())) => &mut layouts.prototypes,
                _ => continue,
            };
            list.entry(name.into()).or_insert(id);
        }
        Ok(layouts)
    }

    /// The arguments of a program; `None` where the target has no such thing.
    pub(crate) fn arguments(&self, attachment: Attachment<'_>) -> Option<Vec<Argument>> {
        let btf = self.target.btf().ok()?;
        let id = *self.prototypes.get(&attachment.prototype())?;
        let ty = btf.ty(id).ok()?;
        let proto = match attachment.hook {
            Hook::Tracepoint => btf.strip(btf.pointee(id).ok()??).ok()?.1,
            _ => btf.ty(ty.size_or_type).ok()?,
        };
        if proto.kind != Kind::FunctionProto {
            return None;
        }
        // The first parameter of a tracepoint is the kernel's own.
        let first = u32::from(attachment.hook == Hook::Tracepoint);
        let mut arguments = (first..proto.vlen)
            .map(|index| argument(&btf, btf.parameter(&proto, index).ok()?, attachment.hook))
            .collect::<Option<Vec<_>>>()?;
        if attachment.hook == Hook::Iterator {
            // All but the first, which tells about the iteration.
            for argument in arguments.iter_mut().skip(1) {
                if let Argument::Object { nullable, .. } = argument {
                    *nullable = true;
                }
            }
        }
        let result = proto.size_or_type;
        if attachment.hook == Hook::Return && result != 0 {
            arguments.push(argument(&btf, result, attachment.hook)?);
        }
        Some(arguments)
    }
}

/// What a parameter of some type is for the program.
fn argument(btf: &Btf<'_>, id: TypeId, hook: Hook) -> Option<Argument> {
    let ty = match id {
        // Variable arguments.
        0 => None,
        _ => structure_behind(btf, id).ok()?,
    };
    Some(match ty {
        None => Argument::Number,
        Some(ty) => Argument::Object {
            ty: KernelType(ty),
            trusted: matches!(hook, Hook::Tracepoint | Hook::Security | Hook::Iterator),
            nullable: false,
        },
    })
}

/// The structure that a pointer points to.
fn structure_behind(btf: &Btf<'_>, id: TypeId) -> Result<Option<TypeId>, LoadError> {
    match btf.pointee(id)? {
        None | Some(0) => Ok(None),
        Some(to) => {
            let (to, ty) = btf.strip(to)?;
            Ok(ty.kind.is_composite().then_some(to))
        }
    }
}

impl KernelTypes for Layouts {
    fn named(&self, name: &str) -> Option<KernelType> {
        self.structs.get(name).copied().map(KernelType)
    }

    fn field(&self, ty: KernelType, offset: u32, size: u32) -> Option<KernelField> {
        let btf = self.target.btf().ok()?;
        let bytes = (u64::from(offset), u64::from(size));
        walk(&btf, ty.0, bytes, |id, ty, at| {
            leaf(&btf, id, ty, (at, bytes.1))
        })
        .ok()?
    }

    fn contains(&self, ty: KernelType, offset: u32, name: &str) -> bool {
        let Ok(btf) = self.target.btf() else {
            return false;
        };
        let is_it = |_, ty: &Type, at| {
            let is_named = at == 0 && ty.kind.is_composite() && btf.name(ty)? == name;
            Ok(is_named.then_some(()))
        };
        let found = walk(&btf, ty.0, (u64::from(offset), 1), is_it);
        found.is_ok_and(|found| found.is_some())
    }

    fn is_structure(&self, ty: KernelType) -> bool {
        let found = self.target.btf().and_then(|btf| btf.ty(ty.0));
        ty.0 != 0 && found.is_ok_and(|found| found.kind.is_composite())
    }

    fn name(&self, ty: KernelType) -> &str {
        self.target.name_of(ty.0)
    }
}

/// What a type that is no structure or array holds in `size` bytes at `offset`.
fn leaf(
    btf: &Btf<'_>,
    id: TypeId,
    ty: &Type,
    (offset, size): (u64, u64),
) -> Result<Option<KernelField>, LoadError> {
    Ok(match ty.kind {
        Kind::Int | Kind::Enum | Kind::Enum64 | Kind::Float => Some(KernelField::Number),
        // Part of an address is of no use.
        Kind::Pointer if (offset, size) == (0, 8) => Some(match structure_behind(btf, id)? {
            Some(to) => KernelField::Pointer(KernelType(to)),
            None => KernelField::Address,
        }),
        // More than one element of an array.
        Kind::Array => {
            let (_, innermost) = btf.strip(btf.innermost(id)?)?;
            let numbers = [Kind::Int, Kind::Enum, Kind::Enum64];
            numbers
                .contains(&innermost.kind)
                .then_some(KernelField::Number)
        }
        // The storage of bit fields.
        Kind::Struct | Kind::Union => bit_field(btf, ty, (offset, size))?,
        _ => None,
    })
}

/// A bit field that lies in some bytes of a structure.
fn bit_field(
    btf: &Btf<'_>,
    ty: &Type,
    (offset, size): (u64, u64),
) -> Result<Option<KernelField>, LoadError> {
    let bits = offset.saturating_mul(8)..offset.saturating_add(size).saturating_mul(8);
    for index in 0..ty.vlen {
        let member = btf.member(ty, index)?;
        let first = u64::from(member.bit_offset);
        let end = first.saturating_add(u64::from(member.bits));
        if member.bits != 0 && bits.contains(&first) && end <= bits.end {
            return Ok(Some(KernelField::Number));
        }
    }
    Ok(None)
}

/// Goes through everything that contains `size` bytes at `offset` of a type, the first member of a
/// union first, until `found` says something.
fn walk<T>(
    btf: &Btf<'_>,
    ty: TypeId,
    (offset, size): (u64, u64),
    found: impl Fn(TypeId, &Type, u64) -> Result<Option<T>, LoadError>,
) -> Result<Option<T>, LoadError> {
    let mut open = vec![(ty, offset)];
    let mut budget = limits::KERNEL_MEMBERS;
    while let Some((id, offset)) = open.pop() {
        let (id, ty) = btf.strip(id)?;
        let left = budget.checked_sub(ty.vlen.saturating_add(1));
        let Some(left) = left else {
            return Ok(None);
        };
        budget = left;
        if matches!(ty.kind, Kind::Void | Kind::Forward | Kind::FunctionProto) {
            continue;
        }
        let end = offset.saturating_add(size);
        if end > u64::from(btf.size_of(id)?) {
            open.extend(behind_the_end(btf, &ty, (offset, end))?);
            continue;
        }
        let inner = open.len();
        push_parts(btf, (id, &ty), (offset, end), &mut open)?;
        // What holds all of it may say something, but its parts know better.
        let speaks = open.len() == inner || ty.kind.is_composite() && offset == 0;
        if speaks && let Some(answer) = found(id, &ty, offset)? {
            return Ok(Some(answer));
        }
        open[inner..].reverse();
    }
    Ok(None)
}

/// The element of an array without a length at the end of a structure, with the offset in it. As in
/// the kernel's verifier, only structures are elements; a load from behind the last one that is there
/// faults, which reads 0.
fn behind_the_end(
    btf: &Btf<'_>,
    ty: &Type,
    (offset, end): (u64, u64),
) -> Result<Option<(TypeId, u64)>, LoadError> {
    let Some(last) = ty.vlen.checked_sub(1).filter(|_| ty.kind == Kind::Struct) else {
        return Ok(None);
    };
    let member = btf.member(ty, last)?;
    let Some((element, 0)) = btf.array(member.ty)? else {
        return Ok(None);
    };
    let (element, inner) = btf.strip(element)?;
    let bytes = u64::from(inner.size_or_type);
    let into = offset.checked_sub(u64::from(member.bit_offset / 8));
    let at = into.and_then(|into| into.checked_rem(bytes));
    let fits = |at: &u64| at.saturating_add(end.saturating_sub(offset)) <= bytes;
    Ok(at
        .filter(|at| inner.kind == Kind::Struct && fits(at))
        .map(|at| (element, at)))
}

/// The parts of a type that contain some bytes, with the offset in them.
fn push_parts(
    btf: &Btf<'_>,
    (id, ty): (TypeId, &Type),
    (offset, end): (u64, u64),
    open: &mut Vec<(TypeId, u64)>,
) -> Result<(), LoadError> {
    if let Some((element, _)) = btf.array(id)? {
        let bytes = u64::from(btf.size_of(element)?).max(1);
        let at = offset.checked_rem(bytes).unwrap_or(0);
        if at.saturating_add(end.saturating_sub(offset)) <= bytes {
            open.push((element, at));
        }
        return Ok(());
    }
    let members = if ty.kind.is_composite() { ty.vlen } else { 0 };
    for index in 0..members {
        let member = btf.member(ty, index)?;
        let start = u64::from(member.bit_offset / 8);
        if member.bits != 0 || start > offset {
            continue;
        }
        let size = u64::from(btf.size_of(member.ty).unwrap_or(0));
        if end <= start.saturating_add(size) {
            open.push((member.ty, offset.saturating_sub(start)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::{Platform, program_type};
    use std::io::Cursor;

    /// Writes BTF type by type.
    #[derive(Default)]
    struct Writer {
        types: Vec<u8>,
        strings: Vec<u8>,
    }

    impl Writer {
        fn name(&mut self, name: &str) -> u32 {
            if name.is_empty() {
                return 0;
            }
            let at = self.strings.len() as u32 + 1;
            self.strings.extend(name.bytes().chain([0]));
            at
        }

        /// A type: kind and count, size or type, then its other words.
        fn ty(&mut self, name: &str, (kind, count): (Kind, u32), of: u32, more: &[u32]) {
            let name = self.name(name);
            let flag = u32::from(kind == Kind::Struct) << 31;
            let info = (kind as u32) << 24 | count | flag;
            let words = [name, info, of].into_iter().chain(more.iter().copied());
            self.types.extend(words.flat_map(u32::to_le_bytes));
        }

        fn finish(self) -> TargetBtf {
            let (types, strings) = (self.types.len() as u32, self.strings.len() as u32 + 1);
            let words = [24, 0, types, types, strings].map(u32::to_le_bytes);
            let mut bytes = vec![0x9f, 0xeb, 1, 0];
            bytes.extend(words.concat());
            bytes.extend(self.types);
            bytes.push(0);
            bytes.extend(self.strings);
            TargetBtf::read(Cursor::new(bytes)).unwrap()
        }
    }

    const NODE: KernelType = KernelType(3);
    const OUTER: KernelType = KernelType(13);
    const NODES: KernelType = KernelType(19);

    /// `struct node { struct node *next; int num; union { struct node *p; long l; } @16; int arr[2];
    /// void *any; }`, `struct outer { int flags : 3; struct node node @8; }`, functions of them, and
    /// `struct nodes { long count; struct node nodes[]; }`.
    fn kernel() -> TargetBtf {
        let mut btf = Writer::default();
        let name = btf.name("member");
        btf.ty("int", (Kind::Int, 0), 4, &[32]);
        btf.ty("long", (Kind::Int, 0), 8, &[64]);
        let places = [[4, 0], [1, 64], [5, 128], [6, 192], [7, 256]];
        let node: Vec<u32> = places
            .iter()
            .flat_map(|[ty, at]| [name, *ty, *at])
            .collect();
        btf.ty("node", (Kind::Struct, 5), 40, &node);
        btf.ty("", (Kind::Pointer, 0), 3, &[]);
        btf.ty("", (Kind::Union, 2), 8, &[name, 4, 0, name, 2, 0]);
        btf.ty("", (Kind::Array, 0), 0, &[1, 1, 2]);
        btf.ty("", (Kind::Pointer, 0), 0, &[]);
        btf.ty("", (Kind::FunctionProto, 3), 4, &[0, 4, 0, 7, 0, 1]);
        btf.ty("traced", (Kind::Function, 0), 8, &[]);
        btf.ty("", (Kind::FunctionProto, 2), 0, &[0, 7, 0, 4]);
        btf.ty("", (Kind::Pointer, 0), 10, &[]);
        btf.ty("btf_trace_event", (Kind::Typedef, 0), 11, &[]);
        btf.ty(
            "outer",
            (Kind::Struct, 2),
            48,
            &[name, 1, 3 << 24, name, 3, 64],
        );
        btf.ty("bpf_lsm_hook", (Kind::Function, 0), 8, &[]);
        btf.ty("", (Kind::FunctionProto, 2), 1, &[0, 4, 0, 4]);
        btf.ty("bpf_iter_thing", (Kind::Function, 0), 15, &[]);
        btf.ty("task_struct", (Kind::Struct, 0), 8, &[]);
        btf.ty("", (Kind::Array, 0), 0, &[3, 1, 0]);
        btf.ty("nodes", (Kind::Struct, 2), 8, &[name, 2, 0, name, 18, 64]);
        btf.finish()
    }

    fn arguments(section: &str) -> Option<Vec<Argument>> {
        let attach = program_type::by_section(Platform::Linux, section);
        let (_, target) = section.split_once('/')?;
        let attachment = Attachment::of(attach, target)?;
        let layouts = Layouts::new(&kernel(), [attachment].into_iter()).unwrap();
        layouts.arguments(attachment)
    }

    fn object(trusted: bool, nullable: bool) -> Argument {
        Argument::Object {
            ty: NODE,
            trusted,
            nullable,
        }
    }

    #[test]
    fn an_array_without_a_length_lies_behind_its_structure() {
        let btf = kernel();
        let layouts = Layouts::new(&btf, core::iter::empty()).unwrap();
        let number = Some(KernelField::Number);
        assert_eq!(layouts.field(NODES, 0, 8), number);
        for element in [8, 48, 8 + 40 * 1000] {
            let first = layouts.field(NODES, element, 8);
            assert_eq!(first, Some(KernelField::Pointer(NODE)), "{element}");
            assert_eq!(layouts.field(NODES, element + 8, 4), number);
        }
        // Across two elements, and behind a structure that ends.
        assert_eq!(layouts.field(NODES, 44, 8), None);
        assert_eq!(layouts.field(NODE, 40, 8), None);
    }

    #[test]
    fn arguments_are_those_of_the_target() {
        let number = Argument::Number;
        let passed = object(false, false);
        assert_eq!(
            arguments("fentry/traced").unwrap(),
            [passed, number, number]
        );
        assert_eq!(arguments("fentry.s/traced"), arguments("fentry/traced"));
        let with_result = [passed, number, number, passed];
        assert_eq!(arguments("fexit/traced").unwrap(), with_result);
        // The first argument of the function behind a tracepoint is not handed on.
        let trusted = object(true, false);
        assert_eq!(arguments("tp_btf/event").unwrap(), [trusted]);
        assert_eq!(arguments("lsm/hook").unwrap(), [trusted, number, number]);
        let iterated = [trusted, object(true, true)];
        assert_eq!(arguments("iter/thing").unwrap(), iterated);
        for unknown in ["fentry/untraced", "tp_btf/traced", "fentry", "xdp/traced"] {
            assert_eq!(arguments(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn fields_are_found_at_their_places() {
        let layouts = Layouts::new(&kernel(), [].into_iter()).unwrap();
        let field = |ty, offset, size| layouts.field(ty, offset, size);
        let number = Some(KernelField::Number);
        let node = Some(KernelField::Pointer(NODE));
        assert_eq!(field(NODE, 0, 8), node);
        assert_eq!((field(NODE, 0, 4), field(NODE, 4, 8)), (None, None));
        assert_eq!((field(NODE, 8, 4), field(NODE, 9, 2)), (number, number));
        assert_eq!((field(NODE, 8, 8), field(NODE, 12, 4)), (None, None));
        // The first member of a union that has it.
        assert_eq!((field(NODE, 16, 8), field(NODE, 20, 4)), (node, number));
        // One element of an array, or several.
        assert_eq!((field(NODE, 28, 4), field(NODE, 24, 8)), (number, number));
        assert_eq!(field(NODE, 32, 8), Some(KernelField::Address));
        assert_eq!((field(NODE, 40, 1), field(NODE, u32::MAX, 8)), (None, None));
        // A bit field, and a structure in another.
        assert_eq!((field(OUTER, 0, 4), field(OUTER, 0, 1)), (number, number));
        assert_eq!((field(OUTER, 4, 4), field(OUTER, 8, 8)), (None, node));
        assert_eq!(field(KernelType(99), 0, 8), None);
    }

    #[test]
    fn structures_lie_in_others() {
        let layouts = Layouts::new(&kernel(), [].into_iter()).unwrap();
        assert!(layouts.contains(OUTER, 0, "outer"));
        assert!(layouts.contains(OUTER, 8, "node"));
        assert!(layouts.contains(NODE, 0, "node"));
        assert!(!layouts.contains(OUTER, 0, "node"));
        assert!(!layouts.contains(OUTER, 16, "node"));
        assert!(!layouts.contains(NODE, 8, "node"));
        assert_eq!(layouts.named("task_struct"), Some(KernelType(17)));
        assert!(layouts.is_structure(NODE) && layouts.is_structure(OUTER));
        assert!(!layouts.is_structure(KernelType(0)) && !layouts.is_structure(KernelType(99)));
        assert_eq!((layouts.named("node"), layouts.name(NODE)), (None, "node"));
    }
}
