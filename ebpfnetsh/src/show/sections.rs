//! `show sections`: programs and maps of a file.

use crate::answer::{Answer, Failure, Outcome};
use crate::file::{self, File};
use crate::table::tag;
use crate::{Arguments, Session};
use abi::{Guid, Platform, program_type};
use ebpfapi::inspect::statistics;
use program::Object;
use std::fmt::Write as _;

/// A program's line.
struct Row {
    section: String,
    program: String,
    kind: &'static str,
    bytes: u64,
    /// Names and counts, for object files.
    statistics: Vec<(&'static str, usize)>,
}

/// A map's line.
struct MapRow {
    name: String,
    number: u32,
    sizes: [u32; 3],
}

/// Lists programs and maps of an object file or driver.
pub(crate) fn sections(_: &mut Session, arguments: &Arguments) -> Outcome {
    let (mut rows, maps) = match file::open(arguments)? {
        File::Object(object) => of_object(&object),
        File::Driver(module) => of_driver(*module),
    };
    let section = arguments
        .text(&tag::SECTION)
        .filter(|text| !text.is_empty());
    if let Some(section) = section {
        let there: Vec<String> = rows.iter().map(|row| row.section.clone()).collect();
        rows.retain(|row| row.section == section);
        if rows.is_empty() {
            let there = there.join(", ");
            return Err(Failure(format!(
                "error: Section not found\nthere are: {there}\n"
            )));
        }
    }
    let one_by_one = section.is_some() || arguments.is(&tag::LEVEL, "verbose");
    Ok(Answer::done(match one_by_one {
        true => rows.iter().map(details).collect(),
        false => table(&rows) + &map_table(&maps),
    }))
}

fn of_object(object: &Object) -> (Vec<Row>, Vec<MapRow>) {
    let programs = object.programs.iter().map(|program| Row {
        section: program.section.clone(),
        program: program.name.clone(),
        kind: program.program_type.name,
        bytes: program.insns.len() as u64 * 8,
        statistics: statistics(object, program),
    });
    let unlinked = object.unlinked.iter().map(|program| Row {
        section: program.section.clone(),
        program: program.name.clone(),
        kind: UNKNOWN,
        bytes: 0,
        statistics: Vec::new(),
    });
    let maps = object.maps.iter().map(|map| MapRow {
        name: map.name.clone(),
        number: map.type_number,
        sizes: [map.key_size, map.value_size, map.max_entries],
    });
    (programs.chain(unlinked).collect(), maps.collect())
}

fn of_driver(module: image::native::NativeModule) -> (Vec<Row>, Vec<MapRow>) {
    let programs = module.programs.into_iter().map(|program| Row {
        kind: type_name(program.program_type),
        bytes: program.code_bytes.unwrap_or(0).into(),
        section: program.section,
        program: program.name,
        statistics: Vec::new(),
    });
    let maps = module.maps.into_iter().map(|map| MapRow {
        number: map.definition.map_type,
        sizes: [
            map.definition.key_size,
            map.definition.value_size,
            map.definition.max_entries,
        ],
        name: map.name,
    });
    (programs.collect(), maps.collect())
}

/// The type of programs that nothing is known about.
const UNKNOWN: &str = "unspec";

/// The name of a program type.
pub(crate) fn type_name(guid: Guid) -> &'static str {
    program_type::by_guid(guid).map_or(UNKNOWN, |row| row.name)
}

/// The name of a map type.
pub(crate) fn map_type_name(number: u32) -> &'static str {
    abi::map::by_number(Platform::Windows, number).map_or(UNKNOWN, |row| row.name)
}

fn table(rows: &[Row]) -> String {
    let mut out = format!(
        "\n{:69}Size\n{:>30}  {:>24}  {:>9}  {:>7}\n{:=<30}  {:=<24}  {:=<9}  {:=<7}\n",
        "", "Section", "Program", "Type", "(bytes)", "", "", "", ""
    );
    for row in rows {
        let _ = writeln!(
            out,
            "{:>30}  {:>24}  {:>9}  {:>7}",
            row.section, row.program, row.kind, row.bytes
        );
    }
    out
}

fn map_table(maps: &[MapRow]) -> String {
    let mut out = format!(
        "\n{:21}Key  Value      Max\n          Map Type  Size   Size  Entries  Name\n\
         ==================  ====  =====  =======  ========\n",
        ""
    );
    for map in maps {
        let [key, value, most] = map.sizes;
        let kind = map_type_name(map.number);
        let _ = writeln!(out, "{kind:>18}{key:6}{value:7}{most:9}  {}", map.name);
    }
    out
}

fn details(row: &Row) -> String {
    let mut out = format!(
        "\nSection      : {}\nProgram      : {}\nProgram Type : {}\nSize         : {} bytes\n",
        row.section, row.program, row.kind, row.bytes
    );
    for (name, count) in &row.statistics {
        let _ = writeln!(out, "{name:<13}: {count}");
    }
    out
}
