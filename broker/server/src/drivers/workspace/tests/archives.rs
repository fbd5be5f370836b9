use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;

use zip::ZipWriter;
use zip::unstable::write::FileOptionsExt;
use zip::write::SimpleFileOptions;

use super::*;

/// An archive of these entries; a target after `->` makes a link.
fn archive(path: &Path, entries: &[&str]) {
    let mut writer = ZipWriter::new(File::create(path).unwrap());
    let options = SimpleFileOptions::default();
    for entry in entries {
        match entry.split_once("->") {
            Some((name, target)) => writer.add_symlink(name, target, options).unwrap(),
            None => {
                writer.start_file(*entry, options).unwrap();
                writer.write_all(entry.as_bytes()).unwrap();
            }
        }
    }
    writer.finish().unwrap();
}

#[tokio::test]
async fn w10_what_is_zipped_comes_back_with_its_names_modes_and_links() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    fs::create_dir_all(opened.path.join("a/b/empty")).unwrap();
    fs::write(opened.path.join("a/b/tool"), "text").unwrap();
    fs::set_permissions(opened.path.join("a/b/tool"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::write(opened.path.join("a/.hidden"), "").unwrap();
    symlink("b/tool", opened.path.join("a/link")).unwrap();
    fs::write(opened.path.join("single"), "1").unwrap();

    assert_eq!(opened.path("zip", json!(["a/b"])).await, "b.zip");
    assert_eq!(opened.path("zip", json!(["a/b"])).await, "b_1.zip");
    assert_eq!(opened.path("zip", json!([["a", "single"], "a/all.zip"])).await, "a/all.zip");
    assert_eq!(opened.path("unzip", json!(["a/all.zip"])).await, "all");
    assert_eq!(opened.path("unzip", json!(["a/all.zip"])).await, "all_1");
    assert_eq!(opened.path("unzip", json!(["b.zip", "new/place"])).await, "new/place");

    let all = opened.path.join("all");
    assert_eq!(fs::read(all.join("a/b/tool")).unwrap(), b"text");
    assert_eq!(fs::metadata(all.join("a/b/tool")).unwrap().permissions().mode() & 0o777, 0o750);
    assert_eq!(fs::read_link(all.join("a/link")).unwrap(), Path::new("b/tool"));
    assert!(all.join("a/b/empty").is_dir() && all.join("a/.hidden").exists() && all.join("single").exists());
    assert!(!all.join("a/all.zip").exists());
    assert_eq!(fs::read(opened.path.join("new/place/b/tool")).unwrap(), b"text");
    opened.close().await;
}

#[tokio::test]
async fn w10_what_is_missing_or_in_the_way_is_refused() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    fs::write(opened.path.join("file"), "text").unwrap();
    archive(&opened.path.join("a.zip"), &["x"]);
    for (method, arguments, message) in [
        ("zip", json!(["missing"]), "not an existing file or directory: missing"),
        ("zip", json!([["file", "missing"]]), "not an existing file or directory: missing"),
        ("zip", json!(["file", "a.zip"]), "path exists already: a.zip"),
        ("unzip", json!(["file"]), "not a zip file: file"),
        ("unzip", json!(["missing.zip"]), "Path missing.zip does not exist"),
        ("unzip", json!(["a.zip", "file"]), "path exists already: file"),
        ("unzip", json!(["a.zip", "."]), "path exists already: ."),
    ] {
        let found = opened.bad(method, arguments.clone()).await.message;
        assert!(found.starts_with(message), "{method} {arguments}: {found}");
    }
    assert!(!opened.path.join("file.zip").exists());
    opened.close().await;
}

#[tokio::test]
async fn w10_an_archive_that_leads_outside_is_refused_before_anything_is_written() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    let evil: &[&[&str]] = &[
        &["good", "../evil"],
        &["good", "/evil"],
        &["good", "a/../../evil"],
        &["good", "l->/etc"],
        &["good", "l->../.."],
        &["good", "a/l->../../x"],
        &["good", "l->a/../../x"],
        &["good", "l->.", "l/x"],
        &["good", "a->b", "a/x"],
        &["./a->b", "a/x"],
        &["a->b", "./a/x"],
        &["l->b\0/../../.."],
    ];
    for entries in evil {
        archive(&opened.path.join("evil.zip"), entries);
        let message = opened.bad("unzip", json!(["evil.zip"])).await.message;
        assert!(message.starts_with("path cannot be outside workspace: "), "{entries:?}: {message}");
        assert!(!opened.path.join("evil").exists() && !opened.path.join("../evil").exists());
    }
    archive(&opened.path.join("good.zip"), &["a/b->../c/d", "c/d", "e->a/b"]);
    opened.good("unzip", json!(["good.zip"])).await;
    assert_eq!(fs::read(opened.path.join("good/e")).unwrap(), b"c/d");
    opened.close().await;
}

#[tokio::test]
async fn w10_an_encrypted_archive_needs_its_password() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    let mut writer = ZipWriter::new(File::create(opened.path.join("a.zip")).unwrap());
    let options = SimpleFileOptions::default().with_deprecated_encryption(b"open").unwrap();
    writer.start_file("x", options).unwrap();
    writer.write_all(b"text").unwrap();
    writer.finish().unwrap();
    for password in [json!(null), json!("wrong")] {
        let message = opened.bad("unzip", json!(["a.zip", "a", password])).await.message;
        assert!(message.contains("assword"), "{message}");
        assert!(!opened.path.join("a").exists());
    }
    opened.good("unzip", json!(["a.zip", "a", "open"])).await;
    assert_eq!(fs::read(opened.path.join("a/x")).unwrap(), b"text");
    opened.close().await;
}

#[tokio::test]
async fn w10_the_directory_of_an_archive_is_bounded() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    let mut writer = ZipWriter::new(File::create(opened.path.join("a.zip")).unwrap());
    for number in 0..700 {
        let name = format!("{number:060000}");
        writer.start_file(name, SimpleFileOptions::default()).unwrap();
    }
    writer.finish().unwrap();
    let message = opened.bad("unzip", json!(["a.zip"])).await.message;
    assert!(message.contains("the archive's directory is too large"), "{message}");
    opened.close().await;
}

/// An archive of these entries whose directory announces another unpacked size for each.
fn liar(path: &Path, entries: &[&str], announced: u32) {
    archive(path, entries);
    let mut bytes = fs::read(path).unwrap();
    let headers: Vec<usize> =
        (0..bytes.len() - 4).filter(|at| bytes[*at..].starts_with(b"PK\x01\x02")).collect();
    assert_eq!(headers.len(), entries.len());
    for header in headers {
        bytes[header + 24..header + 28].copy_from_slice(&announced.to_le_bytes());
    }
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn w10_a_bomb_is_refused_by_what_it_announces_or_when_it_lies() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    let path = opened.path.join("a.zip");
    liar(&path, &["one", "two", "three", "four", "five"], 0xffff_fff0);
    let message = opened.bad("unzip", json!(["a.zip"])).await.message;
    assert_eq!(message, "a.zip unpacks to more than 17179869184 bytes");
    liar(&path, &["some entry of more bytes"], 3);
    let message = opened.bad("unzip", json!(["a.zip"])).await.message;
    assert!(message.starts_with("cannot unzip a.zip: "), "{message}");
    assert!(!opened.path.join("a").exists());
    opened.close().await;
}

#[tokio::test]
async fn w10_validation_reads_entries_only_when_asked() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    let path = opened.path.join("a.zip");
    archive(&path, &["some entry with a name that is long enough to be found"]);
    let mut validate = async |check: bool| opened.good("validate_zip_file", json!(["a.zip", check])).await;
    assert_eq!(validate(true).await, true.into());
    let mut bytes = fs::read(&path).unwrap();
    let half = bytes.windows(4).position(|four| four == b"PK\x01\x02").unwrap() - 8;
    bytes[half] ^= 0xff;
    fs::write(&path, bytes).unwrap();
    assert_eq!(validate(false).await, true.into());
    assert_eq!(validate(true).await, false.into());
    fs::write(&path, "no archive").unwrap();
    assert_eq!(validate(false).await, false.into());
    fs::remove_file(&path).unwrap();
    assert_eq!(validate(false).await, false.into());
    opened.close().await;
}
