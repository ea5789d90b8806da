//! What the layers do, and that the written pages follow the table.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::table::TABLE;
use super::*;

fn given(env: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Given {
    let mut given = Given {
        flags: flags.iter().map(|(k, v)| (*k, (*v).to_owned())).collect(),
        env: env
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        file: None,
    };
    // A folder without a file, so that nothing of this machine is read.
    let none = || "/nonexistent".to_owned();
    given
        .env
        .entry("SIGNALBOX_DATA".to_owned())
        .or_insert_with(none);
    given
}

fn refused(given: &Given) -> String {
    match Settings::load(given) {
        Err(e) => e.to_string(),
        Ok(_) => panic!("accepted"),
    }
}

#[test]
fn the_defaults_are_sound() {
    let loaded = Settings::load(&Given::default()).unwrap();
    let settings = loaded.settings;
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.public_url, "http://localhost:8080");
    assert_eq!(settings.data, PathBuf::from("./data"));
    assert_eq!(settings.key_file, PathBuf::from("./data/keys.json"));
    assert_eq!(settings.role, Role::All);
    assert_eq!(settings.body_limit, 1024 * 1024);
    assert!(settings.http_workers >= 1);
    assert!(loaded.risks.is_empty(), "{:?}", loaded.risks);
}

#[test]
fn a_flag_goes_before_a_variable_before_the_file_before_the_default() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("some.toml");
    std::fs::write(
        &file,
        "concurrency = 3\njournal_batch = 7\nlisten = \"127.0.0.1:1\"\ntrusted_proxies = [\"10.0.0.0/8\", \"192.0.2.7\"]\nmetrics_public = true\nretry_factor = 1.5\n",
    )
    .unwrap();
    let mut given = given(
        &[
            ("SIGNALBOX_LISTEN", "127.0.0.1:2"),
            ("SIGNALBOX_JOURNAL_BATCH", "9"),
        ],
        &[("listen", "127.0.0.1:3")],
    );
    given.file = Some(file);
    let loaded = Settings::load(&given).unwrap();
    assert_eq!(loaded.settings.listen.port(), 3);
    assert_eq!(loaded.settings.journal_batch, 9);
    assert_eq!(loaded.settings.concurrency, 3);
    assert_eq!(loaded.settings.queue_accepts, 2000);
    assert!((loaded.settings.retry_factor - 1.5).abs() < 1e-9);
    assert_eq!(loaded.settings.trusted_proxies.len(), 2);
    assert!(loaded.settings.metrics_public);
    let origins: Vec<_> = ["listen", "journal_batch", "concurrency", "queue_accepts"]
        .iter()
        .map(|name| loaded.origins.get(name).copied().unwrap())
        .collect();
    assert_eq!(
        origins,
        [
            Origin::Flag,
            Origin::Variable,
            Origin::File,
            Origin::Default
        ]
    );
}

#[test]
fn the_file_of_the_data_folder_is_found() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("signalbox.toml"), "concurrency = 3\n").unwrap();
    let data = dir.path().to_str().unwrap();
    let loaded = Settings::load(&given(&[("SIGNALBOX_DATA", data)], &[])).unwrap();
    assert_eq!(loaded.settings.concurrency, 3);
    assert_eq!(loaded.file.unwrap(), dir.path().join("signalbox.toml"));
    std::fs::write(dir.path().join("signalbox.toml"), "data = \"/elsewhere\"\n").unwrap();
    assert!(refused(&given(&[("SIGNALBOX_DATA", data)], &[])).contains("cannot name another one"));
}

#[test]
fn unknown_keys_of_the_file_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("some.toml");
    std::fs::write(&file, "lisen = \"127.0.0.1:1\"\n[server]\nlog = \"info\"\n").unwrap();
    let mut given = given(&[], &[]);
    given.file = Some(file);
    let text = refused(&given);
    assert!(text.contains("unknown key \"lisen\""), "{text}");
    assert!(text.contains("unknown key \"server\""), "{text}");
}

#[test]
fn a_broken_file_names_the_line_and_shows_nothing_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("some.toml");
    std::fs::write(&file, "log = \"info\"\ndatabase_url = hush-hush\n").unwrap();
    let mut given = given(&[], &[]);
    given.file = Some(file);
    let text = refused(&given);
    assert!(text.contains("line 2"), "{text}");
    assert!(!text.contains("hush"), "{text}");
}

#[test]
fn every_fault_is_named_at_once_without_its_text() {
    let text = refused(&given(
        &[
            ("SIGNALBOX_LISTEN", "nowhere"),
            ("SIGNALBOX_CONCURRENCY", "many"),
            ("SIGNALBOX_ROLE", "boss"),
        ],
        &[],
    ));
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(
        text.contains("listen (variable): expected an address"),
        "{text}"
    );
    assert!(text.contains("all, api, worker"), "{text}");
    assert!(!text.contains("boss"), "{text}");
}

#[test]
fn what_does_not_go_together_is_refused() {
    for (name, value, word) in [
        ("SIGNALBOX_TLS_CERT", "cert.pem", "tls_key"),
        ("SIGNALBOX_DATABASE_URL", "mysql://x", "database_url"),
        ("SIGNALBOX_REDIS_URL", "http://x", "redis_url"),
        ("SIGNALBOX_PUBLIC_URL", "ftp://x", "public_url"),
        (
            "SIGNALBOX_CORS_ORIGINS",
            "https://a.example/path",
            "cors_origins",
        ),
        ("SIGNALBOX_CONCURRENCY", "0", "concurrency"),
        ("SIGNALBOX_RETRY_FACTOR", "0.5", "retry_factor"),
        (
            "SIGNALBOX_RETRY_FIRST_SECONDS",
            "NaN",
            "retry_first_seconds",
        ),
        ("SIGNALBOX_LEASE_SECONDS", "1", "lease_seconds"),
        ("SIGNALBOX_LOG", "info,=x=", "log"),
    ] {
        let text = refused(&given(&[(name, value)], &[]));
        assert!(text.contains(word), "{name}: {text}");
    }
}

#[test]
fn unknown_variables_are_warned_about_and_those_of_others_are_not() {
    let loaded = Settings::load(&given(
        &[
            ("SIGNALBOX_LISENT", "1"),
            ("SIGNALBOX_TEST_ANYTHING", "1"),
            ("SIGNALBOX_TOKEN", "1"),
        ],
        &[],
    ))
    .unwrap();
    assert_eq!(
        loaded.unknown,
        ["the variable SIGNALBOX_LISENT is not a setting"]
    );
}

#[test]
fn the_address_for_people_follows_the_listener() {
    let settings = Settings::load(&given(&[], &[])).unwrap().settings;
    for (address, url) in [
        ("127.0.0.1:8080", "http://localhost:8080"),
        ("0.0.0.0:80", "http://localhost"),
        ("192.0.2.7:81", "http://192.0.2.7:81"),
        ("[2001:db8::1]:81", "http://[2001:db8::1]:81"),
    ] {
        assert_eq!(settings.url_of(address.parse().unwrap()), url);
    }
    let given = given(&[("SIGNALBOX_PUBLIC_URL", "https://box.example/")], &[]);
    let settings = Settings::load(&given).unwrap().settings;
    assert_eq!(settings.public_url, "https://box.example");
}

#[test]
fn secrets_are_shown_as_stars() {
    let url = "postgres://u:hush@db/x";
    let settings = Settings::load(&given(&[("SIGNALBOX_DATABASE_URL", url)], &[]))
        .unwrap()
        .settings;
    let shown: BTreeMap<_, _> = settings.shown().into_iter().collect();
    assert_eq!(shown.get("database_url").unwrap(), "***");
    assert!(!format!("{settings:?}").contains("hush"));
    assert_eq!(settings.database_url.unwrap().reveal(), url);
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Compares a written file with what it should be; with `SIGNALBOX_TEST_UPDATE` set, writes it.
fn assert_written(path: &str, wanted: impl Fn(&str) -> String) {
    let path = repository().join(path);
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let wanted = wanted(&written);
    if std::env::var_os("SIGNALBOX_TEST_UPDATE").is_some() {
        std::fs::write(&path, &wanted).unwrap();
        return;
    }
    assert!(
        written == wanted,
        "{} is behind the table of settings: run this test with SIGNALBOX_TEST_UPDATE=1",
        path.display()
    );
}

#[test]
fn the_example_file_follows_the_table() {
    assert_written(".env.example", |_| env_example());
}

#[test]
fn the_page_follows_the_table() {
    let (begin, end) = ("<!-- settings: begin -->\n", "<!-- settings: end -->\n");
    assert_written("docs/configuration.md", |page| {
        let (before, rest) = page.split_once(begin).unwrap();
        let (_, after) = rest.split_once(end).unwrap();
        format!("{before}{begin}{}\n{end}{after}", markdown())
    });
}

/// A setting that nobody reads would be a promise that nobody keeps.
#[test]
fn every_setting_has_a_reader() {
    let mut code = String::new();
    let mut folders = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("settings") {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                code.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    // A long expression stands on several lines.
    code.retain(|c| !c.is_whitespace());
    // Read within this folder, for everybody: by `location`, `tls`.
    let here = ["database_url", "tls_cert"];
    let unread: Vec<_> = TABLE
        .iter()
        .map(|s| s.name)
        .filter(|name| !here.contains(name))
        .filter(|name| !code.contains(&format!("settings.{name}")))
        .collect();
    assert!(unread.is_empty(), "nobody reads {unread:?}");
}
