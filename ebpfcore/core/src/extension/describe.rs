//! Rows of program types that extensions describe.
//!
//! What a description leaves open, and how it is taken: fields of the context are numbers of any
//! width that a program may read and write, except the pointers, because the context belongs to the
//! extension; the packet may only be read; any number may be returned. For a type that the tables
//! know with the same context, their finer row is taken. A row is made once for each description.

use super::parse::{Function, ProgramData};
use crate::{Status, raw::forever::Forever};
use abi::{
    Context, Field, Helper, Platform, ProgramType, context::FieldKind,
    native::extension::ContextDescriptor, program_type,
};
use alloc::vec::Vec;

/// Bytes of a pointer in a context.
const POINTER: u16 = 8;
/// Flag of a helper: it may move the packet.
const REALLOCATES: u32 = 1;

/// The row of a description: one of `known`, or a new one.
pub(crate) fn describe(
    data: &ProgramData,
    known: &[&'static ProgramType],
    forever: &mut Forever,
) -> Result<&'static ProgramType, Status> {
    let fields = fields(&data.descriptor)?;
    let context = context(data, &fields)?;
    let helpers = helpers(&data.helpers)?;
    let draft = Draft {
        data,
        context,
        helpers: &helpers,
    };
    if let Some(row) = known.iter().find(|row| draft.is(row)) {
        return Ok(row);
    }
    draft.keep(forever)
}

/// A row whose parts do not stay yet.
struct Draft<'a> {
    data: &'a ProgramData,
    context: Shape<'a>,
    helpers: &'a [Row<'a>],
}

/// Fields of the context: those of a table, or new ones.
enum Shape<'a> {
    Known(&'static ProgramType),
    New(&'a [Field]),
}

/// A helper whose name does not stay yet.
struct Row<'a> {
    row: Helper,
    name: &'a str,
}

impl Row<'_> {
    fn is(&self, other: &Helper) -> bool {
        let name = other.name;
        name == self.name && Helper { name, ..self.row } == *other
    }
}

impl Draft<'_> {
    fn is(&self, other: &ProgramType) -> bool {
        let context = match self.context {
            Shape::Known(known) => other.context == known.context,
            Shape::New(fields) => other.context.fields == fields,
        };
        let own = other.helpers.iter().zip(self.helpers);
        context
            && other.name == self.data.name
            && other.guid == self.data.guid
            && other.number == self.data.number
            && other.privileged == self.data.privileged
            && i32::from(other.context.size) == self.data.descriptor.size
            && other.helpers.len() == self.helpers.len()
            && own.into_iter().all(|(other, row)| row.is(other))
    }

    fn keep(&self, forever: &mut Forever) -> Result<&'static ProgramType, Status> {
        let mut helpers = list(self.helpers.len())?;
        for Row { row, name } in self.helpers {
            let name = forever.keep_text(name)?;
            helpers.push(Helper { name, ..*row });
        }
        let helpers = forever.keep(&helpers)?;
        let name = forever.keep_text(&self.data.name)?;
        let descriptor = &self.data.descriptor;
        let base = match self.context {
            Shape::Known(known) => known,
            Shape::New(_) => &program_type::windows::XDP_TEST,
        };
        let context = match self.context {
            Shape::Known(known) => known.context,
            Shape::New(fields) => {
                let fields = forever.keep(fields)?;
                forever.keep_one(Context {
                    name,
                    size: u16::try_from(descriptor.size).map_err(|_| Status::InvalidArgument)?,
                    data: descriptor.data,
                    end: descriptor.end,
                    meta: descriptor.meta,
                    fields,
                })?
            }
        };
        forever.keep_one(ProgramType {
            platform: Platform::Windows,
            name,
            number: self.data.number,
            guid: self.data.guid,
            privileged: self.data.privileged,
            context,
            helpers,
            return_range: base.return_range,
            packet_writable: base.packet_writable,
            legacy_packet: false,
        })
    }
}

fn context<'a>(data: &ProgramData, fields: &'a [Field]) -> Result<Shape<'a>, Status> {
    let ContextDescriptor {
        size,
        data: start,
        end,
        meta,
    } = data.descriptor;
    let known = program_type::by_guid(data.guid);
    let same = known.filter(|row| row.context.descriptor() == [size, start, end, meta]);
    Ok(same.map_or(Shape::New(fields), Shape::Known))
}

/// Pointers, and numbers in between.
fn fields(context: &ContextDescriptor) -> Result<Vec<Field>, Status> {
    let place = |offset: i32, name, kind| {
        let offset = u16::try_from(offset).ok()?;
        Some(Field::pointer(name, offset, POINTER, kind))
    };
    let mut pointers = list(3)?;
    pointers.extend(place(context.data, "data", FieldKind::PacketData));
    pointers.extend(place(context.end, "data_end", FieldKind::PacketEnd));
    pointers.extend(place(context.meta, "data_meta", FieldKind::PacketMeta));
    pointers.sort_unstable_by_key(|field| field.offset);
    let size = u16::try_from(context.size).map_err(|_| Status::InvalidArgument)?;
    let mut fields = list(2 * pointers.len() + 1)?;
    let mut at = 0;
    for pointer in pointers {
        fields.extend(number(at, pointer.offset));
        at = pointer.offset.saturating_add(POINTER);
        fields.push(pointer);
    }
    fields.extend(number(at, size));
    Ok(fields)
}

/// Bytes that are one number or several.
fn number(start: u16, end: u16) -> Option<Field> {
    let size = end.checked_sub(start).filter(|size| *size != 0)?;
    Some(Field::number("number", start, size).writable())
}

/// Helpers, ascending by number as they come. Overrides of general helpers have the general row.
fn helpers(functions: &[Function]) -> Result<Vec<Row<'_>>, Status> {
    let mut rows = list(functions.len())?;
    for function in functions {
        let general = abi::helper::by_id(Platform::Windows, function.id);
        let row = match general {
            Some(row) => *row,
            None => own(function),
        };
        let implicit_context = row.implicit_context || function.implicit_context;
        let row = Helper {
            implicit_context,
            ..row
        };
        let name = general.map_or(function.name.as_str(), |row| row.name);
        rows.push(Row { row, name });
    }
    Ok(rows)
}

fn own(function: &Function) -> Helper {
    let reallocates = function.flags & REALLOCATES != 0;
    Helper {
        args: function.args,
        reallocates_packet: reallocates,
        hashed_flags: match reallocates {
            // One byte in the structure.
            true => function.flags.to_le_bytes()[0],
            false => 0,
        },
        ..Helper::new(function.id, "", function.ret, &[])
    }
}

fn list<T>(count: usize) -> Result<Vec<T>, Status> {
    let mut list = Vec::new();
    let room = list.try_reserve_exact(count);
    room.map_err(|_| Status::NoMemory)?;
    Ok(list)
}
