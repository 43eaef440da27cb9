//! The page of `verify --report`, looked at by a browser: headless Chromium opens it at the width of
//! a phone and of a screen, in light and dark, follows its links, points at everything, and says what
//! is wrong (`report/checks.js`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::{bpf2native, example, folder, judge, root, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs with one mistake each, and one with two.
fn mistakes() -> PathBuf {
    root().join("bpf2native/tests/programs/bad.o")
}

fn report(inputs: &[PathBuf], folder: &Path) -> String {
    let path = folder.join("report.html");
    let ran = run(bpf2native()
        .arg("verify")
        .args(inputs)
        .arg("--report")
        .arg(&path));
    assert_eq!(ran.code, 1, "{ran:?}");
    std::fs::read_to_string(path).unwrap()
}

/// Everything on a page comes from the page.
#[test]
fn the_page_is_self_contained() {
    let folder = folder();
    let page = report(&[mistakes(), example("subprograms.o")], folder.path());
    for part in [
        "table-&gt;entries[index] += 1;",
        "r1 is a packet pointer",
        "<svg",
        "class=\"edge back\"",
        "class=\"insn error on\"",
        "at most 9 times in a run",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let count = |text: &str| page.matches(text).count();
    assert_eq!(count("<details"), count("</details>"));
    assert!(page.contains("default-src 'none'"));
    for outside in [
        " src=", "<link", "@import", "url(", "http:", "https:", "href=\"/",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
    // The rejected program is shown first, whatever the order of the inputs.
    let inputs = [example("droppacket.o"), example("droppacket_unsafe.o")];
    let page = report(&inputs, folder.path());
    let place = |word| page.find(&format!("<h2><span class=\"{word}\">"));
    assert!(place("rejected").unwrap() < place("accepted").unwrap());
}

#[test]
fn texts_of_the_object_do_not_become_markup() {
    let folder = folder();
    let page = report(&[mistakes()], folder.path());
    // `data[14] & 15` and `index > 20` of the source.
    assert!(page.contains("data[14] &amp; 15") && page.contains("index &gt; 20"));
    assert!(!page.contains("index > 20"));
}

/// Chromium with a profile of its own.
fn chromium(profile: &Path) -> Option<Command> {
    let mut chromium = judge("chromium")?;
    chromium
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
        ])
        .args(["--disable-sync", "--disable-extensions", "--mute-audio"])
        // The checks look into the page's frames.
        .arg("--allow-file-access-from-files")
        // No name has an address: whatever the page asked for would fail.
        .arg("--host-resolver-rules=MAP * ~NOTFOUND")
        .arg(format!("--user-data-dir={}", profile.display()));
    Some(chromium)
}

/// What the page complains about itself, from its first line on.
const LISTENER: &str = "<head><script>{
const tell = (what) => parent.wrong.push(what);
addEventListener('error', (event) => tell('error: ' + event.message));
addEventListener('unhandledrejection', (event) => tell('rejection: ' + event.reason));
addEventListener('securitypolicyviolation', (event) => tell('blocked: ' + event.blockedURI));
console.error = console.warn = (...what) => tell('console: ' + what);
}</script>";

/// What stands in an element of the page that a browser has run.
fn part<'p>(page: &'p str, id: &str) -> Option<&'p str> {
    let (_, rest) = page.split_once(&format!("<pre id=\"{id}\">"))?;
    Some(rest.split_once("</pre>")?.0)
}

/// Opens the page in frames of both widths; what the checks say.
fn checked(page: &str, is_dark: bool) -> Option<String> {
    let folder = folder();
    let heard = page.replacen("<head>", LISTENER, 1);
    std::fs::write(folder.path().join("page.html"), heard).unwrap();
    let frames = [375, 1400].map(|width| format!("{{width: {width}, file: \"page.html\"}}"));
    let checks = include_str!("report/checks.js");
    let outer = format!(
        "<!doctype html><meta charset=\"utf-8\"><body><script>const DARK = {is_dark};\nconst \
         FRAMES = [{}];\n{checks}</script></body>",
        frames.join(", ")
    );
    let path = folder.path().join("outer.html");
    std::fs::write(&path, outer).unwrap();
    let scheme = u8::from(!is_dark);
    let ran = run(chromium(&folder.path().join("profile"))?
        .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
        .args(["--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("file://{}", path.display())));
    assert!(part(&ran.stdout, "done").is_some(), "{}", ran.stderr);
    Some(ran.stdout)
}

fn check(is_dark: bool) {
    let folder = folder();
    let page = report(&[mistakes(), example("subprograms.o")], folder.path());
    let Some(answer) = checked(&page, is_dark) else {
        return;
    };
    assert_eq!(part(&answer, "wrong"), Some(""), "dark: {is_dark}");
    // The checks did look at something.
    let seen: serde_json::Value = serde_json::from_str(part(&answer, "seen").unwrap()).unwrap();
    for (what, least) in [
        ("links", 400),
        ("rows", 200),
        ("blocks", 40),
        ("texts", 500),
        ("paths", 4),
    ] {
        assert!(seen[what].as_u64() >= Some(least), "{what}: {seen}");
    }
}

#[test]
fn a_browser_finds_nothing_wrong_in_the_light() {
    check(false);
}

#[test]
fn a_browser_finds_nothing_wrong_in_the_dark() {
    check(true);
}

/// The checks can fail: a page that is wrong in several ways.
#[test]
fn a_browser_sees_what_is_wrong() {
    let folder = folder();
    let page = report(&[mistakes()], folder.path());
    let broken = page
        .replace("<h1>", "<p style=\"color: #999\">dim</p><h1>")
        .replace(
            "<main>",
            "<script>throwing();</script><main><div style=\"width: 3000px\">wide</div>",
        )
        .replacen("go\" href=\"#p1i", "go\" href=\"#nowhere", 1)
        .replacen(
            "</main>",
            "<img src=\"http://example.invalid/a.png\"></main>",
            1,
        );
    let Some(answer) = checked(&broken, false) else {
        return;
    };
    let wrong = part(&answer, "wrong").unwrap();
    for complaint in [
        "px wide in 375",
        "leads to #nowhere",
        "throwing",
        "blocked: http",
        "contrast",
    ] {
        assert!(wrong.contains(complaint), "{complaint}: {wrong}");
    }
}
