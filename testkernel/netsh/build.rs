//! Lets helpers find the functions that this program offers them.

fn main() {
    println!("cargo:rerun-if-changed=netsh.def");
    if std::env::var("CARGO_CFG_WINDOWS").is_ok() {
        let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo:rustc-link-arg-bins={folder}/netsh.def");
    }
}
