//! Packs the built console into the binary, and what the loader does before it starts.
//!
//! `dist/` is made by Trunk and may not be there: the binary then serves a page that says how to
//! build it. Nothing is written outside the output folder.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

fn main() -> io::Result<()> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    let release = variable("PROFILE")? == "release";
    let dist = root.join("..").join("dist");
    println!("cargo::rerun-if-changed=build.rs");
    if release && packs_relocations()? {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    // A path that is not there makes cargo look again at every build. A release must not miss a
    // console that was built since; a debug build reads the folder when it runs instead.
    if dist.is_dir() || release {
        println!("cargo::rerun-if-changed={}", dist.display());
    }
    let mut files = BTreeMap::new();
    if dist.join("index.html").is_file() {
        collect(&dist, "", &mut files)?;
    }
    let mut code = String::from("static FILES: &[File] = &[\n");
    for (number, (name, path)) in files.iter().enumerate() {
        let bytes = fs::read(path)?;
        let packed = out.join(format!("console-{number}"));
        let raw = write(&packed, "raw", &bytes)?;
        let compressible = is_text(name);
        let br = smaller(&packed, "br", &bytes, compressible, |b| brotli(b, release))?;
        let gz = smaller(&packed, "gz", &bytes, compressible, gzip)?;
        let hash = Sha256::digest(&bytes);
        let tag: String = hash.iter().take(12).map(|b| format!("{b:02x}")).collect();
        let _ = writeln!(
            code,
            "    File {{ name: {name:?}, tag: {tag:?}, raw: include_bytes!({raw:?}), br: {br}, gz: {gz} }},"
        );
    }
    code.push_str("];\n");
    fs::write(out.join("console_files.rs"), code)
}

fn variable(name: &str) -> io::Result<String> {
    std::env::var(name).map_err(|e| io::Error::other(format!("{name}: {e}")))
}

/// Whether the loader of this system, for which this is built, reads packed relocations: glibc does
/// since 2.36. The list of what it moves at the start is two megabytes otherwise, all of it read.
fn packs_relocations() -> io::Result<bool> {
    if variable("TARGET")? != variable("HOST")? || variable("CARGO_CFG_TARGET_ENV")? != "gnu" {
        return Ok(false);
    }
    let Ok(said) = Command::new("getconf").arg("GNU_LIBC_VERSION").output() else {
        return Ok(false);
    };
    let said = String::from_utf8_lossy(&said.stdout);
    let version = said.trim().strip_prefix("glibc 2.");
    let minor: Option<u32> = version.and_then(|minor| minor.split('.').next()?.parse().ok());
    Ok(minor.is_some_and(|minor| minor >= 36))
}

/// Every file below a folder, by its path with slashes.
fn collect(folder: &Path, below: &str, files: &mut BTreeMap<String, PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if name.starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else {
            files.insert(name, entry.path());
        }
    }
    Ok(())
}

fn is_text(name: &str) -> bool {
    let kind = name.rsplit('.').next().unwrap_or_default();
    [
        "html",
        "js",
        "css",
        "wasm",
        "svg",
        "json",
        "txt",
        "webmanifest",
    ]
    .contains(&kind)
}

fn write(path: &Path, kind: &str, bytes: &[u8]) -> io::Result<String> {
    let path = path.with_extension(kind);
    fs::write(&path, bytes)?;
    Ok(path.display().to_string())
}

/// The packed form, if it is worth it.
fn smaller(
    path: &Path,
    kind: &str,
    bytes: &[u8],
    compressible: bool,
    pack: impl Fn(&[u8]) -> io::Result<Vec<u8>>,
) -> io::Result<String> {
    if !compressible || bytes.len() < 256 {
        return Ok("None".to_owned());
    }
    let packed = pack(bytes)?;
    if packed.len() >= bytes.len() {
        return Ok("None".to_owned());
    }
    let path = write(path, kind, &packed)?;
    Ok(format!("Some(include_bytes!({path:?}))"))
}

fn brotli(bytes: &[u8], best: bool) -> io::Result<Vec<u8>> {
    // The best takes minutes where the build script itself is not optimised.
    let quality = if best { 11 } else { 5 };
    let mut packed = Vec::new();
    let mut writer = brotli::CompressorWriter::new(&mut packed, 64 * 1024, quality, 22);
    writer.write_all(bytes)?;
    writer.flush()?;
    drop(writer);
    Ok(packed)
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(bytes)?;
    writer.finish()
}
