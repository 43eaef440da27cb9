//! `bpf2native inspect FILE.sys`: everything a driver says about itself, by any tool chain.
//!
//! Exit code 2 when the file is no 64-bit PE image; a failed HVCI rule is a result, not an error.

use crate::commands::{input, table::Table};
use crate::report::{Outcome, from_stage, style};
use crate::{Response, args, files, hex};
use abi::{Guid, Platform};
use image::check::{Report, Verdict};
use image::native::{Map, NativeModule, Program};
use image::read::Pe;
use serde_json::{Value, json};
use signing::{CertificateInfo, Signature, SignatureStatus};
use std::fmt::Write as _;

/// Largest driver read.
const DRIVER_BYTES: u64 = 256 << 20;

/// Inspects one driver.
pub(crate) fn run(args: &args::InspectArgs) -> Response {
    let bytes = match files::read(&args.input, DRIVER_BYTES) {
        Ok(bytes) => bytes,
        Err(diagnostics) => return Response::failed(diagnostics),
    };
    match inspect(&bytes) {
        Ok(response) => response,
        Err(list) => Response::failed(input::in_file(list, &args.input)),
    }
}

/// The whole report about a driver's bytes; also `--emit pe`.
pub(crate) fn inspect(bytes: &[u8]) -> Outcome<Response> {
    let fail = |error: image::Error| vec![from_stage::image(&error)];
    let pe = Pe::parse(bytes).map_err(fail)?;
    let native = image::native::read(&pe);
    let signature = signing::inspect(bytes);
    let report = image::check::check_image(&pe);
    let mut response = Response::default();
    response.text += &headers_text(&pe);
    response.text += &sections_text(&pe);
    match &native {
        Ok(Some(module)) => response.text += &native_text(module),
        Ok(None) => response.text += &heading("Native module", "none: no `programs` section"),
        Err(error) => response.diagnostics.push(from_stage::image(error)),
    }
    response.text += &imports_text(&pe);
    response.text += &signature_text(&signature);
    response.text += &report_text(&report);
    response.set("headers", headers_json(&pe));
    response.set("sections", sections_json(&pe));
    response.set(
        "native_module",
        native.ok().flatten().as_ref().map(native_json),
    );
    response.set("imports", imports_json(&pe));
    response.set("signature", signature_json(&signature));
    response.set(
        "hvci",
        json!({"passes": report.passes(), "rules": report_json(&report)}),
    );
    Ok(response)
}

fn heading(title: &str, rest: &str) -> String {
    format!(
        "\n{}{title}{}  {rest}\n",
        style::BOLD.render(),
        style::BOLD.render_reset()
    )
}

fn headers_text(pe: &Pe<'_>) -> String {
    let headers = &pe.headers;
    let mut out = heading("Image", "").trim_start().to_owned();
    let version = pe.version().ok().flatten();
    if let Some(version) = &version {
        for (key, text) in &version.strings {
            let _ = writeln!(out, "  {key:<18} {text}");
        }
    }
    let _ = writeln!(out, "  {:<18} {:#x}", "machine", headers.machine);
    let _ = writeln!(out, "  {:<18} {:#x}", "entry point", headers.entry_point);
    let _ = writeln!(
        out,
        "  {:<18} {} bytes",
        "size in memory", headers.size_of_image
    );
    let _ = writeln!(
        out,
        "  {:<18} {:#06x}",
        "DLL flags", headers.dll_characteristics
    );
    let _ = writeln!(out, "  {:<18} {:#010x}", "checksum", headers.checksum);
    out
}

fn headers_json(pe: &Pe<'_>) -> Value {
    let headers = &pe.headers;
    let strings: serde_json::Map<String, Value> = pe
        .version()
        .ok()
        .flatten()
        .map(|version| {
            version
                .strings
                .into_iter()
                .map(|(key, text)| (key, Value::from(text)))
                .collect()
        })
        .unwrap_or_default();
    json!({
        "machine": headers.machine,
        "entry_point": headers.entry_point,
        "size_of_image": headers.size_of_image,
        "dll_characteristics": headers.dll_characteristics,
        "checksum": headers.checksum,
        "time_date_stamp": headers.time_date_stamp,
        "version": strings,
    })
}

fn sections_text(pe: &Pe<'_>) -> String {
    let mut table = Table::new(&["name", "address", ">size", ">in file", "access", ""]);
    for section in &pe.sections {
        let access: String = [
            (true, 'r'),
            (section.is_writable(), 'w'),
            (section.is_executable(), 'x'),
        ]
        .iter()
        .map(|(on, letter)| if *on { *letter } else { '-' })
        .collect();
        let rest = if section.is_discardable() {
            "discarded after start"
        } else {
            ""
        };
        table.row(vec![
            section.name(),
            format!("{:#x}", section.rva),
            section.virtual_size.to_string(),
            section.raw_size.to_string(),
            access,
            rest.to_owned(),
        ]);
    }
    heading("Sections", "") + &table.render()
}

fn sections_json(pe: &Pe<'_>) -> Value {
    let one = |section: &image::read::Section| {
        json!({
            "name": section.name(),
            "rva": section.rva,
            "virtual_size": section.virtual_size,
            "raw_size": section.raw_size,
            "writable": section.is_writable(),
            "executable": section.is_executable(),
            "discardable": section.is_discardable(),
        })
    };
    pe.sections.iter().map(one).collect()
}

fn native_text(module: &NativeModule) -> String {
    let mut out = heading("Programs", "") + &programs_table(module).render();
    for program in &module.programs {
        if let Some(hash) = &program.info_hash {
            let algorithm = program.info_hash_type.as_deref().unwrap_or("?");
            let _ = writeln!(
                out,
                "  {}: program info {algorithm} {}",
                program.name,
                hex::text(hash)
            );
        }
    }
    if !module.maps.is_empty() {
        out += &(heading("Maps", "") + &maps_table(module).render());
    }
    out + &contents_text(module)
}

fn programs_table(module: &NativeModule) -> Table {
    let mut table = Table::new(&[
        "name", "type", "section", "code in", ">insns", "maps", "helpers",
    ]);
    for program in &module.programs {
        table.row(vec![
            program.name.clone(),
            type_name(program.program_type),
            program.section.clone(),
            program.pe_section.clone(),
            program.instruction_count.to_string(),
            map_names(module, program).join(", "),
            helper_names(program).join(", "),
        ]);
    }
    table
}

fn maps_table(module: &NativeModule) -> Table {
    let mut table = Table::new(&[
        "name", "type", ">key", ">value", ">entries", "pinned", "inner",
    ]);
    for map in &module.maps {
        let definition = &map.definition;
        table.row(vec![
            map.name.clone(),
            map_type(map),
            definition.key_size.to_string(),
            definition.value_size.to_string(),
            definition.max_entries.to_string(),
            if definition.pinning == 0 {
                "no"
            } else {
                "by name"
            }
            .to_owned(),
            inner_map(module, map).unwrap_or_default(),
        ]);
    }
    table
}

fn contents_text(module: &NativeModule) -> String {
    let mut out = String::new();
    for values in &module.initial_values {
        let names: Vec<&str> = values
            .values
            .iter()
            .map(|name| name.as_deref().unwrap_or("-"))
            .collect();
        let _ = writeln!(out, "  {} starts with: {}", values.map, names.join(", "));
    }
    for global in &module.globals {
        let _ = writeln!(
            out,
            "  {} starts with {} bytes of globals",
            global.map,
            global.initial.len()
        );
    }
    if let Some(hash) = &module.elf_hash {
        let _ = writeln!(out, "  object file hash {}", hex::text(hash));
    }
    out
}

fn native_json(module: &NativeModule) -> Value {
    let values = module
        .initial_values
        .iter()
        .map(|values| json!({"map": values.map, "values": values.values}));
    let globals = module
        .globals
        .iter()
        .map(|global| json!({"map": global.map, "bytes": global.initial.len()}));
    json!({
        "programs": module.programs.iter().map(|program| program_json(module, program)).collect::<Vec<_>>(),
        "maps": module.maps.iter().map(|map| map_json(module, map)).collect::<Vec<_>>(),
        "initial_values": values.collect::<Vec<_>>(),
        "globals": globals.collect::<Vec<_>>(),
        "elf_hash": module.elf_hash.as_deref().map(hex::text),
    })
}

fn program_json(module: &NativeModule, program: &Program) -> Value {
    let helpers = program.helpers.iter().filter(|helper| helper.id != 0);
    let helpers =
        helpers.map(|helper| json!({"id": helper.id, "name": helper_name(program, helper.id)}));
    json!({
        "name": program.name,
        "type": type_name(program.program_type),
        "program_type": program.program_type.to_string(),
        "attach_type": program.attach_type.to_string(),
        "section": program.section,
        "pe_section": program.pe_section,
        "code_bytes": program.code_bytes,
        "instructions": program.instruction_count,
        "maps": map_names(module, program),
        "helpers": helpers.collect::<Vec<_>>(),
        "info_hash": program.info_hash.as_deref().map(hex::text),
        "info_hash_type": program.info_hash_type,
        "entry_bytes": program.entry_bytes,
    })
}

fn map_json(module: &NativeModule, map: &Map) -> Value {
    json!({
        "name": map.name,
        "type": map_type(map),
        "key_size": map.definition.key_size,
        "value_size": map.definition.value_size,
        "max_entries": map.definition.max_entries,
        "pinning": map.definition.pinning,
        "inner": inner_map(module, map),
    })
}

fn type_name(guid: Guid) -> String {
    abi::program_type::by_guid(guid).map_or_else(|| guid.to_string(), |row| row.name.to_owned())
}

fn map_type(map: &Map) -> String {
    let number = map.definition.map_type;
    abi::map::by_number(Platform::Windows, number)
        .map_or_else(|| format!("type {number}"), |row| row.name.to_owned())
}

/// The inner map template, by index or by id (the native ABI has both ways).
fn inner_map(module: &NativeModule, map: &Map) -> Option<String> {
    let definition = &map.definition;
    let found = match (definition.inner_map_idx, definition.inner_id) {
        (0, 0) => None,
        (0, id) => module.maps.iter().find(|other| other.definition.id == id),
        (index, _) => module.maps.get(index as usize),
    };
    found.map(|map| map.name.clone())
}

fn map_names(module: &NativeModule, program: &Program) -> Vec<String> {
    let name = |index: &u16| {
        module
            .maps
            .get(usize::from(*index))
            .map(|map| map.name.clone())
    };
    program.maps.iter().filter_map(name).collect()
}

fn helper_names(program: &Program) -> Vec<String> {
    let helpers = program.helpers.iter().filter(|helper| helper.id != 0);
    let names = helpers.map(|helper| helper_name(program, helper.id));
    names
        .chain(
            program
                .functions
                .iter()
                .map(|function| function.name.clone()),
        )
        .collect()
}

fn helper_name(program: &Program, id: u32) -> String {
    abi::program_type::by_guid(program.program_type)
        .and_then(|row| abi::helper::lookup(row, id))
        .map_or_else(|| format!("helper {id}"), |helper| helper.name.to_owned())
}

fn imports_text(pe: &Pe<'_>) -> String {
    match pe.imports() {
        Ok(imports) => imports.iter().fold(heading("Imports", ""), |out, import| {
            out + &format!("  {import}\n")
        }),
        Err(error) => heading("Imports", &format!("cannot be read: {error}")),
    }
}

fn imports_json(pe: &Pe<'_>) -> Value {
    let imports = pe.imports().unwrap_or_default();
    imports
        .iter()
        .map(|import| Value::from(import.to_string()))
        .collect()
}

fn signature_text(signature: &Result<Option<Signature>, signing::Error>) -> String {
    let report = match signature {
        Ok(None) => return heading("Signature", "none"),
        Err(error) => return heading("Signature", &format!("cannot be read: {error}")),
        Ok(Some(report)) => report,
    };
    let mut out = heading("Signature", if report.is_good() { "good" } else { "BAD" });
    let digest = if report.digest_matches {
        "matches the file"
    } else {
        "of OTHER contents"
    };
    let _ = writeln!(
        out,
        "  {:<18} {} ({digest})",
        "digest",
        hex::text(&report.digest)
    );
    let _ = writeln!(out, "  {:<18} {}", "signature", status(&report.status));
    if let Some(signer) = &report.signer {
        out += &signer_text(signer);
    }
    let stamped = if report.is_time_stamped {
        "yes (not checked)"
    } else {
        "no"
    };
    let _ = writeln!(out, "  {:<18} {stamped}", "time stamp");
    if report.has_nested {
        let _ = writeln!(
            out,
            "  {:<18} a further signature inside was not read",
            "nested"
        );
    }
    out
}

fn signer_text(signer: &CertificateInfo) -> String {
    let rows = [
        ("signer", signer.subject.clone()),
        ("issuer", signer.issuer.clone()),
        (
            "valid",
            format!("{} to {}", signer.not_before, signer.not_after),
        ),
        ("usages", signer.usages.join(", ")),
        ("thumbprint", signer.thumbprint.clone()),
    ];
    rows.iter()
        .map(|(label, text)| format!("  {label:<18} {text}\n"))
        .collect()
}

fn status(status: &SignatureStatus) -> String {
    match status {
        SignatureStatus::Good => "made with the key of the signer's certificate".to_owned(),
        SignatureStatus::Bad => "NOT made with the key of the signer's certificate".to_owned(),
        SignatureStatus::NoCertificate => "the signer's certificate is missing".to_owned(),
        SignatureStatus::Unchecked(algorithm) => format!("algorithm {algorithm} was not checked"),
    }
}

fn signature_json(signature: &Result<Option<Signature>, signing::Error>) -> Value {
    let report = match signature {
        Ok(None) => return Value::Null,
        Err(error) => return json!({"error": error.to_string()}),
        Ok(Some(report)) => report,
    };
    json!({
        "good": report.is_good(),
        "digest": hex::text(&report.digest),
        "digest_matches": report.digest_matches,
        "status": status(&report.status),
        "time_stamped": report.is_time_stamped,
        "signer": report.signer.as_ref().map(|signer| json!({
            "subject": signer.subject,
            "issuer": signer.issuer,
            "not_before": signer.not_before,
            "not_after": signer.not_after,
            "usages": signer.usages,
            "thumbprint": signer.thumbprint,
        })),
    })
}

fn report_text(report: &Report) -> String {
    let verdict = if report.passes() { "passes" } else { "FAILS" };
    let mut out = heading("HVCI and loader rules", verdict);
    for row in &report.rows {
        let tint = match row.verdict {
            Verdict::Pass => style::GOOD,
            Verdict::Fail => style::BAD,
            Verdict::Warn => style::WARN,
            Verdict::NotApplicable => style::DIM,
        };
        let (on, off) = (tint.render(), tint.render_reset());
        let _ = writeln!(
            out,
            "  {on}{:<4}{off} {:<20} {}",
            row.verdict, row.rule.id, row.detail
        );
    }
    out
}

fn report_json(report: &Report) -> Vec<Value> {
    let row = |row: &image::check::Row| json!({"rule": row.rule.id, "what": row.rule.what, "verdict": row.verdict.to_string(), "detail": row.detail});
    report.rows.iter().map(row).collect()
}
