//! Puts the help texts, a resource of the library, into it.

fn main() {
    println!("cargo:rerun-if-changed=strings.rc");
    if std::env::var("CARGO_CFG_WINDOWS").is_err() {
        return;
    }
    if let Err(problem) =
        embed_resource::compile("strings.rc", embed_resource::NONE).manifest_required()
    {
        println!("cargo:warning=netsh will show no help texts: {problem}");
    }
}
